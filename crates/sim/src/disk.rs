//! The disk of a raft log: a directory in memory that loses what was not synced, fills up, fails, and rots.
//!
//! A crash keeps any subset of the sectors written since the last sync and any subset of the directory's changes
//! (ALICE, OSDI'14): files that were created, renamed or removed come and go independently.

use crate::rng::Rng;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use wal::{Dir, File};

/// What a disk writes at once or not at all.
const SECTOR: usize = 512;

/// Bytes at the end of a log in which no bit flips.
const TAIL: u64 = 2048;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// A directory of the simulated disk; clones are the same directory.
#[derive(Clone, Default)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, Arc<Mutex<Content>>>,
    synced: BTreeMap<String, Arc<Mutex<Content>>>,
    pending: Vec<Change>,
    faults: Faults,
}

/// What is wrong with a disk.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Writes fail with ENOSPC.
    pub full: bool,
    /// The next operation that changes something fails with EIO.
    pub fail_next: bool,
    /// So many operations later the power is gone: nothing succeeds from then on.
    pub power_fails_after: Option<u64>,
}

enum Change {
    Create(String, Arc<Mutex<Content>>),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    /// What a sync has made durable, sector by sector where it differs from `now`.
    old: BTreeMap<usize, Vec<u8>>,
    synced_len: usize,
}

impl Content {
    fn touch(&mut self, start: usize, end: usize) {
        for sector in start / SECTOR..end.div_ceil(SECTOR) {
            if !self.old.contains_key(&sector) {
                let from = (sector * SECTOR).min(self.now.len());
                let to = (from + SECTOR).min(self.now.len());
                self.old.insert(sector, self.now[from..to].to_vec());
            }
        }
    }

    fn sync(&mut self) {
        self.old.clear();
        self.synced_len = self.now.len();
    }

    fn crash(&self, rng: &mut Rng) -> Content {
        let mut left = self.now.clone();
        // A crash tends to keep all, or nothing, or some of it.
        let kept = *rng.pick(&[0, 0, 50, 50, 90, 100]);
        for (sector, old) in &self.old {
            if rng.percent(kept) {
                continue;
            }
            let from = sector * SECTOR;
            let to = (from + SECTOR).min(left.len());
            if from >= left.len() {
                continue;
            }
            left[from..to].fill(0);
            let old_end = (from + old.len()).min(to);
            left[from..old_end].copy_from_slice(&old[..old_end - from]);
        }
        if !rng.percent(kept) && self.synced_len < left.len() {
            left.truncate(self.synced_len);
        }
        Content {
            synced_len: left.len(),
            now: left,
            old: BTreeMap::new(),
        }
    }
}

impl Disk {
    /// An empty directory on a healthy disk.
    pub fn new() -> Disk {
        Disk::default()
    }

    /// Sets what is wrong from now on.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state.lock().faults);
    }

    /// Whether the power has gone (see [`Faults::power_fails_after`]).
    pub fn is_dark(&self) -> bool {
        self.state.lock().faults.power_fails_after == Some(0)
    }

    /// The disk after the process died: everything written is still in the page cache.
    pub fn killed(&self) -> Disk {
        self.state.lock().faults = Faults::default();
        self.clone()
    }

    /// The disk after a power failure.
    pub fn power_failed(&self, rng: &mut Rng) -> Disk {
        let state = self.state.lock();
        let kept = *rng.pick(&[0, 50, 50, 100]);
        let mut names = state.synced.clone();
        for change in &state.pending {
            if rng.percent(kept) {
                change.apply(&mut names);
            }
        }
        let names: BTreeMap<_, _> = names
            .iter()
            .map(|(name, content)| (name.clone(), Arc::new(Mutex::new(content.lock().crash(rng)))))
            .collect();
        let survivor = State {
            synced: names.clone(),
            names,
            ..State::default()
        };
        Disk {
            state: Arc::new(Mutex::new(survivor)),
        }
    }

    /// Flips one bit of what is durable, in a file chosen by chance; says where.
    pub fn flip_bit(&self, rng: &mut Rng) -> Option<String> {
        let state = self.state.lock();
        let files: Vec<_> = state.names.iter().collect();
        if files.is_empty() {
            return None;
        }
        let (name, content) = *rng.pick(&files);
        let mut content = content.lock();
        // Segments are filled with zeros beforehand: a bit there is outside the log.
        let used = content.now.iter().rposition(|byte| *byte != 0)? as u64 + 1;
        // Damage to the last record looks like a torn write, and rightly ends the log there.
        let at = rng.below(used.checked_sub(TAIL)?) as usize;
        content.now[at] ^= 1 << rng.below(8);
        Some(format!("{name} at {at}"))
    }

    fn find(&self, name: &str) -> io::Result<Arc<Mutex<Content>>> {
        let state = self.state.lock();
        let found = state.names.get(name).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(matches!(change, Change::Create(..)))?;
        change.apply(&mut state.names);
        state.pending.push(change);
        Ok(())
    }

    fn file(&self, content: Arc<Mutex<Content>>) -> Arc<dyn File> {
        Arc::new(OpenFile {
            content,
            state: self.state.clone(),
        })
    }
}

impl State {
    /// Before every operation that changes something.
    fn step(&mut self, needs_space: bool) -> io::Result<()> {
        match &mut self.faults.power_fails_after {
            Some(0) => return Err(io::Error::from_raw_os_error(EIO)),
            Some(left) => *left -= 1,
            None => {}
        }
        if std::mem::take(&mut self.faults.fail_next) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if needs_space && self.faults.full {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    }
}

impl Change {
    /// Changes that no longer make sense (the file was lost) do nothing.
    fn apply(&self, names: &mut BTreeMap<String, Arc<Mutex<Content>>>) {
        match self {
            Change::Create(name, content) => {
                names.insert(name.clone(), content.clone());
            }
            Change::Rename(from, to) => {
                if let Some(content) = names.remove(from) {
                    names.insert(to.clone(), content);
                }
            }
            Change::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Dir for Disk {
    fn path(&self) -> String {
        "simulated disk".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.find(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let content = Arc::new(Mutex::new(Content::default()));
        self.change(Change::Create(name.to_owned(), content.clone()))?;
        Ok(self.file(content))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.find(from)?;
        self.change(Change::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.find(name)?;
        self.change(Change::Remove(name.to_owned()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(false)?;
        state.synced = state.names.clone();
        state.pending.clear();
        Ok(())
    }
}

struct OpenFile {
    content: Arc<Mutex<Content>>,
    state: Arc<Mutex<State>>,
}

impl File for OpenFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.content.lock().now.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.content.lock();
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.now.len());
        let n = buf.len().min(content.now.len() - start);
        buf[..n].copy_from_slice(&content.now[start..start + n]);
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let start = offset as usize;
        let end = start + buf.len();
        let mut state = self.state.lock();
        let mut content = self.content.lock();
        let grows = end > content.now.len();
        state.step(grows)?;
        content.touch(start, end);
        if grows {
            content.now.resize(end, 0);
        }
        content.now[start..end].copy_from_slice(buf);
        Ok(())
    }

    fn fill(&self, bytes: u64) -> io::Result<()> {
        self.state.lock().step(true)?;
        let mut content = self.content.lock();
        let end = content.now.len().max(bytes as usize);
        content.touch(0, end);
        content.now = vec![0; bytes as usize];
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step(false)?;
        #[cfg(feature = "planted")]
        if planted::is(planted::Bug::SyncLies) {
            return Ok(());
        }
        self.content.lock().sync();
        Ok(())
    }
}

/// Names of the files, for a story.
impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock();
        let names: BTreeSet<&String> = state.names.keys().collect();
        f.debug_struct("Disk").field("files", &names).finish()
    }
}
