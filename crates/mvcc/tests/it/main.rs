//! The store, mostly on the memory backend: scripts, stories, and a model that knows the whole history.

mod compaction;
mod engines;
mod faults;
mod hashes;
mod import;
mod model;
mod random;
mod scripts;
mod stories;
mod support;
