//! The trait on top of fjall.

use crate::cursor::Range;
use crate::directory::{journal_bytes, prepare, sync_parent};
use crate::error::{open as open_error, opening, running};
use crate::key::{self, plain, stored};
use crate::options::Options;
use bytes::Bytes;
use fjall::{Database, Keyspace, PersistMode, Readable};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::{Backend, Batch, Cursor, Error, FailStop, Family, Op, Result, Sizes, Snapshot};

/// An open database and the keyspaces of its families, in the order of their numbers.
struct Db {
    keyspaces: [Keyspace; Family::ALL.len()],
    database: Database,
}

struct Engine {
    db: Arc<Db>,
    path: PathBuf,
    options: Options,
    fail_stop: FailStop,
}

/// Opens the store in `path`, or makes one if the directory is missing or empty. The directory stays locked until the
/// store and all of its snapshots are dropped.
pub fn open(path: &Path, options: Options) -> Result<Arc<dyn Backend>> {
    let is_new = !path.exists();
    let db = Db::open(path, options)?;
    if is_new {
        sync_parent(path).map_err(|e| open_error(path, e))?;
    }
    let path = path.to_owned();
    Ok(Arc::new(Engine {
        db: Arc::new(db),
        path,
        options,
        fail_stop: FailStop::default(),
    }))
}

impl Db {
    fn open(path: &Path, options: Options) -> Result<Db> {
        prepare(path)?;
        let database = options.store(path).open().map_err(|e| opening(path, e))?;
        let known = |name: &str| Family::ALL.iter().any(|family| family.name() == name);
        if let Some(foreign) = database.list_keyspace_names().iter().find(|name| !known(name)) {
            let reason = format!(
                "its keyspace {foreign} is unknown: the database of another program, or of a newer version"
            );
            return Err(open_error(path, reason));
        }
        let mut keyspaces = Vec::with_capacity(Family::ALL.len());
        for family in Family::ALL {
            let keyspace = database.keyspace(family.name(), || options.family(family));
            keyspaces.push(keyspace.map_err(|e| opening(path, e))?);
        }
        let keyspaces = keyspaces.try_into().map_err(|_| open_error(path, "keyspaces"))?;
        Ok(Db { keyspaces, database })
    }

    fn keyspace(&self, family: Family) -> &Keyspace {
        &self.keyspaces[family as usize]
    }

    /// What `batch` comes to, key by key: all changes of a fjall batch have one sequence number, so that the order of
    /// two on one key would be lost, and it has no removal of ranges.
    fn net(&self, batch: Batch) -> Result<BTreeMap<(Family, Bytes), Option<Bytes>>> {
        let mut net = BTreeMap::new();
        for op in batch.into_ops() {
            match op {
                Op::Put(family, key, value) => {
                    if key.len() > key::BYTES_MAX {
                        let len = key.len();
                        return Err(Error::Engine(format!(
                            "a key of {len} bytes, more than {}",
                            key::BYTES_MAX
                        )));
                    }
                    net.insert((family, key), Some(value));
                }
                Op::Delete(family, key) if key.len() > key::BYTES_MAX => drop((family, key)),
                Op::Delete(family, key) => {
                    net.insert((family, key), None);
                }
                Op::DeleteRange(family, start, end) if start < end => {
                    for (_, value) in net.range_mut((family, start.clone())..(family, end.clone())) {
                        *value = None;
                    }
                    let rows = self.keyspace(family).range(stored(&start)..stored(&end));
                    for row in rows {
                        let key = row.key().map_err(running)?;
                        net.insert((family, Bytes::copy_from_slice(plain(&key))), None);
                    }
                }
                Op::DeleteRange(..) => {}
            }
        }
        Ok(net)
    }

    /// Writes all that `snapshot` sees into a new database.
    fn copy(&self, snapshot: &fjall::Snapshot, dir: &Path, options: Options) -> Result<()> {
        let copy = Db::open(dir, options)?;
        for family in Family::ALL {
            let mut rows = snapshot.iter(self.keyspace(family)).peekable();
            if rows.peek().is_none() {
                continue;
            }
            let mut tables = copy.keyspace(family).start_ingestion().map_err(running)?;
            for row in rows {
                let (key, value) = row.into_inner().map_err(running)?;
                tables.write(key, value).map_err(running)?;
            }
            tables.finish().map_err(running)?;
        }
        copy.database.persist(PersistMode::SyncAll).map_err(running)
    }
}

impl Backend for Engine {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.db.keyspace(family).get(stored(key)).map_err(running)?;
        // Copied: fjall's value would hold its whole block in memory.
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        Ok(Arc::new(Held {
            snapshot: self.db.database.snapshot(),
            db: self.db.clone(),
        }))
    }

    fn write(&self, batch: Batch) -> Result<()> {
        self.fail_stop.guard(|| {
            let net = self.db.net(batch)?;
            let mut out = fjall::OwnedWriteBatch::with_capacity(self.db.database.clone(), net.len());
            for ((family, key), value) in net {
                let keyspace = self.db.keyspace(family);
                match value {
                    Some(value) => out.insert(keyspace, stored(&key), &value[..]),
                    None => out.remove(keyspace, stored(&key)),
                }
            }
            out.commit().map_err(running)
        })
    }

    fn flush(&self) -> Result<()> {
        self.fail_stop
            .guard(|| self.db.database.persist(PersistMode::SyncData).map_err(running))
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        let failed = |e: io::Error| Error::Engine(format!("cannot write a copy to {}: {e}", dir.display()));
        if dir.try_exists().map_err(failed)? {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        // Under another name until it is whole.
        let mut unfinished = dir.as_os_str().to_owned();
        unfinished.push(".tmp");
        let unfinished = PathBuf::from(unfinished);
        match fs::remove_dir_all(&unfinished) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        let snapshot = self.db.database.snapshot();
        let options = Options {
            memory_bytes: 0,
            worker_threads: 1,
            ..self.options
        };
        let copied = self.db.copy(&snapshot, &unfinished, options);
        if copied.is_err() {
            // The error says more than a failure to clean up would; the next attempt cleans up as well.
            let _ = fs::remove_dir_all(&unfinished);
        }
        copied?;
        fs::rename(&unfinished, dir)
            .and_then(|()| sync_parent(dir))
            .map_err(failed)
    }

    fn reclaim(&self) -> Result<()> {
        for keyspace in &self.db.keyspaces {
            keyspace.rotate_memtable_and_wait().map_err(running)?;
            keyspace.major_compact().map_err(running)?;
        }
        Ok(())
    }

    fn sizes(&self) -> Result<Sizes> {
        let tables = self.db.keyspaces.iter().map(Keyspace::disk_space).sum::<u64>();
        let journals = journal_bytes(&self.path).map_err(|e| Error::Engine(e.to_string()))?;
        let memtables = self.db.database.write_buffer_size();
        Ok(Sizes {
            disk: tables + journals,
            // Of the journals, what is in no table yet.
            in_use: tables + memtables.min(journals),
            memory: self.db.database.cache_size() + memtables,
        })
    }

    fn key_bytes_max(&self) -> usize {
        key::BYTES_MAX
    }
}

/// A snapshot that keeps its database open.
struct Held {
    snapshot: fjall::Snapshot,
    db: Arc<Db>,
}

impl Snapshot for Held {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self
            .snapshot
            .get(self.db.keyspace(family), stored(key))
            .map_err(running)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, family: Family, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Box<dyn Cursor + '_>> {
        Ok(Box::new(Range::new(
            &self.snapshot,
            self.db.keyspace(family),
            bounds,
        )))
    }
}
