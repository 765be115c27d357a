//! Backups read back by a reader that shares no code with the writer, and held to what the crates that own the rows
//! store.

mod buckets;
mod database;
mod keys;
mod trees;
