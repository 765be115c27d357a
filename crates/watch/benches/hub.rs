//! What the hub costs per event, from the commit to the bytes of the response.
//!
//! `cargo bench -p watch --bench hub`; under `cargo test` each runs once, to show that it works.

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use model::pb::etcdserverpb::WatchCreateRequest;
use mvcc::{Changes, Store, Writer};
use prost::Message;
use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use storage::memory::MemoryBackend;
use watch::{Control, Hub, Options, Responses, StreamOptions};

/// Past events to catch up with.
const EVENTS: usize = 10_000;

fn main() {
    divan::main();
}

struct World {
    writer: Writer,
    hub: Hub,
    written: usize,
}

impl World {
    fn new() -> World {
        let backend = Arc::new(MemoryBackend::new());
        let (store, writer) = Store::open(backend, mvcc::Options::default()).expect("an empty store opens");
        let hub = Hub::new(store, Options::default());
        World {
            writer,
            hub,
            written: 0,
        }
    }

    /// Writes a group of keys, each by a request of its own.
    fn write(&mut self, group: usize) -> Vec<Arc<Changes>> {
        for _ in 0..group {
            let key = format!("key-{:03}", self.written % 1_000);
            self.written += 1;
            let mut tx = self.writer.begin();
            tx.put(key.into(), Bytes::from_static(&[b'v'; 256]), 0)
                .expect("the memory backend takes it");
            tx.finish();
        }
        self.writer.commit().expect("the memory backend takes it")
    }

    fn watch(&self, watchers: usize, start_revision: i64) -> (Control, Responses) {
        let (control, responses) = self.hub.open(StreamOptions::default());
        for _ in 0..watchers {
            control.create(&WatchCreateRequest {
                key: "key".into(),
                range_end: "kez".into(),
                start_revision,
                ..Default::default()
            });
        }
        (control, responses)
    }
}

/// Encodes the responses that are ready; how many events they hold.
fn drain(responses: &mut Responses) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut events = 0;
    while let Poll::Ready(Some(response)) = responses.poll_next(&mut context) {
        events += response.events.len();
        black_box(response.encode_to_vec());
    }
    events
}

/// One change to so many watchers, by event.
#[divan::bench(args = [1, 100, 10_000])]
fn fan_out(bencher: Bencher<'_, '_>, watchers: usize) {
    let world = RefCell::new(World::new());
    let hub = world.borrow().hub.clone();
    let (_control, mut responses) = world.borrow().watch(watchers, 0);
    drain(&mut responses);
    bencher
        .counter(ItemsCount::new(watchers))
        .with_inputs(|| world.borrow_mut().write(1))
        .bench_local_values(|changes| {
            hub.publish(changes);
            assert_eq!(drain(&mut responses), watchers);
        });
}

/// A group of changes to one watcher, by event.
#[divan::bench(args = [100])]
fn burst(bencher: Bencher<'_, '_>, group: usize) {
    let world = RefCell::new(World::new());
    let hub = world.borrow().hub.clone();
    let (_control, mut responses) = world.borrow().watch(1, 0);
    drain(&mut responses);
    bencher
        .counter(ItemsCount::new(group))
        .with_inputs(|| world.borrow_mut().write(group))
        .bench_local_values(|changes| {
            hub.publish(changes);
            assert_eq!(drain(&mut responses), group);
        });
}

/// Watchers of one stream that begin at the first revision, by event.
#[divan::bench(args = [1, 10], sample_count = 20)]
fn catch_up(bencher: Bencher<'_, '_>, watchers: usize) {
    let mut world = World::new();
    for _ in 0..EVENTS / 100 {
        let changes = world.write(100);
        world.hub.publish(changes);
    }
    bencher
        .counter(ItemsCount::new(EVENTS * watchers))
        .bench_local(|| {
            let (_control, mut responses) = world.watch(watchers, 1);
            let mut events = drain(&mut responses);
            while events < EVENTS * watchers {
                world.hub.tick(Duration::ZERO).expect("a readable store");
                events += drain(&mut responses);
            }
        });
}
