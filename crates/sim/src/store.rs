//! The store of a simulated member: the engine in memory, with a digest of the replicated state after every batch.

use crate::rng::mix;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::hash::Hasher;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::memory::MemoryBackend;
use storage::{Backend, Batch, Family, Op, Result, Sizes, Snapshot};

/// Batches since the last flush after which a crash may fall; of the later ones it takes all.
const CRASH_POINTS: usize = 64;

/// File beside a store's rows that says which of the simulated stores it is.
const NAME: &str = "sim-id";
/// File in a checkpoint with the digest that belongs to it.
const DIGEST: &str = "sim-digest";

/// The replicated state in two numbers: the same on every member at the same applied index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest {
    /// Every change of a key that was ever written.
    pub log: u64,
    /// Leases, users, roles, members, alarms, revisions: everything else but what compactions have removed so far.
    pub rest: u64,
}

/// Applied index and digest after a batch.
pub type Note = (u64, Digest);

/// All stores of one member, as they outlive its process.
#[derive(Default)]
pub struct Stores {
    stores: Mutex<BTreeMap<u64, Arc<SimStore>>>,
    notes: Arc<Mutex<Vec<Note>>>,
    next: Mutex<u64>,
    /// The one opened last.
    current: Mutex<u64>,
    /// Called when a store has been opened.
    observer: Mutex<Option<crate::disk::Observer>>,
}

impl Stores {
    /// Opens the store in a directory: the one that a crash has left there, a checkpoint, or a new one.
    pub fn open(&self, dir: &Path) -> Result<Arc<dyn Backend>> {
        let failed = |error: std::io::Error| storage::Error::Engine(error.to_string());
        let id = fs::read_to_string(dir.join(NAME)).ok();
        let known = id.and_then(|id| {
            let id = id.parse().ok()?;
            Some((id, self.stores.lock().get(&id)?.clone()))
        });
        if let Some((id, store)) = known {
            *self.current.lock() = id;
            return Ok(store);
        }
        let digest = fs::read_to_string(dir.join(DIGEST)).ok();
        let digest = digest.and_then(|text| {
            let (log, rest) = text.split_once(' ')?;
            Some(Digest {
                log: log.parse().ok()?,
                rest: rest.parse().ok()?,
            })
        });
        let (rows, points) = match digest {
            Some(_) => (MemoryBackend::open(dir)?, 0),
            None => (MemoryBackend::with_crash_points(CRASH_POINTS), CRASH_POINTS),
        };
        let store = SimStore::holding(rows, points, digest.unwrap_or_default(), self.notes.clone());
        let id = {
            let mut next = self.next.lock();
            *next += 1;
            *next
        };
        fs::write(dir.join(NAME), id.to_string()).map_err(failed)?;
        self.stores.lock().insert(id, store.clone());
        *self.current.lock() = id;
        let observer = self.observer.lock().clone();
        if let Some(observer) = observer {
            observer();
        }
        Ok(store)
    }

    /// Has `observer` called whenever a new store was opened.
    pub fn observe(&self, observer: crate::disk::Observer) {
        *self.observer.lock() = Some(observer);
    }

    /// Grows with every write and every flush.
    pub fn generation(&self) -> u64 {
        let stores = self.stores.lock();
        stores
            .values()
            .map(|store| store.changes.load(Ordering::Relaxed))
            .sum()
    }

    /// Up to where the log was ever applied.
    pub fn applied(&self) -> u64 {
        let stores = self.stores.lock();
        let applied = stores.values().map(|store| store.applied.load(Ordering::Relaxed));
        applied.max().unwrap_or(0)
    }

    /// The stores as [`Stores::crash`] would leave them; these go on.
    pub fn crashed(&self, kept: usize) -> Stores {
        let notes = Arc::default();
        let stores = self.stores.lock();
        let stores = stores.iter().map(|(id, store)| (*id, store.crash(kept, &notes)));
        Stores {
            stores: Mutex::new(stores.collect()),
            notes,
            next: Mutex::new(*self.next.lock()),
            current: Mutex::new(*self.current.lock()),
            observer: Mutex::default(),
        }
    }

    /// Where the store that was opened last stands.
    pub fn state(&self) -> Option<Note> {
        let store = self.stores.lock().get(&*self.current.lock())?.clone();
        let index = store.rows.get(Family::Meta, b"applied_index").ok()??;
        let index = index[..].try_into().ok().map(u64::from_be_bytes)?;
        Some((index, store.digests.lock().current))
    }

    /// The process dies: what was not flushed is gone, but for some batches that had reached the disk by themselves.
    pub fn crash(&self, kept: usize) {
        for store in self.stores.lock().values_mut() {
            *store = store.crash(kept, &self.notes);
        }
    }

    /// Digests noted since the last call.
    pub fn take_notes(&self) -> Vec<Note> {
        std::mem::take(&mut *self.notes.lock())
    }
}

/// A store in memory that keeps its digest.
pub struct SimStore {
    rows: MemoryBackend,
    /// Batches after a flush that can be the last before a crash.
    points: usize,
    digests: Mutex<Digests>,
    notes: Arc<Mutex<Vec<Note>>>,
    changes: AtomicU64,
    applied: AtomicU64,
    /// Rows of the applied index that wait for the next batch.
    #[cfg(feature = "planted")]
    late: Mutex<Vec<Op>>,
}

#[cfg(feature = "planted")]
impl SimStore {
    /// The batch with the applied index of the batch before it.
    fn put_off_index(&self, batch: Batch) -> Batch {
        let is_index = |op: &Op| matches!(op, Op::Put(Family::Meta, key, _) if matches!(&key[..], b"applied_index" | b"applied_term"));
        let (index, rest): (Vec<Op>, Vec<Op>) = batch.ops().iter().cloned().partition(is_index);
        let late = match index.is_empty() {
            true => Vec::new(),
            false => std::mem::replace(&mut *self.late.lock(), index),
        };
        let mut changed = Batch::new();
        for op in rest.into_iter().chain(late) {
            match op {
                Op::Put(family, key, value) => changed.put(family, key, value),
                Op::Delete(family, key) => changed.delete(family, key),
                Op::DeleteRange(family, start, end) => changed.delete_range(family, start, end),
            }
        }
        changed
    }

    fn without_leases(&self) -> Result<MemoryBackend> {
        let copy = MemoryBackend::new();
        let snapshot = self.rows.snapshot()?;
        let mut batch = Batch::new();
        for family in Family::ALL {
            if matches!(family, Family::Lease | Family::LeaseKeys) {
                continue;
            }
            let mut cursor =
                snapshot.scan(family, (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded))?;
            while let Some((key, value)) = cursor.next()? {
                batch.put(family, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
            }
        }
        copy.write(batch)?;
        Ok(copy)
    }
}

#[derive(Clone, Default)]
struct Digests {
    current: Digest,
    flushed: Digest,
    unflushed: VecDeque<Digest>,
}

impl SimStore {
    fn holding(
        rows: MemoryBackend,
        points: usize,
        digest: Digest,
        notes: Arc<Mutex<Vec<Note>>>,
    ) -> Arc<SimStore> {
        let digests = Digests {
            current: digest,
            flushed: digest,
            unflushed: VecDeque::new(),
        };
        Arc::new(SimStore {
            rows,
            points,
            #[cfg(feature = "planted")]
            late: Mutex::default(),
            digests: Mutex::new(digests),
            notes,
            changes: AtomicU64::new(0),
            applied: AtomicU64::new(0),
        })
    }

    fn crash(&self, kept: usize, notes: &Arc<Mutex<Vec<Note>>>) -> Arc<SimStore> {
        let digests = self.digests.lock();
        let kept = kept.min(digests.unflushed.len());
        let digest = match kept {
            0 => digests.flushed,
            kept => digests.unflushed[kept - 1],
        };
        SimStore::holding(self.rows.crash_after(kept), self.points, digest, notes.clone())
    }

    fn digest(&self, batch: &Batch, mut digest: Digest) -> Result<(Digest, Option<u64>)> {
        let mut index = None;
        // Rows that the batch itself has changed before.
        let mut fresh: BTreeMap<(Family, Bytes), Option<Bytes>> = BTreeMap::new();
        for op in batch.ops() {
            match op {
                Op::Put(Family::Log, key, value) => {
                    digest.log = digest.log.wrapping_add(hash(Family::Log, key, value));
                }
                Op::Put(family, key, value) if is_replicated(*family, key) => {
                    self.replace(&mut digest, &mut fresh, *family, key, Some(value))?;
                }
                Op::Put(Family::Meta, key, value) if &key[..] == b"applied_index" => {
                    index = value[..].try_into().ok().map(u64::from_be_bytes);
                }
                Op::Delete(family, key) if is_replicated(*family, key) => {
                    self.replace(&mut digest, &mut fresh, *family, key, None)?;
                }
                Op::DeleteRange(family, start, end) if is_replicated(*family, start) => {
                    let snapshot = self.rows.snapshot()?;
                    let bounds = (
                        std::ops::Bound::Included(&start[..]),
                        std::ops::Bound::Excluded(&end[..]),
                    );
                    let mut keys = Vec::new();
                    let mut cursor = snapshot.scan(*family, bounds)?;
                    while let Some((key, _)) = cursor.next()? {
                        keys.push(Bytes::copy_from_slice(key));
                    }
                    let added = fresh
                        .keys()
                        .filter(|(f, key)| f == family && key >= start && key < end);
                    keys.extend(added.map(|(_, key)| key.clone()));
                    for key in keys {
                        self.replace(&mut digest, &mut fresh, *family, &key, None)?;
                    }
                }
                _ => {}
            }
        }
        Ok((digest, index))
    }

    fn replace(
        &self,
        digest: &mut Digest,
        fresh: &mut BTreeMap<(Family, Bytes), Option<Bytes>>,
        family: Family,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<()> {
        let place = (family, key.clone());
        let old = match fresh.get(&place) {
            Some(old) => old.clone(),
            None => self.rows.get(family, key)?,
        };
        if let Some(old) = old {
            digest.rest = digest
                .rest
                .wrapping_sub(hash(family, key, relevant(family, key, &old)));
        }
        if let Some(value) = value {
            digest.rest = digest
                .rest
                .wrapping_add(hash(family, key, relevant(family, key, value)));
        }
        fresh.insert(place, value.cloned());
        Ok(())
    }
}

/// Readers take keys and permissions from two places, which a batch changes one after the other. If a batch changes both,
/// somebody may read keys of one moment with the permissions of another. No run in one thread can see that happen.
fn check_rights_alone(batch: &Batch) -> Result<()> {
    let touches = |wanted: Family| {
        batch.ops().iter().any(|op| match op {
            Op::Put(family, ..) | Op::Delete(family, _) | Op::DeleteRange(family, ..) => *family == wanted,
        })
    };
    match touches(Family::Auth) && touches(Family::Log) {
        true => Err(storage::Error::Engine(
            "keys and permissions change in one batch".to_owned(),
        )),
        false => Ok(()),
    }
}

/// Whether a row says the same on all members. The sweep of a compaction is each member's own affair; the newest
/// versions and the counts follow from the log.
fn is_replicated(family: Family, key: &[u8]) -> bool {
    match family {
        Family::Lease | Family::LeaseKeys | Family::Auth | Family::Members => true,
        Family::Meta => !matches!(key, b"mvcc/sweep" | b"applied_index" | b"applied_term"),
        Family::Current | Family::Log | Family::Versions | Family::Counts => false,
    }
}

/// The part of a row that is replicated: the head of the keys also holds the most bytes that this member ever used.
fn relevant<'a>(family: Family, key: &[u8], value: &'a [u8]) -> &'a [u8] {
    if family == Family::Meta && key == b"mvcc/head" {
        return &value[..value.len().min(33)];
    }
    value
}

fn hash(family: Family, key: &[u8], value: &[u8]) -> u64 {
    // SipHash with fixed keys.
    #[expect(
        deprecated,
        reason = "the one hasher of the standard library that is the same in every process"
    )]
    let mut hasher = std::hash::SipHasher::new_with_keys(family as u64, key.len() as u64);
    hasher.write(key);
    hasher.write(value);
    mix(hasher.finish())
}

impl Backend for SimStore {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        self.rows.get(family, key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.rows.snapshot()
    }

    fn write(&self, batch: Batch) -> Result<()> {
        let mut digests = self.digests.lock();
        #[cfg(feature = "planted")]
        let batch = match planted::is(planted::Bug::IndexApart) {
            true => self.put_off_index(batch),
            false => batch,
        };
        check_rights_alone(&batch)?;
        let (digest, index) = self.digest(&batch, digests.current)?;
        self.rows.write(batch)?;
        digests.current = digest;
        if digests.unflushed.len() < self.points {
            digests.unflushed.push_back(digest);
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
        if let Some(index) = index {
            self.applied.fetch_max(index, Ordering::Relaxed);
            self.notes.lock().push((index, digest));
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        let mut digests = self.digests.lock();
        self.rows.flush()?;
        self.changes.fetch_add(1, Ordering::Relaxed);
        digests.flushed = digests.current;
        digests.unflushed.clear();
        Ok(())
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        let digest = self.digests.lock().current;
        #[cfg(feature = "planted")]
        if planted::is(planted::Bug::SnapshotWithoutLeases) {
            self.without_leases()?.checkpoint(dir)?;
        } else {
            self.rows.checkpoint(dir)?;
        }
        #[cfg(not(feature = "planted"))]
        self.rows.checkpoint(dir)?;
        fs::write(dir.join(DIGEST), format!("{} {}", digest.log, digest.rest))
            .map_err(|error| storage::Error::Engine(error.to_string()))
    }

    fn reclaim(&self) -> Result<()> {
        self.rows.reclaim()
    }

    fn sizes(&self) -> Result<Sizes> {
        self.rows.sizes()
    }
}
