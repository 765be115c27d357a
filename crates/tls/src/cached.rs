//! Values that are made from files, and made anew when the files change.

use crate::Error;
use parking_lot::Mutex;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// A value, and what its files looked like before it was made.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    files: Vec<PathBuf>,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    seen: Vec<Option<Stamp>>,
    value: Arc<T>,
}

/// What changes when a file is written or replaced. The times alone do not do: they move in steps of some
/// milliseconds, and tools that copy files set them back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T> Cached<T> {
    pub fn new(files: Vec<PathBuf>, make: impl FnOnce() -> Result<T, Error>) -> Result<Cached<T>, Error> {
        // Looked at before they are read: a change in between is then seen as a change the next time.
        let seen = stamps(&files);
        let value = Arc::new(make()?);
        let state = Mutex::new(State { seen, value });
        Ok(Cached { files, state })
    }

    /// The value as the files say now. After an error the next call tries again.
    pub fn current(&self, make: impl FnOnce() -> Result<T, Error>) -> Result<Arc<T>, Error> {
        let seen = stamps(&self.files);
        let mut state = self.state.lock();
        if state.seen != seen {
            state.value = Arc::new(make()?);
            state.seen = seen;
        }
        Ok(Arc::clone(&state.value))
    }

    /// The value as it last was.
    pub fn last(&self) -> Arc<T> {
        Arc::clone(&self.state.lock().value)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    };
    files.iter().map(stamp).collect()
}
