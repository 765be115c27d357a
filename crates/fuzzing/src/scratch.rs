//! Files for decoders that want paths.

use std::cell::LazyCell;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::PathBuf;
use tempfile::TempDir;

thread_local! {
    static DIR: LazyCell<TempDir> = LazyCell::new(directory);
}

/// A new directory, in memory where the system has such.
pub(crate) fn directory() -> TempDir {
    let made = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    made.expect("a directory for temporary files can be made")
}

/// A file of this name with this content, of the calling thread; the next call replaces it.
pub(crate) fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = DIR.with(|dir| dir.path().join(name));
    std::fs::write(&path, content).expect("a temporary file can be written");
    path
}

/// An open file without a name, at its start.
pub(crate) fn unnamed(content: &[u8]) -> File {
    let made = tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile());
    let mut file = made.expect("a temporary file can be made");
    let written = file.write_all(content).and_then(|()| file.rewind());
    written.expect("a temporary file can be written");
    file
}
