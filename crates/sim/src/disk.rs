//! The disk of a raft log: a directory in memory that loses what was not synced, fills up, fails, and rots.
//!
//! A crash keeps any subset of the sectors written since the last sync and any subset of the directory's changes
//! (ALICE, OSDI'14): files that were created, renamed or removed come and go independently.

use crate::rng::Rng;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use wal::{Dir, File, Keep, MemoryDir};

/// Bytes at the end of a log in which no bit flips.
const TAIL: u64 = 2048;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// A directory of the simulated disk; clones are the same directory.
#[derive(Clone, Default)]
pub struct Disk {
    files: MemoryDir,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    faults: Mutex<Faults>,
    /// Called after every operation that changed something.
    observer: Mutex<Option<Observer>>,
}

/// Who wants to know of every operation.
pub type Observer = Arc<dyn Fn() + Send + Sync>;

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

/// A power failure that keeps so many of a hundred.
struct Percent<'a> {
    rng: &'a mut Rng,
    names: u64,
    content: u64,
}

impl Keep for Percent<'_> {
    fn change(&mut self) -> bool {
        self.rng.percent(self.names)
    }

    fn file(&mut self) {
        // A crash tends to keep all, or nothing, or some of it.
        self.content = *self.rng.pick(&[0, 0, 50, 50, 90, 100]);
    }

    fn sector(&mut self) -> bool {
        self.rng.percent(self.content)
    }

    fn length(&mut self) -> bool {
        self.rng.percent(self.content)
    }
}

impl Disk {
    /// An empty directory on a healthy disk.
    pub fn new() -> Disk {
        Disk::default()
    }

    /// Sets what is wrong from now on.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state.faults.lock());
    }

    /// Whether the power has gone (see [`Faults::power_fails_after`]).
    pub fn is_dark(&self) -> bool {
        self.state.faults.lock().power_fails_after == Some(0)
    }

    /// Has `observer` called after every operation that changes something.
    pub fn observe(&self, observer: Observer) {
        *self.state.observer.lock() = Some(observer);
    }

    /// The disk after the process died: everything written is still in the page cache.
    pub fn killed(&self) -> Disk {
        *self.state.faults.lock() = Faults::default();
        self.clone()
    }

    /// The disk after a power failure.
    pub fn power_failed(&self, rng: &mut Rng) -> Disk {
        let names = *rng.pick(&[0, 50, 50, 100]);
        Disk::holding(self.files.crash_keeping(&mut Percent {
            rng,
            names,
            content: 0,
        }))
    }

    /// A healthy disk with these files.
    pub fn holding(files: MemoryDir) -> Disk {
        Disk {
            files,
            state: Arc::default(),
        }
    }

    /// The files, without the faults.
    pub fn files(&self) -> MemoryDir {
        self.files.clone()
    }

    /// Flips one bit of what is durable, in a file chosen by chance; says where.
    pub fn flip_bit(&self, rng: &mut Rng) -> Option<String> {
        let mut files = self.files.list().ok()?;
        if files.is_empty() {
            return None;
        }
        files.sort();
        let name = rng.pick(&files);
        let mut content = self.files.read(name)?;
        // Segments are filled with zeros beforehand: a bit there is outside the log.
        let used = content.iter().rposition(|byte| *byte != 0)? as u64 + 1;
        // Damage to the last record looks like a torn write, and rightly ends the log there.
        let at = rng.below(used.checked_sub(TAIL)?) as usize;
        content[at] ^= 1 << rng.below(8);
        self.files.write(name, content);
        Some(format!("{name} at {at}"))
    }
}

impl State {
    /// Carries out an operation that changes something.
    fn change<T>(&self, needs_space: bool, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.step(needs_space)?;
        let done = change()?;
        let observer = self.observer.lock().clone();
        if let Some(observer) = observer {
            observer();
        }
        Ok(done)
    }

    fn step(&self, needs_space: bool) -> io::Result<()> {
        let mut faults = self.faults.lock();
        match &mut faults.power_fails_after {
            Some(0) => return Err(io::Error::from_raw_os_error(EIO)),
            Some(left) => *left -= 1,
            None => {}
        }
        if std::mem::take(&mut faults.fail_next) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if needs_space && faults.full {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    }
}

impl Dir for Disk {
    fn path(&self) -> String {
        "simulated disk".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.files.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = self.state.change(true, || self.files.create(name))?;
        Ok(self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.state.change(false, || self.files.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state.change(false, || self.files.remove(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.state.change(false, || self.files.sync())
    }
}

impl Disk {
    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(OpenFile {
            file,
            state: self.state.clone(),
        })
    }
}

struct OpenFile {
    file: Arc<dyn File>,
    state: Arc<State>,
}

impl File for OpenFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let grows = offset + buf.len() as u64 > self.file.size()?;
        self.state.change(grows, || self.file.write_at(buf, offset))
    }

    fn fill(&self, bytes: u64) -> io::Result<()> {
        self.state.change(true, || self.file.fill(bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.state.change(false, || {
            #[cfg(feature = "planted")]
            if planted::is(planted::Bug::SyncLies) {
                return Ok(());
            }
            self.file.sync()
        })
    }
}

/// Names of the files, for a story.
impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("files", &self.list().ok()).finish()
    }
}
