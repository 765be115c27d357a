//! The storage engine that the configuration asks for.

use crate::config::{Engine, Storage};
use node::StoreOpener;
use std::sync::Arc;

/// Opens stores with the chosen engine. An engine that was left out of this build is an error here, not later.
pub fn opener(storage: Storage) -> anyhow::Result<StoreOpener> {
    match storage.engine {
        Engine::RocksDb => rocksdb(storage.memory_bytes),
        Engine::Fjall => fjall(storage.memory_bytes),
        Engine::Memory => Ok(Arc::new(|dir| {
            storage::memory::MemoryBackend::open(dir)
                .map(|store| Arc::new(store) as Arc<dyn storage::Backend>)
        })),
    }
}

#[cfg(feature = "rocksdb")]
fn rocksdb(memory_bytes: u64) -> anyhow::Result<StoreOpener> {
    let options = storage_rocksdb::Options {
        memory_bytes: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
        ..storage_rocksdb::Options::default()
    };
    Ok(Arc::new(move |dir| storage_rocksdb::open(dir, options)))
}

#[cfg(not(feature = "rocksdb"))]
fn rocksdb(_memory_bytes: u64) -> anyhow::Result<StoreOpener> {
    anyhow::bail!("this build has no RocksDB: set storage.backend to fjall, or build with --features rocksdb")
}

#[cfg(feature = "fjall")]
fn fjall(memory_bytes: u64) -> anyhow::Result<StoreOpener> {
    let options = storage_fjall::Options {
        memory_bytes,
        ..storage_fjall::Options::default()
    };
    Ok(Arc::new(move |dir| storage_fjall::open(dir, options)))
}

#[cfg(not(feature = "fjall"))]
fn fjall(_memory_bytes: u64) -> anyhow::Result<StoreOpener> {
    anyhow::bail!("this build has no fjall: set storage.backend to rocksdb, or build with --features fjall")
}
