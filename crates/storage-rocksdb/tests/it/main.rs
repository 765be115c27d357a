//! RocksDB against the contract, and what a user meets when a directory is not in order.

mod directory;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use storage::contract::{Engine, damaged, killed_while_writing, suite};
use storage::{Backend, Batch, Family, Result};
use storage_rocksdb::{Options, open};

struct RocksDb;

impl Engine for RocksDb {
    fn open(&self, dir: &Path) -> Result<Arc<dyn Backend>> {
        open(dir, Options::default())
    }

    /// The files as they are, while the store is still open.
    fn crash(&self, dir: &Path, image: &Path) {
        std::fs::create_dir(image).unwrap();
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), image.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn rocksdb_keeps_the_contract() {
    let scratch = tempfile::tempdir().unwrap();
    suite(&RocksDb, scratch.path());
}

/// Memtables of a few MiB, so that RocksDB flushes and compacts by itself in the middle of everything.
const SMALL: Options = Options {
    memory_bytes: 0,
    compaction_threads: 2,
    background_bytes_per_second: None,
    open_files_max: 64,
};

struct SmallRocksDb;

impl Engine for SmallRocksDb {
    fn open(&self, dir: &Path) -> Result<Arc<dyn Backend>> {
        open(dir, SMALL)
    }

    fn crash(&self, _dir: &Path, _image: &Path) {
        unreachable!("a real process is killed instead");
    }
}

#[test]
fn rocksdb_survives_being_killed() {
    let scratch = tempfile::tempdir().unwrap();
    killed_while_writing(&SmallRocksDb, scratch.path(), "rocksdb_survives_being_killed");
}

#[test]
fn damage_of_any_file_is_detected_or_harmless() {
    let scratch = tempfile::tempdir().unwrap();
    damaged(&SmallRocksDb, scratch.path(), 200);
}

/// Fault: RocksDB rewrites all of the log, which grows at its end, after it has moved its files to where they belong.
#[test]
fn what_is_added_at_the_end_of_the_log_is_written_once() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(&scratch.path().join("store"), SMALL).unwrap();
    let tables = || {
        let files = std::fs::read_dir(scratch.path().join("store")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name.ends_with(".sst"))
            .collect::<BTreeSet<_>>()
    };
    let mut written = BTreeSet::new();
    for round in 0..20u32 {
        let mut batch = Batch::new();
        for row in 0..100u32 {
            batch.put(Family::Log, (round * 100 + row).to_be_bytes().to_vec(), "value");
        }
        store.write(batch).unwrap();
        store.flush().unwrap();
        // A reader that goes lets RocksDB look for what it has kept alive.
        drop(store.snapshot().unwrap());
        written.extend(tables());
    }
    assert_eq!((written.len(), tables()), (20, written));
}

#[test]
fn a_small_budget_is_kept_and_space_is_given_back() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(&scratch.path().join("store"), SMALL).unwrap();
    // Does not compress, not even across rows.
    let mut state = 1u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    };
    for round in 0..200u32 {
        let mut batch = Batch::new();
        for key in 0..300u32 {
            let key = (round * 300 + key).to_be_bytes().to_vec();
            let value: Vec<u8> = (0..125).flat_map(|_| noise()).collect();
            batch.put(Family::Log, key, value);
        }
        batch.put(Family::Current, "round", round.to_be_bytes().to_vec());
        store.write(batch).unwrap();
    }
    let full = store.sizes().unwrap();
    assert!(full.memory < 24 << 20, "{full:?}");
    assert!(full.disk > 4 << 20, "60 MB cannot all be in memory: {full:?}");
    assert_eq!(
        store.get(Family::Current, b"round").unwrap().unwrap()[..],
        199u32.to_be_bytes()
    );

    let mut batch = Batch::new();
    batch.delete_range(
        Family::Log,
        0u32.to_be_bytes().to_vec(),
        59_000u32.to_be_bytes().to_vec(),
    );
    store.write(batch).unwrap();
    store.reclaim().unwrap();
    let reclaimed = store.sizes().unwrap();
    assert!(reclaimed.disk < full.disk / 10, "{full:?} {reclaimed:?}");
}
