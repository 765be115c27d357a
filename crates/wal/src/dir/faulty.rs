//! A directory that fails.

use super::{Dir, File};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// Passes operations on until the chosen one, which fails. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct FaultyDir {
    inner: Arc<dyn Dir>,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    done: u64,
    fail_at: Option<u64>,
    errno: i32,
}

impl FaultyDir {
    /// Nothing fails until [`FaultyDir::fail_after`] says so.
    pub fn new(inner: Arc<dyn Dir>) -> Self {
        Self {
            inner,
            plan: Arc::default(),
        }
    }

    /// After `operations` more that succeed (reads do not count), one fails with the system's error number `errno`,
    /// without any effect. Those after it succeed again: what then goes wrong is the fault of who did not listen.
    pub fn fail_after(&self, operations: u64, errno: i32) {
        let mut plan = self.plan.lock();
        plan.fail_at = Some(plan.done + operations);
        plan.errno = errno;
    }

    /// Number of operations so far, reads not counted.
    pub fn operations(&self) -> u64 {
        self.plan.lock().done
    }
}

fn step(plan: &Mutex<Plan>) -> io::Result<()> {
    let mut plan = plan.lock();
    let this = plan.done;
    plan.done += 1;
    match plan.fail_at {
        Some(at) if at == this => Err(io::Error::from_raw_os_error(plan.errno)),
        _ => Ok(()),
    }
}

impl Dir for FaultyDir {
    fn path(&self) -> String {
        self.inner.path()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let inner = self.inner.open(name)?;
        Ok(Arc::new(FaultyFile {
            inner,
            plan: self.plan.clone(),
        }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        step(&self.plan)?;
        let inner = self.inner.create(name)?;
        Ok(Arc::new(FaultyFile {
            inner,
            plan: self.plan.clone(),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        step(&self.plan)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        step(&self.plan)?;
        self.inner.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        step(&self.plan)?;
        self.inner.sync()
    }
}

struct FaultyFile {
    inner: Arc<dyn File>,
    plan: Arc<Mutex<Plan>>,
}

impl File for FaultyFile {
    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        step(&self.plan)?;
        self.inner.write_at(buf, offset)
    }

    fn fill(&self, bytes: u64) -> io::Result<()> {
        step(&self.plan)?;
        self.inner.fill(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        step(&self.plan)?;
        self.inner.sync()
    }
}
