//! Decoders under hostile bytes: one function for each way in which bytes of others reach the product. Each takes any
//! bytes, and fails by a panic alone; cargo-fuzz (`fuzz/`) calls it with what reached new code, the tests here with
//! mutations of the seeds in `seeds/`, which need no special compiler. Knows the crates by their decoders only.

mod answers;
mod apply;
mod backup;
mod certificates;
mod dns;
mod flags;
mod http;
mod json;
mod mutate;
mod peer;
mod raft;
mod requests;
mod rows;
mod scratch;
mod seeds;
mod store;
mod targets;
mod tokens;
mod wal;
mod wire;
mod words;
mod yaml;

pub use mutate::Mutator;
pub use seeds::seeds;
pub use targets::{TARGETS, Target, target};
