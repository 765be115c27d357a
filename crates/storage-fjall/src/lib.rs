//! A storage engine in Rust alone: fjall behind the [`storage::Backend`] trait, for those who cannot or do not want
//! to compile RocksDB. Knows nothing of what the keys mean, except how each family is used.
//!
//! What differs from the default engine:
//!
//! - fjall keeps a journal. A flush is one fsync of it, and memtables are written out at leisure. A batch reaches the
//!   journal whole, and the journal reaches the disk before any table with the same rows: a crash leaves a prefix.
//! - There are no range tombstones. Removing a range reads it and removes key by key.
//! - There are no hard-linked checkpoints. A copy is written from a snapshot, row by row, in sorted order.
//! - Keys are 65,534 bytes at most.

mod cursor;
mod directory;
mod engine;
mod error;
mod key;
mod options;

pub use engine::open;
pub use options::Options;
