//! The default storage engine: RocksDB behind the [`storage::Backend`] trait. The only crate that links it.
//! Knows nothing of what the keys mean, except how each family is used: point reads, appends, or rarely at all.
//!
//! RocksDB's own log is off. What is written is in memtables until a flush, all families are flushed together and
//! atomically, and a crash falls back to the last flush: the raft log has the rest.

mod cursor;
mod db;
mod engine;
mod error;
mod manifest;
mod options;

pub use engine::open;
pub use options::Options;
