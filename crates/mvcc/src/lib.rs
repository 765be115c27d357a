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

mod format;
mod meta;
mod overlay;
mod range;
mod reader;
mod version_key;
mod wire;

mod count;
mod count_rows;
mod counts;
mod page_counts;

mod compaction;
mod export;
mod hash;
mod history;
mod import;
mod verify;

pub use change::{Change, Changes};
pub use compaction::{Progress, Swept};
pub use error::{Error, Result};
pub use hash::HashKv;
pub use history::ChangesLimit;
pub use kv::Kv;
pub use read::Read;
pub use store::{Options, Sizes, Store};
pub use tx::Tx;
pub use version_key::row_key_bytes;
pub use view::{Chunk, View};
pub use wire::WireRange;
pub use writer::Writer;
