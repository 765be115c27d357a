//! Storage engines that lose what was not flushed.

use std::path::PathBuf;
use std::sync::Arc;
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
        std::fs::create_dir(&image).unwrap();
        for entry in std::fs::read_dir(&self.path).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), image.join(entry.file_name())).unwrap();
        }
        RocksDb::open(self.scratch.clone(), life)
    }
}
