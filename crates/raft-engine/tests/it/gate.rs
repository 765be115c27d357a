//! A directory whose syncs can be made to hang, as on a disk that does not answer.

use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use wal::{Dir, File, MemoryDir};

/// Open unless shut.
#[derive(Default)]
pub struct Gate {
    shut: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub fn set(&self, shut: bool) {
        *self.shut.lock() = shut;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut shut = self.shut.lock();
        while *shut {
            self.changed.wait(&mut shut);
        }
    }
}

pub struct GatedDir {
    pub inner: MemoryDir,
    pub gate: Arc<Gate>,
}

struct GatedFile {
    inner: Arc<dyn File>,
    gate: Arc<Gate>,
}

impl GatedDir {
    fn gated(&self, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(GatedFile {
            inner,
            gate: self.gate.clone(),
        })
    }
}

impl Dir for GatedDir {
    fn path(&self) -> String {
        self.inner.path()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.gated(self.inner.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.gated(self.inner.create(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

impl File for GatedFile {
    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_at(buf, offset)
    }

    fn fill(&self, bytes: u64) -> io::Result<()> {
        self.inner.fill(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.pass();
        self.inner.sync()
    }
}
