//! fjall's errors in the words of the trait.

use fjall::{Error as Fjall, LsmError};
use std::path::Path;
use storage::Error;

/// Of a running store.
pub fn running(error: Fjall) -> Error {
    if is_damage(&error) {
        Error::Corrupt(error.to_string())
    } else {
        Error::Engine(error.to_string())
    }
}

/// Of an attempt to open one.
pub fn opening(path: &Path, error: Fjall) -> Error {
    match error {
        Fjall::Locked => Error::Locked {
            path: path.display().to_string(),
        },
        error if is_damage(&error) => Error::Corrupt(format!("{}: {error}", path.display())),
        error => open(path, error),
    }
}

pub fn open(path: &Path, reason: impl ToString) -> Error {
    Error::Open {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

fn is_damage(error: &Fjall) -> bool {
    match error {
        Fjall::Storage(error) => !matches!(error, LsmError::Io(_) | LsmError::InvalidVersion(_)),
        Fjall::JournalRecovery(_) | Fjall::Decompress(_) | Fjall::InvalidTrailer => true,
        Fjall::InvalidTag(_) | Fjall::Unrecoverable => true,
        _ => false,
    }
}
