//! Backups read back by a reader that shares no code with the writer, and held to what the crates that own the rows
//! store; and by the crate's own reader, restored and damaged.

mod buckets;
mod database;
mod keys;
mod restore;
mod trees;
