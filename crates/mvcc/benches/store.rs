//! What the store itself costs per request, on the memory backend: writes in groups, reads, counts, history,
//! compaction. Not for comparing engines, and not for latency under load.
//!
//! `cargo bench -p mvcc --bench store`; under `cargo test` each runs once, to show that it works.

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use model::pb::etcdserverpb::RangeRequest;
use model::{KeyRange, Revision};
use mvcc::{ChangesLimit, Options, Progress, Read, Store, Writer};
use std::sync::Arc;
use storage::memory::MemoryBackend;

/// Keys of a filled store.
const KEYS: usize = 20_000;
/// Versions that a compaction removes.
const OLD: usize = 2_000;

fn main() {
    divan::main();
}

struct Filled {
    store: Store,
    writer: Writer,
    names: Vec<Bytes>,
    value: Bytes,
}

impl Filled {
    fn new(keys: usize) -> Filled {
        let backend = Arc::new(MemoryBackend::new());
        let (store, writer) = Store::open(backend, Options::default()).expect("an empty store opens");
        let mut filled = Filled {
            store,
            writer,
            names: (0..keys as u64).map(name).collect(),
            value: vec![b'v'; 256].into(),
        };
        filled.update_all();
        filled
    }

    /// Writes a group of keys, each by a request of its own.
    fn write(&mut self, names: &[Bytes]) {
        for name in names {
            let mut tx = self.writer.begin();
            tx.put(name.clone(), self.value.clone(), 0)
                .expect("the memory backend takes it");
            tx.finish();
        }
        black_box(self.writer.commit().expect("the memory backend takes it"));
    }

    fn update_all(&mut self) {
        let names = self.names.clone();
        names.chunks(200).for_each(|names| self.write(names));
    }
}

/// Names whose order is not that of their numbers.
fn name(number: u64) -> Bytes {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    Bytes::from(format!("/registry/pods/{mixed:012x}/{number:08}"))
}

#[divan::bench(args = [1, 200])]
fn create(bencher: Bencher<'_, '_>, group: usize) {
    let mut filled = Filled::new(KEYS);
    let mut number = KEYS as u64;
    bencher.counter(ItemsCount::new(group)).bench_local(|| {
        let names: Vec<Bytes> = (number..number + group as u64).map(name).collect();
        number += group as u64;
        filled.write(&names);
    });
}

#[divan::bench(args = [1, 200])]
fn update(bencher: Bencher<'_, '_>, group: usize) {
    let mut filled = Filled::new(KEYS);
    let names = filled.names.clone();
    let mut groups = names.chunks_exact(group).cycle();
    bencher
        .counter(ItemsCount::new(group))
        .bench_local(|| filled.write(groups.next().expect("a cycle")));
}

#[divan::bench]
fn get(bencher: Bencher<'_, '_>) {
    let filled = Filled::new(KEYS);
    let view = filled.store.view();
    let mut names = filled.names.iter().cycle();
    bencher.bench_local(|| {
        view.get(names.next().expect("a cycle"))
            .expect("a readable store")
    });
}

/// From a key on, with the count of all that follow; by key.
#[divan::bench(args = [500])]
fn page(bencher: Bencher<'_, '_>, limit: usize) {
    let filled = Filled::new(KEYS);
    let view = filled.store.view();
    let mut names = filled.names.iter().step_by(7).cycle();
    bencher.counter(ItemsCount::new(limit)).bench_local(|| {
        let request = RangeRequest {
            key: names.next().expect("a cycle").clone(),
            range_end: Bytes::from_static(b"\0"),
            limit: limit as i64,
            ..Default::default()
        };
        view.range(&request).expect("a readable store")
    });
}

/// Of a revision since which every key has changed; by key.
#[divan::bench(args = [500])]
fn old_page(bencher: Bencher<'_, '_>, limit: usize) {
    let mut filled = Filled::new(KEYS);
    let before = filled.store.view().revision();
    filled.update_all();
    let view = filled.store.view();
    let mut names = filled.names.iter().step_by(7).cycle();
    bencher.counter(ItemsCount::new(limit)).bench_local(|| {
        let range = KeyRange::From(names.next().expect("a cycle").clone());
        view.chunk(&range, None, before.0, limit, false)
            .expect("a readable store")
    });
}

#[divan::bench]
fn count(bencher: Bencher<'_, '_>) {
    let filled = Filled::new(KEYS);
    let view = filled.store.view();
    let mut names = filled.names.iter().cycle();
    bencher.bench_local(|| {
        let range = KeyRange::From(names.next().expect("a cycle").clone());
        view.count(&range, 0).expect("a readable store")
    });
}

/// By revision.
#[divan::bench(args = [1_000])]
fn history(bencher: Bencher<'_, '_>, revisions: usize) {
    let filled = Filled::new(KEYS);
    let view = filled.store.view();
    let limit = ChangesLimit {
        revisions,
        bytes: usize::MAX,
    };
    bencher
        .counter(ItemsCount::new(revisions))
        .bench_local(|| view.changes(Revision(5_000), limit).expect("a readable store"));
}

/// By removed version.
#[divan::bench(sample_count = 10)]
fn compaction(bencher: Bencher<'_, '_>) {
    let outdated = || {
        let mut filled = Filled::new(OLD);
        filled.update_all();
        let revision = filled.store.view().revision();
        filled.writer.compact(revision).expect("a revision that is there");
        filled.writer.commit().expect("the memory backend takes it");
        filled
    };
    bencher
        .counter(ItemsCount::new(OLD))
        .with_inputs(outdated)
        .bench_local_refs(|filled| {
            while filled.store.compaction_step(1_000).expect("a readable store") != Progress::Idle {}
        });
}
