//! RocksDB against the contract, and what a user meets when a directory is not in order.

mod directory;

use std::path::Path;
use std::sync::Arc;
use storage::contract::{Engine, suite};
use storage::{Backend, Result};
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
#[test]
fn a_small_budget_is_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let options = Options {
        memory_bytes: 16 << 20,
        ..Options::default()
    };
    let store = open(&scratch.path().join("store"), options).unwrap();
    let value = vec![b'x'; 1000];
    for round in 0..200u32 {
        let mut batch = storage::Batch::new();
        for key in 0..300u32 {
            batch.put(
                storage::Family::Log,
                (round * 300 + key).to_be_bytes().to_vec(),
                value.clone(),
            );
            batch.put(
                storage::Family::Current,
                key.to_be_bytes().to_vec(),
                round.to_be_bytes().to_vec(),
            );
        }
        store.write(batch).unwrap();
    }
    let sizes = store.sizes().unwrap();
    assert!(sizes.memory < 24 << 20, "{sizes:?}");
    assert!(sizes.disk > 0, "60 MB cannot all be in memory: {sizes:?}");
    let newest = store
        .get(storage::Family::Current, &7u32.to_be_bytes())
        .unwrap()
        .unwrap();
    assert_eq!(newest[..], 199u32.to_be_bytes());
}
