//! The trait on top of RocksDB.

use crate::cursor::Range;
use crate::db::{Db, Held};
use crate::error::{open as open_error, opening, running};
use crate::manifest;
use crate::options::{Options, Setup};
use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::properties::{ESTIMATE_LIVE_DATA_SIZE, ESTIMATE_TABLE_READERS_MEM, TOTAL_SST_FILES_SIZE};
use rocksdb::{
    BottommostLevelCompaction, Cache, CompactOptions, DB, FlushOptions, ReadOptions, WriteBatch, WriteOptions,
};
use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use storage::{Backend, Batch, Cursor, Error, FailStop, Family, Op, Result, Sizes, Snapshot};

/// What RocksDB adds to a row in a write batch: kind, family, two lengths.
const ROW_OVERHEAD_BYTES: usize = 12;

struct Engine {
    db: Arc<Db>,
    cache: Cache,
    read: ReadOptions,
    write: WriteOptions,
    fail_stop: FailStop,
}

/// Opens the store in `path`, or makes one if the directory is missing or empty.
///
/// A directory stays taken until the store and all of its snapshots are dropped, within this process by its path:
/// one that was moved away still blocks its old place.
pub fn open(path: &Path, options: Options) -> Result<Arc<dyn Backend>> {
    let files_bytes = check_directory(path)?;
    open_with(path, Setup::new(options, files_bytes))
}

fn open_with(path: &Path, setup: Setup) -> Result<Arc<dyn Backend>> {
    let is_new = !path.exists();
    let store = setup.store();
    let families = setup.families().map_err(|e| opening(path, e))?;
    let rocks = DB::open_cf_descriptors(&store, path, families).map_err(|e| opening(path, e))?;
    if is_new {
        sync_parent(path).map_err(|e| open_error(path, e))?;
    }
    let mut write = WriteOptions::default();
    write.disable_wal(true);
    Ok(Arc::new(Engine {
        db: Arc::new(Db::new(rocks)?),
        cache: setup.cache,
        read: ReadOptions::default(),
        write,
        fail_stop: FailStop::default(),
    }))
}

/// Refuses a directory of something else: RocksDB would make itself at home among any files, and add our families to
/// any database. Returns the bytes of all files.
fn check_directory(path: &Path) -> Result<u64> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(open_error(path, e)),
    };
    let (mut bytes, mut table) = (0, None);
    for entry in entries {
        let entry = entry.map_err(|e| open_error(path, e))?;
        let name = entry.file_name();
        if !is_file_of_rocksdb(&name.to_string_lossy()) {
            let reason = format!("it holds {}, which is not of this store", name.display());
            return Err(open_error(path, reason));
        }
        if name.to_string_lossy().ends_with(".sst") {
            table = Some(entry.path());
        }
        bytes += entry.metadata().map_err(|e| open_error(path, e))?.len();
    }
    if path.join("CURRENT").exists() {
        if let Some(damage) = manifest::unreadable(path).map_err(|e| open_error(path, e))? {
            return Err(Error::Corrupt(damage));
        }
        let found = DB::list_cf(&rocksdb::Options::default(), path).map_err(|e| opening(path, e))?;
        let ours = |name: &String| {
            name == rocksdb::DEFAULT_COLUMN_FAMILY_NAME
                || Family::ALL.iter().any(|family| family.name() == name)
        };
        if let Some(foreign) = found.iter().find(|name| !ours(name)) {
            let reason = format!(
                "its column family {foreign} is unknown: the database of another program, or of a newer version"
            );
            return Err(open_error(path, reason));
        }
    } else if let Some(table) = table {
        // RocksDB would begin anew and remove the tables as left over.
        let lost = format!("the file CURRENT is missing beside {}", table.display());
        return Err(Error::Corrupt(lost));
    }
    Ok(bytes)
}

fn is_file_of_rocksdb(name: &str) -> bool {
    matches!(name, "CURRENT" | "IDENTITY" | "LOCK" | "LOG" | "lost+found")
        || ["MANIFEST-", "OPTIONS-", "LOG.old."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        || [".sst", ".log", ".dbtmp", ".blob", ".trash"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

impl Engine {
    fn sum(&self, property: &CStr) -> Result<u64> {
        let values = self.db.families().map(|family| {
            let value = self
                .db
                .rocks()
                .property_int_value_cf(family, property)
                .map_err(running)?;
            Ok(value.unwrap_or(0))
        });
        values.sum()
    }
}

impl Backend for Engine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        self.db.get(family, key, &self.read)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        Ok(Arc::new(Held::new(self.db.clone())))
    }

    fn write(&self, batch: Batch) -> Result<()> {
        let mut out = WriteBatch::with_capacity_bytes(batch.bytes() + batch.ops().len() * ROW_OVERHEAD_BYTES);
        for op in batch.ops() {
            match op {
                Op::Put(family, key, value) => out.put_cf(self.db.family(*family), key, value),
                Op::Delete(family, key) => out.delete_cf(self.db.family(*family), key),
                // RocksDB calls a range that is upside down an error.
                Op::DeleteRange(family, start, end) if start < end => {
                    out.delete_range_cf(self.db.family(*family), start, end);
                }
                Op::DeleteRange(..) => {}
            }
        }
        self.fail_stop
            .guard(|| self.db.rocks().write_opt(out, &self.write).map_err(running))
    }

    fn flush(&self) -> Result<()> {
        let families: Vec<_> = self.db.families().collect();
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.fail_stop.guard(|| {
            self.db
                .rocks()
                .flush_cfs_opt(&families, &options)
                .map_err(running)
        })
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        // Without a log, what is in memtables would be missing from the links.
        self.flush()?;
        let checkpoint = Checkpoint::new(self.db.rocks()).map_err(running)?;
        checkpoint.create_checkpoint(dir).map_err(running)?;
        sync_parent(dir).map_err(|e| Error::Engine(format!("{}: {e}", dir.display())))
    }

    fn reclaim(&self) -> Result<()> {
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        // The last level too, where most of what was removed lies, but not the files this very call has written.
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        for family in self.db.families() {
            self.db
                .rocks()
                .compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
        }
        Ok(())
    }

    fn sizes(&self) -> Result<Sizes> {
        let disk = self.sum(TOTAL_SST_FILES_SIZE.as_c_str())?;
        Ok(Sizes {
            disk,
            in_use: self.sum(ESTIMATE_LIVE_DATA_SIZE.as_c_str())?.min(disk),
            // Memtables are charged to the cache.
            memory: self.cache.get_usage() as u64 + self.sum(ESTIMATE_TABLE_READERS_MEM.as_c_str())?,
        })
    }
}

impl Snapshot for Held {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        self.db().get(family, key, self.read())
    }

    fn scan(&self, family: Family, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(Range::new(self, family, bounds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_and_without_partitions_are_read_together() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("store");
        for (round, files_bytes) in [0, u64::MAX, 0].into_iter().enumerate() {
            let store = open_with(&path, Setup::new(Options::default(), files_bytes)).unwrap();
            let mut batch = Batch::new();
            for n in (round as u32..30_000).step_by(3) {
                batch.put(Family::Current, n.to_be_bytes().to_vec(), vec![round as u8; 100]);
            }
            store.write(batch).unwrap();
            store.flush().unwrap();
            for n in 0..30_000u32 {
                let expected = (n as usize % 3 <= round).then(|| vec![(n % 3) as u8; 100]);
                assert_eq!(
                    store.get(Family::Current, &n.to_be_bytes()).unwrap().as_deref(),
                    expected.as_deref()
                );
            }
        }
    }
}
