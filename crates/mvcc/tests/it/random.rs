//! Random requests against the store and the model, with compactions, crashes and reads at any revision in between; on
//! the engine in memory, and on RocksDB.

use crate::engines::{Engine, RocksDb};
use crate::hashes;
use crate::model::{Event, Model};
use crate::support::{Fixture, Random};
use bytes::Bytes;
use model::pb::etcdserverpb::{RangeRequest, RangeResponse};
use model::{KeyRange, Rejection, Revision};
use mvcc::{Change, Changes, ChangesLimit, Error, Read};
use std::sync::Arc;
use storage::memory::MemoryBackend;

/// A failing seed is printed; put it here to run it first.
const FAILED_SEEDS: &[u64] = &[];

const KEYS: &[&[u8]] = &[
    b"\0",
    b"a",
    b"a\0",
    b"a\0\0",
    b"a\0b",
    b"a\x01",
    b"aa",
    b"b",
    b"b\xff",
    b"b\xff\xff",
    b"ba",
    b"c",
    b"c/1",
    b"c/2",
    b"c/3",
    b"c/4",
    b"c/5",
    b"c/6",
    b"c/7",
    b"c/8",
    b"d",
    b"\xff",
    b"\xff\xff",
];

#[test]
fn the_store_answers_as_the_model_does() {
    play::<MemoryBackend>(120, 60);
}

/// What only the engine that members run on can get wrong: cursors, tombstones, batches, what a flush covers.
#[test]
fn the_store_on_rocksdb_answers_as_the_model_does() {
    play::<RocksDb>(100, 400);
}

fn play<E: Engine>(seeds: u64, steps: usize) {
    // SEEDS=10000 for an hour with more of them.
    let seeds = std::env::var("SEEDS").map_or(seeds, |count| count.parse().unwrap());
    let seeds = (0..seeds).map(|seed| 0x5eed_0000 + seed);
    let mut compared = 0;
    for seed in FAILED_SEEDS.iter().copied().chain(seeds) {
        // Shown only if the test fails.
        println!("seed {seed:#x}");
        compared += Run::<E>::new(seed).steps(steps);
    }
    println!("{compared} answers compared");
}

struct Run<E> {
    random: Random,
    fixture: Fixture<E>,
    /// With the open group.
    model: Model,
    /// As committed.
    committed: Model,
    /// After the last flush, and after each batch since.
    durable: Vec<Model>,
    /// Answers of the store that were compared with the model's.
    compared: u64,
}

impl<E: Engine> Run<E> {
    fn new(seed: u64) -> Run<E> {
        let model = Model::new();
        Run {
            random: Random(seed),
            fixture: Fixture::open(E::new()),
            committed: model.clone(),
            durable: vec![model.clone()],
            model,
            compared: 0,
        }
    }

    fn steps(mut self, steps: usize) -> u64 {
        for _ in 0..steps {
            match self.random.below(100) {
                0..50 => self.request(),
                50..72 => self.commit(),
                72..80 => self.compact(),
                80..90 => self.compaction_step(),
                90..94 => self.read(),
                // Syncs and restarts of a real engine take most of the time.
                94.. if !E::KEEPS_SOME && self.random.chance(75) => self.read(),
                94..97 => self.flush(),
                _ => self.crash(),
            }
        }
        self.commit();
        self.check();
        self.fixture.sweep();
        self.check();
        self.compared
    }

    fn request(&mut self) {
        let mut tx = self.fixture.writer.begin();
        for _ in 0..1 + self.random.below(4) {
            self.compared += 1;
            if self.random.chance(60) {
                let key = Bytes::from_static(self.random.pick(KEYS));
                let value = Bytes::from(vec![b'v'; self.random.below(4) as usize]);
                let lease = self.random.pick(&[0, 0, 7, -7]);
                let before = tx.put(key.clone(), value.clone(), lease).unwrap();
                let expected = self.model.put(&key, &value, lease);
                assert_eq!(
                    before.map(|kv| kv.encoded),
                    expected.map(|version| version.encode())
                );
            } else if self.random.chance(60) {
                let range = key_range(&mut self.random);
                let deleted = tx.delete_range(&range).unwrap();
                let expected = self.model.delete_range(&range);
                let deleted: Vec<_> = deleted.into_iter().map(|kv| kv.encoded).collect();
                let expected: Vec<_> = expected.iter().map(|version| version.encode()).collect();
                assert_eq!(deleted, expected);
            } else {
                compare_range(&tx, &self.model, &mut self.random);
            }
        }
        assert_eq!(tx.finish().0, self.model.finish());
    }

    fn commit(&mut self) {
        let changes = self.fixture.writer.commit().unwrap();
        let news = self.model.events[self.committed.events.len()..].to_vec();
        assert_eq!(flat(&changes), news);
        let wrote = news.len() + (self.model.compacted - self.committed.compacted) as usize;
        self.committed = self.model.clone();
        if wrote > 0 {
            self.durable.push(self.committed.clone());
        }
        self.check();
    }

    fn compact(&mut self) {
        let revision = self.random.below(self.model.revision as u64 + 3) as i64 - 1;
        let result = self.fixture.writer.compact(Revision(revision));
        assert_eq!(rejection(result), self.model.compact(revision));
    }

    fn compaction_step(&mut self) {
        let pending = self.fixture.store.compaction_pending();
        self.fixture
            .store
            .compaction_step(1 + self.random.below(5) as usize)
            .unwrap();
        if pending {
            self.durable.push(self.committed.clone());
        }
        self.check();
    }

    fn read(&mut self) {
        let view = self.fixture.view();
        for _ in 0..20 {
            compare_range(&*view, &self.committed, &mut self.random);
        }
        self.compared += 20;
    }

    fn flush(&mut self) {
        self.fixture.flush();
        self.durable.drain(..self.durable.len() - 1);
    }

    fn crash(&mut self) {
        let most = if E::KEEPS_SOME {
            self.durable.len() as u64
        } else {
            1
        };
        let batches = self.random.below(most) as usize;
        self.fixture.crash(batches);
        self.committed = self.durable[batches].clone();
        self.model = self.committed.clone();
        self.durable = vec![self.committed.clone()];
        self.fixture.flush();
        self.check();
    }

    fn check(&mut self) {
        self.fixture.store.verify().unwrap();
        let view = self.fixture.view();
        assert_eq!(
            (view.revision().0, view.compacted().0),
            (self.committed.revision, self.committed.compacted)
        );
        let from = self.random.below(self.committed.revision as u64 + 2) as i64;
        let limit = ChangesLimit {
            revisions: 1 + self.random.below(5) as usize,
            bytes: self.random.below(2000) as usize,
        };
        match view.changes(Revision(from), limit) {
            Ok(changes) => {
                let expected = history(&self.committed, from);
                let found = flat(&changes);
                assert_eq!(found, expected[..found.len()]);
                assert!(changes.len() <= limit.revisions);
                assert_eq!(found.is_empty(), expected.is_empty());
                let next = expected.get(found.len());
                assert!(next.is_none_or(|next| next.revision > changes.last().unwrap().revision.0));
            }
            error => {
                assert_eq!(rejection(error.map(drop)), Err(Rejection::Compacted));
                assert!(from < self.committed.compacted);
            }
        }
        let revision = self.random.below(self.committed.revision as u64 + 2) as i64;
        hashes::compare(&self.fixture.store, &self.committed, Revision(revision));
        compare_range(&*view, &self.committed, &mut self.random);
        compare_chunks(&view, &self.committed, &mut self.random);
        // Revisions, events, hash, range and pages.
        self.compared += 5;
    }
}

/// What a watcher that starts at `from` is to see.
fn history(model: &Model, from: i64) -> Vec<Event> {
    let mut events: Vec<_> = model
        .events
        .iter()
        .filter(|event| event.revision >= from)
        .cloned()
        .collect();
    // Of the compacted revision itself, only what is not replaced within it is left, and nothing before it.
    for event in &mut events {
        if event.revision <= model.compacted {
            event.prev_kv.clear();
        }
    }
    let last_at = |key: &Bytes| {
        let compacted = model
            .events
            .iter()
            .filter(|event| event.revision == model.compacted);
        compacted
            .filter(|event| event.key == key)
            .map(|event| event.sub)
            .max()
    };
    events.retain(|event| event.revision != model.compacted || Some(event.sub) == last_at(&event.key));
    events
}

fn compare_range(read: &impl Read, model: &Model, random: &mut Random) {
    let request = range_request(model.revision, random);
    let answer = read.range(&request);
    match model.range(&request) {
        Ok(expected) => assert_eq!(answer.unwrap(), expected, "{request:?}"),
        Err(expected) => assert_eq!(rejection(answer.map(drop)), Err(expected), "{request:?}"),
    }
    let key = Bytes::from_static(random.pick(KEYS));
    let newest = RangeRequest {
        key: key.clone(),
        ..Default::default()
    };
    let expected = model.range(&newest).unwrap().kvs;
    assert_eq!(
        read.get(&key)
            .unwrap()
            .map(|kv| kv.encoded)
            .into_iter()
            .collect::<Vec<_>>(),
        expected
    );
}

/// A list in pages, and the same list as a stream of chunks.
fn compare_chunks(view: &mvcc::View, model: &Model, random: &mut Random) {
    let lowest = model.compacted.max(1);
    let revision = lowest + random.below((model.revision - lowest + 1) as u64) as i64;
    let range = key_range(random);
    let limit = 1 + random.below(6) as usize;
    let mut request = RangeRequest {
        key: range.start().clone(),
        range_end: range.range_end(),
        revision,
        limit: limit as i64,
        ..Default::default()
    };
    let mut from = None;
    loop {
        let page: RangeResponse = view.range(&request).unwrap();
        assert_eq!(page, model.range(&request).unwrap());
        let chunk = view.chunk(&range, from.as_ref(), revision, limit, false).unwrap();
        assert_eq!(chunk.kvs, page.kvs);
        assert_eq!(chunk.next.is_some(), page.more);
        if !page.more {
            break;
        }
        let last = mvcc::Kv::decode(page.kvs.last().unwrap().clone()).unwrap();
        request.key = [&last.key[..], &[0]].concat().into();
        from = chunk.next;
    }
}

fn key_range(random: &mut Random) -> KeyRange {
    let start = Bytes::from_static(random.pick(KEYS));
    let end = match random.below(4) {
        0 => Bytes::new(),
        1 => Bytes::from_static(&[0]),
        _ => Bytes::from_static(random.pick(KEYS)),
    };
    KeyRange::new(start, end)
}

fn range_request(revision: i64, random: &mut Random) -> RangeRequest {
    let range = key_range(random);
    let mut request = RangeRequest {
        key: range.start().clone(),
        range_end: range.range_end(),
        ..Default::default()
    };
    if random.chance(60) {
        request.revision = random.below(revision as u64 + 4) as i64 - 1;
    }
    if random.chance(50) {
        request.limit = random.below(7) as i64 - 1;
    }
    if random.chance(40) {
        request.sort_order = random.below(3) as i32;
        request.sort_target = random.below(5) as i32;
    }
    request.keys_only = random.chance(20);
    request.count_only = random.chance(15);
    for filter in [
        &mut request.min_mod_revision,
        &mut request.max_mod_revision,
        &mut request.min_create_revision,
        &mut request.max_create_revision,
    ] {
        if random.chance(10) {
            *filter = random.below(revision as u64 + 2) as i64;
        }
    }
    request
}

fn flat(changes: &[Arc<Changes>]) -> Vec<Event> {
    let event = |revision: Revision, change: &Change| {
        let event = model::encode_event(change.kind, &change.kv, b"");
        assert_eq!(change.event, event);
        Event {
            revision: revision.0,
            sub: change.sub,
            key: change.key.clone(),
            kind: change.kind,
            kv: change.kv.clone(),
            prev_kv: change.prev_kv.clone(),
        }
    };
    let all = changes.iter().map(|changes| {
        changes
            .changes
            .iter()
            .map(|change| event(changes.revision, change))
    });
    all.flatten().collect()
}

fn rejection(result: Result<(), Error>) -> Result<(), Rejection> {
    match result {
        Ok(()) => Ok(()),
        Err(Error::Rejected(rejection)) => Err(rejection),
        Err(error) => panic!("{error}"),
    }
}
