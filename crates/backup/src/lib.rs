//! Backups as etcd makes them: everything at one point in time, as the bbolt database that an etcd with the same
//! contents would have. etcd and its tools read them. Knows the rows of every crate that stores some, but neither how
//! they come about nor the network; docs/formats.md shows what becomes of them.
//!
//! A backup is written from front to back in one pass over the store, with memory for a few pages.

mod error;
mod pages;
mod schema;
mod tree;

pub use error::{Error, Result};
pub use schema::{Source, write};
