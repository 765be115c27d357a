//! A directory whose fsyncs do nothing.

use super::{Dir, File};
use std::io;
use std::sync::Arc;

/// Passes everything on but fsyncs: `--unsafe-no-fsync`.
pub(crate) struct NoSync(pub Arc<dyn Dir>);

impl Dir for NoSync {
    fn path(&self) -> String {
        self.0.path()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(NoSyncFile(self.0.open(name)?)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(NoSyncFile(self.0.create(name)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

struct NoSyncFile(Arc<dyn File>);

impl File for NoSyncFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(buf, offset)
    }

    fn fill(&self, bytes: u64) -> io::Result<()> {
        self.0.fill(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
