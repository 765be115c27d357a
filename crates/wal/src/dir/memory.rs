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
    trace: Vec<String>,
}

enum Change {
    Create(String, Arc<Inode>),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
struct Inode(Mutex<Content>);

#[derive(Default, Clone)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
}

impl MemoryDir {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a power failure now would leave: everything synced, and of the rest each sector and each change of the
    /// directory by chance. Different seeds lose different things. The directory itself goes on unharmed.
    pub fn crash(&self, seed: u64) -> Self {
        let mut chance = Chance(seed);
        let state = self.state.lock();
        let mut names = state.synced.clone();
        for change in &state.pending {
            if chance.coin() {
                change.apply(&mut names);
            }
        }
        let names: BTreeMap<_, _> = names
            .iter()
            .map(|(name, inode)| (name.clone(), inode.crash(&mut chance)))
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

    /// What was done since the last call, one operation a line; reads are left out.
    pub fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().trace)
    }

    /// Content of a file, for looking at.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let inode = self.state.lock().names.get(name)?.clone();
        let content = inode.0.lock();
        Some(content.now.clone())
    }

    /// Replaces a file's content durably, for doing damage.
    pub fn write(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state.lock();
        let inode = Arc::new(Inode(Mutex::new(Content {
            synced: bytes.clone(),
            now: bytes,
        })));
        state.names.insert(name.to_owned(), inode.clone());
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

    fn change(&self, change: Change, trace: String) {
        let mut state = self.state.lock();
        change.apply(&mut state.names);
        state.pending.push(change);
        state.trace.push(trace);
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

impl Inode {
    fn crash(&self, chance: &mut Chance) -> Arc<Inode> {
        let content = self.0.lock();
        let mut left = content.synced.clone();
        // The new length may be there while the bytes are not: then they read as zeros.
        if content.now.len() > left.len() && chance.coin() {
            left.resize(content.now.len(), 0);
        }
        for (index, sector) in left.chunks_mut(SECTOR).enumerate() {
            let start = index * SECTOR;
            let end = (start + sector.len()).min(content.now.len());
            if start < end && sector[..end - start] != content.now[start..end] && chance.coin() {
                sector[..end - start].copy_from_slice(&content.now[start..end]);
            }
        }
        Arc::new(Inode(Mutex::new(Content {
            now: left.clone(),
            synced: left,
        })))
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
        self.change(
            Change::Create(name.to_owned(), inode.clone()),
            format!("create {name}"),
        );
        Ok(self.handle(inode))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.find(from)?;
        self.change(
            Change::Rename(from.to_owned(), to.to_owned()),
            format!("rename {from} to {to}"),
        );
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.find(name)?;
        self.change(Change::Remove(name.to_owned()), format!("remove {name}"));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.synced = state.names.clone();
        state.pending.clear();
        state.trace.push("sync directory".to_owned());
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
        let name = state
            .names
            .iter()
            .find(|(_, inode)| Arc::ptr_eq(inode, &self.inode));
        let line = line(name.map_or("a removed file", |(name, _)| name));
        state.trace.push(line);
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
            if content.now.len() < start + buf.len() {
                content.now.resize(start + buf.len(), 0);
            }
            content.now[start..start + buf.len()].copy_from_slice(buf);
        }
        self.trace(|name| format!("write {name} at {offset}: {} bytes", buf.len()));
        Ok(())
    }

    fn fill(&self, bytes: u64) -> io::Result<()> {
        self.inode.0.lock().now = vec![0; bytes as usize];
        self.trace(|name| format!("fill {name} with {bytes} zeros"));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        {
            let mut content = self.inode.0.lock();
            content.synced = content.now.clone();
        }
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
