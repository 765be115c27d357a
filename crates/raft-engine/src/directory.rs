//! Directories that must survive a crash, or be gone.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Moves `from` to `to` in the same file system, durably; what was at `to` is gone.
pub(crate) fn replace(from: &Path, to: &Path) -> io::Result<()> {
    remove(to)?;
    failpoint::point!("snapshotBeforeMoved");
    fs::rename(from, to)?;
    failpoint::point!("snapshotAfterMoved");
    let parents = [from.parent(), to.parent()];
    parents.into_iter().flatten().try_for_each(sync)
}

/// Removes a directory and everything in it; nothing there is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a directory that no longer matters; that it stays is only worth a line in the log.
pub(crate) fn discard(path: &Path) {
    if let Err(error) = remove(path) {
        tracing::warn!(path = %path.display(), %error, "directory was not removed");
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes everything in `path` except `keep`.
pub(crate) fn clear(path: &Path, keep: Option<&Path>) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if Some(entry.path().as_path()) == keep {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
