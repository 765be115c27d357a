//! RocksDB's errors in the words of the trait. Its C interface passes only a text, which begins with the kind.

use rocksdb::ErrorKind;
use std::path::Path;
use storage::Error;

/// Of a running store.
pub fn running(error: rocksdb::Error) -> Error {
    match error.kind() {
        ErrorKind::Corruption => Error::Corrupt(error.into_string()),
        _ => Error::Engine(error.into_string()),
    }
}

/// Of an attempt to open one.
pub fn opening(path: &Path, error: rocksdb::Error) -> Error {
    let text: &str = error.as_ref();
    // "While lock file: …" from another process, "lock hold by current process …" from this one.
    if error.kind() == ErrorKind::IOError && (text.contains("lock file") || text.contains("lock hold")) {
        return Error::Locked {
            path: path.display().to_string(),
        };
    }
    match error.kind() {
        ErrorKind::Corruption => Error::Corrupt(format!("{}: {text}", path.display())),
        _ => open(path, text),
    }
}

pub fn open(path: &Path, reason: impl ToString) -> Error {
    Error::Open {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}
