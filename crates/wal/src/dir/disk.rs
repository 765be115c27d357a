//! The real file system.

use super::{Dir, File};
use crate::{Error, Result};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of zeros written at a time, see [`File::fill`].
const FILL_STEP: usize = 16 << 10;

/// A locked directory on disk. Dropping it gives the lock back.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    /// Carries the lock: the kernel drops it with the last handle, however the process ends.
    handle: fs::File,
}

impl Disk {
    /// Opens and locks an existing directory; [`Error::Locked`] if another process (or another `Disk`) has it.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::io("open", path.display().to_string(), source);
        let handle = fs::File::open(path).map_err(failed)?;
        match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                handle,
            }),
            Err(Errno::WOULDBLOCK) => Err(Error::Locked {
                path: path.display().to_string(),
            }),
            Err(errno) => Err(Error::io("lock", path.display().to_string(), errno.into())),
        }
    }

    /// Makes the directory (mode 0700) and those above it where they are missing, durably, then as [`Disk::open`].
    pub fn create(path: &Path) -> Result<Self> {
        make_dirs(path).map_err(|source| Error::io("create", path.display().to_string(), source))?;
        Self::open(path)
    }
}

fn make_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    make_dirs(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::File::open(parent)?.sync_all()
}

impl Dir for Disk {
    fn path(&self) -> String {
        self.path.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is no UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path.join(name))?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600);
        Ok(Arc::new(DiskFile(options.open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

struct DiskFile(fs::File);

impl File for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.0.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    fn fill(&self, bytes: u64) -> io::Result<()> {
        let mut offset = self.size()?;
        if offset >= bytes {
            return Ok(());
        }
        // Reserving first says at once if the disk is too full, and gives the file few extents. Not all file systems can.
        match fallocate(&self.0, FallocateFlags::empty(), offset, bytes - offset) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(errno) => return Err(errno.into()),
        }
        // Reserved blocks are marked unwritten, and the first write to each changes that mark: metadata, which every
        // fdatasync would have to carry along. Zeros that were really written save it.
        // In small steps: the page cache keeps what one write brought as one piece, and later walks over the whole of a
        // piece, and counts it as written, for each record that changes a part of it. Written by the mebibyte, every
        // sync of a 300-byte record was booked as a mebibyte, and cost a fifth more processor time.
        let zeros = vec![0; FILL_STEP];
        while offset < bytes {
            let n = (bytes - offset).min(zeros.len() as u64);
            self.0.write_all_at(&zeros[..n as usize], offset)?;
            offset += n;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync also writes the length and the extents where they changed.
        self.0.sync_data()
    }
}
