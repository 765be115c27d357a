//! Checkpoints of a member's store on their way to another member.
//!
//! The sender lists the files, the receiver says how much of them it holds already, and the sender goes on from there in
//! parts with a checksum each. A cut connection costs what was under way; the receiver keeps the rest for a while. When
//! all is there and durable, the receiver hands the directory to raft and says `done`. Snapshots have connections of
//! their own, so that raft's messages do not queue behind them.

mod receive;
mod send;

pub(crate) use receive::{Receiver, receive};
pub(crate) use send::send;

use api::quorate::peer::SnapshotFile;
use std::path::{Component, Path, PathBuf};

/// Largest part, in bytes. Small enough that two members' worth of them are nothing.
const PART_BYTES_MAX: usize = 512 << 10;

/// A message with one part is this large at most; also the one that lists the files.
pub(crate) const CHUNK_BYTES_MAX: usize = 64 << 20;

/// More files than any store has.
const FILES_MAX: usize = 100_000;

/// Longest name of a file, in bytes, with its directories.
const NAME_BYTES_MAX: usize = 1024;

/// The place of a file below `dir`, if its name is one that stays there.
fn place(dir: &Path, name: &str) -> Option<PathBuf> {
    let sound = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(['\0', '\\']);
    // `components` swallows doubled and trailing slashes and dots; a name that was changed by it is none of ours.
    let relative = Path::new(name);
    let plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let same = relative.components().collect::<PathBuf>().as_os_str() == relative.as_os_str();
    (sound && plain && same).then(|| dir.join(relative))
}

/// Why a list of files cannot be received.
fn check_files(files: &[SnapshotFile]) -> Result<(), String> {
    if files.len() > FILES_MAX {
        return Err(format!("{} files are too many", files.len()));
    }
    let mut names = std::collections::HashSet::new();
    let mut bytes = 0u64;
    for file in files {
        if place(Path::new(""), &file.name).is_none() {
            return Err(format!("{:?} is no name for a file", file.name));
        }
        if !names.insert(&file.name) {
            return Err(format!("{:?} is listed twice", file.name));
        }
        bytes = bytes.checked_add(file.bytes).ok_or("the files are too large")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for name in ["a", "a/b.sst", "MANIFEST-000004", "..a", "a..b/c"] {
            assert_eq!(
                place(Path::new("/s"), name),
                Some(Path::new("/s").join(name)),
                "{name}"
            );
        }
        for name in [
            "", "/a", "..", "../a", "a/../b", "a/..", ".", "./a", "a/./b", "a//b", "a/", "a\\b", "a\0b",
        ] {
            assert_eq!(place(Path::new("/s"), name), None, "{name:?}");
        }
        assert_eq!(place(Path::new("/s"), &"a".repeat(NAME_BYTES_MAX + 1)), None);
    }

    #[test]
    fn lists_that_make_no_sense_are_refused() {
        let file = |name: &str, bytes| SnapshotFile {
            name: name.to_owned(),
            bytes,
        };
        assert!(check_files(&[]).is_ok());
        assert!(check_files(&[file("a", 1), file("b", 0)]).is_ok());
        assert!(check_files(&[file("a", 1), file("a", 1)]).is_err());
        assert!(check_files(&[file("a", u64::MAX), file("b", 1)]).is_err());
        assert!(check_files(&[file("../a", 1)]).is_err());
    }
}
