//! The storage engine that the configuration asks for.

use crate::config::{Engine, Storage};
use node::StoreOpener;
use std::sync::Arc;

/// Opens stores with the chosen engine. An engine that was left out of this build is an error here, not later.
/// It keeps no more than so many files open.
pub fn opener(storage: Storage, open_files_max: u16) -> anyhow::Result<StoreOpener> {
    match storage.engine {
        Engine::RocksDb => rocksdb(storage.memory_bytes, open_files_max),
        Engine::Fjall => fjall(storage.memory_bytes, open_files_max),
        Engine::Memory => Ok(Arc::new(|dir| {
            storage::memory::MemoryBackend::open(dir)
                .map(|store| Arc::new(store) as Arc<dyn storage::Backend>)
        })),
    }
}

#[cfg(feature = "rocksdb")]
fn rocksdb(memory_bytes: u64, open_files_max: u16) -> anyhow::Result<StoreOpener> {
    let options = storage_rocksdb::Options {
        memory_bytes: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
        open_files_max,
        ..storage_rocksdb::Options::default()
    };
    Ok(Arc::new(move |dir| storage_rocksdb::open(dir, options)))
}

#[cfg(not(feature = "rocksdb"))]
fn rocksdb(_memory_bytes: u64, _open_files_max: u16) -> anyhow::Result<StoreOpener> {
    anyhow::bail!("this build has no RocksDB: set storage.backend to fjall, or build with --features rocksdb")
}

#[cfg(feature = "fjall")]
fn fjall(memory_bytes: u64, open_files_max: u16) -> anyhow::Result<StoreOpener> {
    let options = storage_fjall::Options {
        memory_bytes,
        open_files_max,
        ..storage_fjall::Options::default()
    };
    Ok(Arc::new(move |dir| storage_fjall::open(dir, options)))
}

#[cfg(not(feature = "fjall"))]
fn fjall(_memory_bytes: u64, _open_files_max: u16) -> anyhow::Result<StoreOpener> {
    anyhow::bail!("this build has no fjall: set storage.backend to rocksdb, or build with --features fjall")
}
