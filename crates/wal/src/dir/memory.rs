//! A file system in memory that can lose what was not synced.

use super::{Dir, File};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// What a disk writes at once or not at all.
const SECTOR: usize = 512;

/// A directory in memory. Clones share it; [`MemoryDir::crash`] makes what a power failure would leave.
#[derive(Clone, Default)]
pub struct MemoryDir {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, Arc<Inode>>,
    /// The directory as of its last sync, and what was done to it since.
    synced: BTreeMap<String, Arc<Inode>>,
    pending: Vec<Change>,
    /// Only for those who asked for it.
    trace: Option<Vec<String>>,
}

enum Change {
    Create(String, Arc<Inode>),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
struct Inode(Mutex<Content>);

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    /// What the last sync has made durable, sector by sector where it was written since.
    old: BTreeMap<usize, Vec<u8>>,
    synced_len: usize,
}

/// What of the unsynced a power failure leaves: asked of every change and every sector, in order.
pub trait Keep {
    /// Whether the next change of the directory survives.
    fn change(&mut self) -> bool;

    /// Another file's content comes next.
    fn file(&mut self) {}

    /// Whether the next sector written since the last sync survives.
    fn sector(&mut self) -> bool;

    /// Whether the new length of the file does.
    fn length(&mut self) -> bool;
}

impl MemoryDir {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a power failure now would leave: everything synced, and of the rest each sector and each change of the
    /// directory by chance. Different seeds lose different things. The directory itself goes on unharmed.
    pub fn crash(&self, seed: u64) -> Self {
        self.crash_keeping(&mut Chance(seed))
    }

    /// As [`MemoryDir::crash`]; `keep` says what survives.
    pub fn crash_keeping(&self, keep: &mut dyn Keep) -> Self {
        let state = self.state.lock();
        let mut names = state.synced.clone();
        for change in &state.pending {
            if keep.change() {
                change.apply(&mut names);
            }
        }
        let names: BTreeMap<_, _> = names
            .iter()
            .map(|(name, inode)| (name.clone(), inode.crash(keep)))
            .collect();
        let survivor = State {
            synced: names.clone(),
            names,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(survivor)),
        }
    }

    /// An empty directory that notes what is done to it.
    pub fn traced() -> Self {
        let dir = Self::new();
        dir.state.lock().trace = Some(Vec::new());
        dir
    }

    /// What was done since the last call, one operation a line, in a [`MemoryDir::traced`]; reads are left out.
    pub fn take_trace(&self) -> Vec<String> {
        let mut state = self.state.lock();
        state.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Content of a file, for looking at.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let inode = self.state.lock().names.get(name)?.clone();
        let content = inode.0.lock();
        Some(content.now.clone())
    }

    /// Replaces a file's content durably, for doing damage; who has it open sees it.
    pub fn write(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state.lock();
        let inode = state.names.entry(name.to_owned()).or_default().clone();
        *inode.0.lock() = Content::durable(bytes);
        state.synced.insert(name.to_owned(), inode);
    }

    fn find(&self, name: &str) -> io::Result<Arc<Inode>> {
        self.state
            .lock()
            .names
            .get(name)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&self, change: Change, trace: impl FnOnce() -> String) {
        let mut state = self.state.lock();
        change.apply(&mut state.names);
        state.pending.push(change);
        if let Some(lines) = &mut state.trace {
            lines.push(trace());
        }
    }

    fn handle(&self, inode: Arc<Inode>) -> Arc<dyn File> {
        Arc::new(MemoryFile {
            inode,
            state: self.state.clone(),
        })
    }
}

impl Change {
    /// Changes that no longer make sense (the file was lost) do nothing.
    fn apply(&self, names: &mut BTreeMap<String, Arc<Inode>>) {
        match self {
            Change::Create(name, inode) => {
                names.insert(name.clone(), inode.clone());
            }
            Change::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Change::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Content {
    fn durable(bytes: Vec<u8>) -> Self {
        Self {
            synced_len: bytes.len(),
            now: bytes,
            old: BTreeMap::new(),
        }
    }

    /// Remembers what is durable of the sectors that are about to be written.
    fn touch(&mut self, start: usize, end: usize) {
        for sector in start / SECTOR..end.div_ceil(SECTOR) {
            let from = (sector * SECTOR).min(self.now.len());
            let to = (from + SECTOR).min(self.now.len());
            self.old
                .entry(sector)
                .or_insert_with(|| self.now[from..to].to_vec());
        }
    }

    fn sync(&mut self) {
        self.old.clear();
        self.synced_len = self.now.len();
    }
}

impl Inode {
    fn crash(&self, keep: &mut dyn Keep) -> Arc<Inode> {
        keep.file();
        let content = self.0.lock();
        let mut left = content.now.clone();
        for (sector, old) in &content.old {
            if keep.sector() {
                continue;
            }
            let from = sector * SECTOR;
            let to = (from + SECTOR).min(left.len());
            if from >= to {
                continue;
            }
            // The new length may be there while the bytes are not: then they read as zeros.
            left[from..to].fill(0);
            let old_end = (from + old.len()).min(to);
            left[from..old_end].copy_from_slice(&old[..old_end - from]);
        }
        if !keep.length() && content.synced_len < left.len() {
            left.truncate(content.synced_len);
        }
        Arc::new(Inode(Mutex::new(Content::durable(left))))
    }
}

impl Dir for MemoryDir {
    fn path(&self) -> String {
        "memory".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.handle(self.find(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let inode = Arc::new(Inode::default());
        self.change(Change::Create(name.to_owned(), inode.clone()), || {
            format!("create {name}")
        });
        Ok(self.handle(inode))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.find(from)?;
        self.change(Change::Rename(from.to_owned(), to.to_owned()), || {
            format!("rename {from} to {to}")
        });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.find(name)?;
        self.change(Change::Remove(name.to_owned()), || format!("remove {name}"));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.synced = state.names.clone();
        state.pending.clear();
        if let Some(lines) = &mut state.trace {
            lines.push("sync directory".to_owned());
        }
        Ok(())
    }
}

struct MemoryFile {
    inode: Arc<Inode>,
    state: Arc<Mutex<State>>,
}

impl MemoryFile {
    fn trace(&self, line: impl FnOnce(&str) -> String) {
        let mut state = self.state.lock();
        let State { names, trace, .. } = &mut *state;
        let Some(lines) = trace else { return };
        let name = names.iter().find(|(_, inode)| Arc::ptr_eq(inode, &self.inode));
        lines.push(line(name.map_or("a removed file", |(name, _)| name)));
    }
}

impl File for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.inode.0.lock().now.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.inode.0.lock();
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.now.len());
        let n = buf.len().min(content.now.len() - start);
        buf[..n].copy_from_slice(&content.now[start..start + n]);
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let start = offset as usize;
        {
            let mut content = self.inode.0.lock();
            content.touch(start, start + buf.len());
            if content.now.len() < start + buf.len() {
                content.now.resize(start + buf.len(), 0);
            }
            content.now[start..start + buf.len()].copy_from_slice(buf);
        }
        self.trace(|name| format!("write {name} at {offset}: {} bytes", buf.len()));
        Ok(())
    }

    fn fill(&self, bytes: u64) -> io::Result<()> {
        {
            let mut content = self.inode.0.lock();
            let (from, to) = (content.now.len(), bytes as usize);
            if from < to {
                content.touch(from, to);
                content.now.resize(to, 0);
            }
        }
        self.trace(|name| format!("fill {name} with zeros to {bytes}"));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.inode.0.lock().sync();
        self.trace(|name| format!("sync {name}"));
        Ok(())
    }
}

/// SplitMix64: small, and a seed is a whole history.
struct Chance(u64);

impl Chance {
    fn coin(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) & 1 == 1
    }
}

impl Keep for Chance {
    fn change(&mut self) -> bool {
        self.coin()
    }

    fn sector(&mut self) -> bool {
        self.coin()
    }

    fn length(&mut self) -> bool {
        self.coin()
    }
}
