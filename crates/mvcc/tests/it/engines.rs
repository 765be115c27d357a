//! Storage engines that lose what was not flushed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};
use storage::Backend;
use storage::memory::MemoryBackend;
use tempfile::TempDir;

/// An empty store at first, which can crash.
pub trait Engine: Sized {
    /// Whether batches that nobody flushed may outlive a crash.
    const KEEPS_SOME: bool;

    fn new() -> Self;

    fn handle(this: &Arc<Self>) -> Arc<dyn Backend>;

    /// What a restart finds: everything up to the last flush, and the first `batches` after it.
    fn crash(&self, batches: usize) -> Self;
}

impl Engine for MemoryBackend {
    const KEEPS_SOME: bool = true;

    fn new() -> MemoryBackend {
        MemoryBackend::with_crash_points(10_000)
    }

    fn handle(this: &Arc<MemoryBackend>) -> Arc<dyn Backend> {
        this.clone()
    }

    fn crash(&self, batches: usize) -> MemoryBackend {
        self.crash_after(batches)
    }
}

/// RocksDB in a directory of its own. It has no log, and the memtables of a test are never full.
pub struct RocksDb {
    store: Arc<dyn Backend>,
    path: PathBuf,
    life: u32,
    /// Of all lives.
    scratch: Arc<TempDir>,
}

impl RocksDb {
    fn open(scratch: Arc<TempDir>, life: u32) -> RocksDb {
        let path = scratch.path().join(life.to_string());
        RocksDb {
            store: storage_rocksdb::open(&path, storage_rocksdb::Options::default()).unwrap(),
            path,
            life,
            scratch,
        }
    }
}

impl Engine for RocksDb {
    const KEEPS_SOME: bool = false;

    fn new() -> RocksDb {
        RocksDb::open(Arc::new(tempfile::tempdir().unwrap()), 0)
    }

    fn handle(this: &Arc<RocksDb>) -> Arc<dyn Backend> {
        this.store.clone()
    }

    /// The files as they are while the store is still open.
    fn crash(&self, batches: usize) -> RocksDb {
        assert_eq!(batches, 0, "nothing is there without a flush");
        let life = self.life + 1;
        let image = self.scratch.path().join(life.to_string());
        // A compaction may replace files between one copy and the next: no crash would find such a mixture.
        while !copied_at_rest(&self.path, &image).unwrap() {}
        RocksDb::open(self.scratch.clone(), life)
    }
}

/// Copies a store's files; false if they changed meanwhile.
fn copied_at_rest(store: &Path, image: &Path) -> io::Result<bool> {
    if image.exists() {
        fs::remove_dir_all(image)?;
    }
    fs::create_dir(image)?;
    let before = files(store)?;
    for name in before.keys() {
        match fs::copy(store.join(name), image.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            copied => copied?,
        };
    }
    Ok(files(store)? == before)
}

/// Names and sizes: the manifest grows with every change of the others.
fn files(store: &Path) -> io::Result<BTreeMap<OsString, u64>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(store)? {
        let entry = entry?;
        match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            metadata => drop(found.insert(entry.file_name(), metadata?.len())),
        }
    }
    Ok(found)
}
