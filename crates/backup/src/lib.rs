//! Backups as etcd makes them: everything at one point in time, as the bbolt database that an etcd with the same
//! contents would have. etcd and its tools read them. Knows the rows of every crate that stores some, but neither how
//! they come about nor the network; docs/formats.md shows what becomes of them.
//!
//! A backup is written from front to back, with memory for a few pages. Its first pages say where the others are, so
//! the store is read twice, and neither a file nor memory for all of it is needed. Reading a backup, or any other file of
//! bbolt's, trusts nothing in it.

mod error;
mod pages;
mod schema;
mod tree;

mod check;
mod database;
mod history;
mod page;
mod restore;
mod rewrite;
mod takeover;
mod trailer;

pub use database::{Database, Progress, Rows};
pub use error::{Error, Result};
pub use history::Status;
pub use pages::Plan;
pub use restore::Restored;
pub use schema::{Source, plan, write};
pub use takeover::etcd_database;
pub use trailer::verify_hash;
