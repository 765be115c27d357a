//! The raft log on disk: segments, checksums, group commit, torn tails, recovery.
//!
//! Files have etcd's framing, so that etcd's log tools read them; docs/formats.md draws the bytes. Knows neither raft
//! nor keys: an entry is an index, a term and opaque data, the hard state is opaque data. Does no waiting and reads no
//! clock: whoever calls [`Wal::append`] and [`Wal::sync`] groups and measures.

mod options;
mod record;
mod wal;

mod frame;
mod head;
mod reader;
mod recovery;
mod replay;
mod segment;
mod spares;

mod dir;
mod error;

pub use dir::{Dir, Disk, FaultyDir, File, Keep, MemoryDir};
pub use error::{Error, Result};
pub use options::{Options, Stats};
pub use reader::Reader;
pub use record::{Entry, Marker, Record};
pub use recovery::{Recovered, Repair};
pub use wal::Wal;
