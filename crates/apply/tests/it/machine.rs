//! Machines on memory backends, and whole states to compare.

use apply::{Machine, Options};
use auth::Tokens;
use bytes::Bytes;
use model::ClusterId;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use storage::memory::MemoryBackend;
use storage::{Backend, Family};

pub fn options() -> Options {
    Options {
        cluster: ClusterId(1),
        quota_bytes: None,
        mvcc: mvcc::Options::default(),
        lease: lease::Options::default(),
        tokens: Arc::new(Tokens::open("simple", Duration::from_secs(300)).unwrap()),
    }
}

pub fn open(backend: Arc<MemoryBackend>) -> Machine {
    Machine::open(backend, options()).unwrap()
}

/// Every row of a store.
pub fn rows(backend: &MemoryBackend) -> Vec<(Family, Bytes, Bytes)> {
    let snapshot = backend.snapshot().unwrap();
    let mut rows = Vec::new();
    for family in Family::ALL {
        let mut cursor = snapshot
            .scan(family, (Bound::Unbounded, Bound::Unbounded))
            .unwrap();
        while let Some((key, value)) = cursor.next().unwrap() {
            rows.push((family, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        }
    }
    rows
}
