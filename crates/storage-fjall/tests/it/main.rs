//! fjall against the contract, and what a user meets when a directory is not in order.

mod directory;

use std::path::Path;
use std::sync::Arc;
use storage::contract::{Engine, killed_while_writing, suite};
use storage::{Backend, Batch, Family, Result};
use storage_fjall::{Options, open};

struct Fjall;

impl Engine for Fjall {
    fn open(&self, dir: &Path) -> Result<Arc<dyn Backend>> {
        open(dir, Options::default())
    }

    /// The files as they are, while the store is still open.
    fn crash(&self, dir: &Path, image: &Path) {
        directory::copy(dir, image);
    }
}

#[test]
fn fjall_keeps_the_contract() {
    let scratch = tempfile::tempdir().unwrap();
    suite(&Fjall, scratch.path());
}

/// Memtables so small that fjall writes them out and compacts all the time, and some families are on disk when others
/// are not.
struct SmallFjall;

impl Engine for SmallFjall {
    fn open(&self, dir: &Path) -> Result<Arc<dyn Backend>> {
        open(
            dir,
            Options {
                memory_bytes: 0,
                ..Options::default()
            },
        )
    }

    fn crash(&self, _dir: &Path, _image: &Path) {
        unreachable!("a real process is killed instead");
    }
}

#[test]
fn fjall_survives_being_killed() {
    let scratch = tempfile::tempdir().unwrap();
    killed_while_writing(&SmallFjall, scratch.path(), "fjall_survives_being_killed");
}

#[test]
fn a_key_that_is_too_long_is_refused_before_anything_is_written() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(&scratch.path().join("store"), Options::default()).unwrap();
    let longest = vec![b'k'; store.key_bytes_max()];
    let mut batch = Batch::new();
    batch.put(Family::Current, longest.clone(), "value");
    store.write(batch).unwrap();
    assert!(store.get(Family::Current, &longest).unwrap().is_some());

    let mut batch = Batch::new();
    batch.put(Family::Current, "short", "value");
    batch.put(Family::Current, [&longest[..], b"k"].concat(), "value");
    store.write(batch).expect_err("one byte more");
    assert!(store.get(Family::Current, b"short").unwrap().is_none());
}
