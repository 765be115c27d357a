//! Data directories and database files, and having them for oneself.

use crate::Result;
use backup::Database;
use ctl::Failure;
use rustix::fs::FlockOperation;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::Backend;

/// How often somebody who has what we want is asked again.
const RETRY: Duration = Duration::from_millis(50);
/// Caches and unflushed rows of a store that is opened here.
const STORE_BYTES: usize = 128 << 20;

/// What a data directory is.
pub enum Directory {
    /// etcd's.
    Etcd {
        /// Its bbolt file.
        database: PathBuf,
    },
    /// Ours.
    Quorate(StoreDir),
}

/// The store of one of our data directories.
pub struct StoreDir {
    path: PathBuf,
    engine: Engine,
}

/// Storage engines that keep files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Engine {
    #[value(name = "rocksdb")]
    RocksDb,
    Fjall,
}

impl Directory {
    /// Finds out.
    pub fn find(data_dir: &Path) -> Result<Directory> {
        let failed = |error: io::Error| Failure::error(format!("{}: {error}", data_dir.display()));
        if let Some(database) = backup::etcd_database(data_dir).map_err(failed)? {
            return Ok(Directory::Etcd { database });
        }
        let member = data_dir.join("member");
        // A link to where the store is at the moment.
        let Ok(path) = member.join("store").canonicalize() else {
            return Err(Failure::error(format!(
                "stat {}: no such file or directory",
                member.join("snap/db").display()
            )));
        };
        let engine = if path.join("CURRENT").exists() {
            Engine::RocksDb
        } else if path.join("keyspaces").exists() {
            Engine::Fjall
        } else {
            return Err(Failure::error(format!(
                "{} holds no store of RocksDB or fjall",
                path.display()
            )));
        };
        Ok(Directory::Quorate(StoreDir { path, engine }))
    }
}

impl StoreDir {
    /// Opens the store; waits for a process that has it.
    pub fn open(&self, timeout: Duration) -> Result<Arc<dyn Backend>> {
        wait(timeout, || match self.engine.open(&self.path) {
            Err(storage::Error::Locked { .. }) => Ok(None),
            Err(error) => Err(Failure::error(error)),
            Ok(backend) => Ok(Some(backend)),
        })?
        .ok_or_else(|| in_use(&self.path))
    }
}

impl Engine {
    /// Opens or makes a store.
    pub fn open(self, path: &Path) -> storage::Result<Arc<dyn Backend>> {
        match self {
            Engine::RocksDb => rocksdb(path),
            Engine::Fjall => fjall(path),
        }
    }
}

#[cfg(feature = "rocksdb")]
fn rocksdb(path: &Path) -> storage::Result<Arc<dyn Backend>> {
    let options = storage_rocksdb::Options {
        memory_bytes: STORE_BYTES,
        ..storage_rocksdb::Options::default()
    };
    storage_rocksdb::open(path, options)
}

#[cfg(not(feature = "rocksdb"))]
fn rocksdb(path: &Path) -> storage::Result<Arc<dyn Backend>> {
    Err(left_out(path, "RocksDB: give --storage-backend fjall"))
}

#[cfg(feature = "fjall")]
fn fjall(path: &Path) -> storage::Result<Arc<dyn Backend>> {
    let options = storage_fjall::Options {
        memory_bytes: STORE_BYTES as u64,
        ..storage_fjall::Options::default()
    };
    storage_fjall::open(path, options)
}

#[cfg(not(feature = "fjall"))]
fn fjall(path: &Path) -> storage::Result<Arc<dyn Backend>> {
    Err(left_out(path, "fjall: give --storage-backend rocksdb"))
}

#[cfg(not(all(feature = "rocksdb", feature = "fjall")))]
fn left_out(path: &Path, engine: &str) -> storage::Error {
    storage::Error::Open {
        path: path.display().to_string(),
        reason: format!("this build has no {engine}"),
    }
}

/// Opens a database file; waits for an etcd that has it.
pub fn open_database(path: &Path, timeout: Duration) -> Result<Database> {
    let file = lock(path, FlockOperation::NonBlockingLockShared, timeout)?;
    Database::read(file).map_err(database_error)
}

/// Writes a database file anew, without free pages, with another storage version where one is given. The old one stays
/// until the new one is durable.
pub fn replace_database(path: &Path, version: Option<&str>, timeout: Duration) -> Result {
    let failed =
        |error: io::Error| Failure::error(format!("{}: {}", path.display(), ctl::go::io_error(&error)));
    let file = lock(path, FlockOperation::NonBlockingLockExclusive, timeout)?;
    let held = file.try_clone().map_err(failed)?;
    let database = Database::read(file)
        .map_err(database_error)?
        .with_progress(crate::progress::bar("writing"));
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    database
        .rewrite(new.as_file_mut(), version)
        .map_err(Failure::error)?;
    new.as_file().sync_all().map_err(failed)?;
    new.persist(path).map_err(|error| failed(error.error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
    drop(held);
    Ok(())
}

fn lock(path: &Path, operation: FlockOperation, timeout: Duration) -> Result<File> {
    let failed = |error: io::Error| {
        let reason = ctl::go::io_error(&error);
        Failure::error(format!("open {}: {reason}", path.display()))
    };
    let file = File::open(path).map_err(failed)?;
    wait(timeout, || match rustix::fs::flock(&file, operation) {
        Ok(()) => Ok(Some(())),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed(error.into())),
    })?
    .ok_or_else(|| in_use(path))?;
    Ok(file)
}

/// Tries until it succeeds, or the time is over: `None`. Without a timeout there is no end.
fn wait<T>(timeout: Duration, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    #[expect(clippy::disallowed_methods, reason = "a person waits for this program")]
    let begin = Instant::now();
    loop {
        if let Some(got) = attempt()? {
            return Ok(Some(got));
        }
        if !timeout.is_zero() && begin.elapsed() >= timeout {
            return Ok(None);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "locks of files tell nobody when they are free"
        )]
        std::thread::sleep(RETRY);
    }
}

fn in_use(path: &Path) -> Failure {
    Failure::error(format!(
        "{} is in use: stop the server that runs on it, or give a longer --timeout",
        path.display()
    ))
}

fn database_error(error: backup::Error) -> Failure {
    match error {
        // bbolt's words, which scripts may look for.
        backup::Error::NoDatabase => Failure::error("invalid database"),
        error => Failure::error(error),
    }
}
