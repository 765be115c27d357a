//! What may be in the directory of a store.

use crate::error::open as open_error;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use storage::Result;

/// Written last when a store is made.
const MARKER: &str = "version";
const KEYSPACES: &str = "keyspaces";

/// Refuses a directory of something else, and clears what is left of a store that was never finished: fjall would
/// settle among any files, but not among its own.
pub fn prepare(path: &Path) -> Result<()> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(open_error(path, e)),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| open_error(path, e))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        match &*name {
            MARKER | KEYSPACES | "lock" | "lost+found" => {}
            _ if name.ends_with(".jnl") => journals.push(entry.path()),
            _ => {
                return Err(open_error(
                    path,
                    format!("it holds {name}, which is not of this store"),
                ));
            }
        }
    }
    if path.join(MARKER).exists() {
        return Ok(());
    }
    let unfinished = match fs::read_dir(path.join(KEYSPACES)) {
        Ok(mut keyspaces) => keyspaces.next().is_none(),
        Err(e) => e.kind() == io::ErrorKind::NotFound,
    };
    if !unfinished {
        return Err(open_error(
            path,
            format!("its file {MARKER:?} is missing, but there is data"),
        ));
    }
    for journal in journals {
        fs::remove_file(journal).map_err(|e| open_error(path, e))?;
    }
    Ok(())
}

/// Bytes that the journals take on disk: they are made larger than what is in them.
pub fn journal_bytes(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".jnl") {
            match entry.metadata() {
                // In units of 512 bytes, whatever the file system's blocks are.
                Ok(metadata) => bytes += metadata.blocks() * 512,
                // Retired since it was listed.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(bytes)
}

/// Makes the name of `path` itself durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
