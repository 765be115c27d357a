//! The seam to the file system: what the log asks of it, and four answers.

mod disk;
mod faulty;
mod memory;
mod no_sync;

pub use disk::Disk;
pub use faulty::FaultyDir;
pub use memory::{Keep, MemoryDir};
pub(crate) use no_sync::NoSync;

use std::io;
use std::sync::Arc;

/// A directory of files, flat. Creating, renaming and removing are durable after [`Dir::sync`] only, and until then a
/// crash may undo any of them, in any order.
pub trait Dir: Send + Sync + 'static {
    /// For messages.
    fn path(&self) -> String;

    /// Names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Makes an empty file; an existing one of that name is emptied.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Renames a file, replacing `to`. Open handles stay valid.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Open handles stay valid.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the directory's entries durable.
    fn sync(&self) -> io::Result<()>;
}

/// An open file. What is written is durable after [`File::sync`] only; until then a crash may keep any of the sectors
/// written and lose others.
pub trait File: Send + Sync + 'static {
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buf` from `offset` on as far as the file goes; returns the number of bytes read.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `buf` at `offset`, extending the file where needed.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// Lengthens the file to `bytes` by zeros that are really written, so that later writes change no metadata.
    fn fill(&self, bytes: u64) -> io::Result<()>;

    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;
}
