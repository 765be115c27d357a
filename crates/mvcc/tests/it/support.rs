//! What every test needs.

use crate::engines::Engine;
use bytes::Bytes;
use model::pb::etcdserverpb::RangeRequest;
use model::{KeyRange, Revision};
use mvcc::{Options, Progress, Read, Store, View, Writer};
use std::sync::Arc;
use storage::memory::MemoryBackend;

/// Small chunks, so that a handful of keys cuts and joins them, and large values that are short.
pub const OPTIONS: Options = Options {
    chunk_keys: Some(4),
    large_value_bytes: Some(2),
    compaction_hash: true,
};

/// A store on an engine that can crash.
pub struct Fixture<E = MemoryBackend> {
    pub backend: Arc<E>,
    pub store: Store,
    pub writer: Writer,
}

impl Fixture {
    pub fn new() -> Fixture {
        Fixture::open(Engine::new())
    }
}

impl<E: Engine> Fixture<E> {
    pub fn open(engine: E) -> Fixture<E> {
        let backend = Arc::new(engine);
        let (store, writer) = Store::open(E::handle(&backend), OPTIONS).unwrap();
        Fixture {
            backend,
            store,
            writer,
        }
    }

    /// Goes on with what was flushed and `batches` more.
    pub fn crash(&mut self, batches: usize) {
        *self = Fixture::open(self.backend.crash(batches));
    }

    pub fn flush(&self) {
        E::handle(&self.backend).flush().unwrap();
    }

    /// One put, committed by itself.
    pub fn put(&mut self, key: &str, value: &str) -> Revision {
        let mut tx = self.writer.begin();
        tx.put(bytes(key), bytes(value), 0).unwrap();
        let revision = tx.finish();
        self.writer.commit().unwrap();
        revision
    }

    /// One delete, committed by itself.
    pub fn delete(&mut self, key: &str) -> Revision {
        let mut tx = self.writer.begin();
        tx.delete_range(&KeyRange::Single(bytes(key))).unwrap();
        let revision = tx.finish();
        self.writer.commit().unwrap();
        revision
    }

    /// Compacts and removes everything that has become obsolete.
    pub fn compact(&mut self, revision: Revision) {
        self.writer.compact(revision).unwrap();
        self.writer.commit().unwrap();
        self.sweep();
    }

    /// Removes what is obsolete; returns how many versions that were.
    pub fn sweep(&self) -> u64 {
        loop {
            match self.store.compaction_step(3).unwrap() {
                Progress::Idle => return 0,
                Progress::More { .. } => {}
                Progress::Finished(swept) => return swept.removed,
            }
        }
    }

    pub fn view(&self) -> Arc<View> {
        self.store.view()
    }

    /// Value of `key`, at a revision other than 0 if given.
    pub fn value(&self, key: &str, revision: i64) -> Option<String> {
        let request = RangeRequest {
            key: bytes(key),
            revision,
            ..Default::default()
        };
        let response = self.view().range(&request).unwrap();
        response.kvs.first().map(|kv| {
            let kv = mvcc::Kv::decode(kv.clone()).unwrap();
            String::from_utf8(kv.value.to_vec()).unwrap()
        })
    }
}

pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Numbers that a seed repeats (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, exclusive.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
