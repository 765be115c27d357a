//! Revisions over a byte store: every write makes a new version of its keys, reads look at any revision that is not
//! compacted away, the history is kept for watchers. Knows nothing of raft, leases' lifetimes, users or clocks.
//!
//! One [`Writer`] collects the changes of many requests and commits them as one backend batch; any number of readers
//! hold a [`View`], the store as one commit left it.

mod change;
mod error;
mod kv;
mod read;
mod store;
mod tx;
mod view;
mod writer;

pub use change::{Change, Changes};
pub use error::{Error, Result};
pub use kv::Kv;
pub use read::Read;
pub use store::{HashKv, Options, Progress, Sizes, Store, Swept};
pub use tx::Tx;
pub use view::{ChangesLimit, Chunk, View};
pub use writer::Writer;
