//! A directory for the log that does as little as can be: the log's own work is to be counted, not that of a file system.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use wal::{Dir, File};

/// Files as byte strings. Clones share them.
#[derive(Clone, Default)]
pub struct PlainDir {
    files: Arc<Mutex<BTreeMap<String, Arc<PlainFile>>>>,
}

#[derive(Default)]
struct PlainFile(Mutex<Vec<u8>>);

impl Dir for PlainDir {
    fn path(&self) -> String {
        "memory".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        match self.files.lock().get(name) {
            Some(file) => Ok(file.clone()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = Arc::new(PlainFile::default());
        self.files.lock().insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().remove(name);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl File for PlainFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.0.lock();
        let from = content.len().min(offset as usize);
        let read = buf.len().min(content.len() - from);
        buf[..read].copy_from_slice(&content[from..from + read]);
        Ok(read)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut content = self.0.lock();
        let from = offset as usize;
        if content.len() < from + buf.len() {
            content.resize(from + buf.len(), 0);
        }
        content[from..from + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn fill(&self, bytes: u64) -> io::Result<()> {
        let mut content = self.0.lock();
        if content.len() < bytes as usize {
            content.resize(bytes as usize, 0);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
