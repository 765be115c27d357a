//! Models of the threads around a hub: the one that applies, the one that drives, and those of slow clients. Every test
//! tries thousands of ways in which their turns may interleave; `SCHEDULES=N` sets how many.

use crate::{Hub, Options, Responses, StreamOptions};
use model::pb::etcdserverpb::WatchCreateRequest;
use model::pb::mvccpb;
use mvcc::{Store, Writer};
use prost::Message;
use shuttle::future::block_on;
use shuttle::thread;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use storage::memory::MemoryBackend;

const FIRST: i64 = 2;
const REVISIONS: i64 = 6;
const LAST: i64 = FIRST + REVISIONS - 1;

fn schedules(model: impl Fn() + Send + Sync + 'static) {
    let count = std::env::var("SCHEDULES").map_or(3_000, |text| text.parse().expect("SCHEDULES is a number"));
    shuttle::check_random(model, count);
}

/// A hub whose streams have room for hardly anything, and which remembers few revisions: whoever waits is behind.
fn world(ring: usize) -> (Hub, Writer) {
    let backend = Arc::new(MemoryBackend::new());
    let (store, writer) = Store::open(backend, mvcc::Options::default()).expect("an empty store");
    let options = Options {
        ring_revisions_max: ring,
        queue_responses_max: 1,
        ..Options::default()
    };
    (Hub::new(store, options), writer)
}

fn write(hub: &Hub, writer: &mut Writer) {
    for _ in 0..REVISIONS {
        let mut tx = writer.begin();
        tx.put("key".into(), "value".into(), 0).expect("a put");
        tx.finish();
        hub.publish(writer.commit().expect("a commit"));
    }
}

/// The thread that drives the hub: ticks when it is woken, and sleeps otherwise.
struct Driver {
    hub: Hub,
    stop: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Driver {
    fn start(hub: &Hub) -> (Arc<Driver>, thread::JoinHandle<()>) {
        let driver = Arc::new(Driver {
            hub: hub.clone(),
            stop: AtomicBool::new(false),
            waker: Mutex::new(None),
        });
        let driving = driver.clone();
        let thread = thread::spawn(move || block_on(poll_fn(|cx| driving.poll(cx))));
        (driver, thread)
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self
            .waker
            .lock()
            .expect("no panic")
            .replace(cx.waker().clone())
            .is_none()
        {
            self.hub.set_driver(cx.waker().clone());
        }
        while !self.stop.load(SeqCst) {
            match self.hub.tick(Duration::ZERO).expect("a sound store") {
                Some(at) if at <= Duration::ZERO => {}
                _ => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    fn stop(&self) {
        self.stop.store(true, SeqCst);
        // The lock is none of the model's: nobody may have to wait for it.
        let waker = self.waker.lock().expect("no panic").take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Reads a stream until the last revision has come: each once, in order.
fn read(mut responses: Responses, from: i64) {
    let mut next = from;
    while next <= LAST {
        let response = block_on(poll_fn(|cx| responses.poll_next(cx))).expect("the stream is open");
        assert!(!response.canceled, "{}", response.cancel_reason);
        for event in &response.events {
            let event = mvccpb::Event::decode(event.clone()).map(|event| event.kv);
            let kv = mvccpb::KeyValue::decode(event.expect("an event")).expect("a key");
            assert_eq!(kv.mod_revision, next, "out of order, twice or missing");
            next += 1;
        }
    }
}

fn watch(hub: &Hub, from: i64) -> Responses {
    let (control, responses) = hub.open(StreamOptions::default());
    let request = WatchCreateRequest {
        key: "key".into(),
        start_revision: from,
        ..Default::default()
    };
    assert!(control.create(&request).is_some());
    responses
}

fn story(ring: usize) {
    let (hub, mut writer) = world(ring);
    let (driver, driving) = Driver::start(&hub);
    // In step from the start, and behind from the start.
    let early = watch(&hub, FIRST);
    let late = hub.clone();
    let readers = [
        thread::spawn(move || read(early, FIRST)),
        thread::spawn(move || read(watch(&late, FIRST), FIRST)),
    ];
    let publishing = hub.clone();
    let writing = thread::spawn(move || write(&publishing, &mut writer));
    writing.join().expect("no panic");
    for reader in readers {
        reader.join().expect("no panic");
    }
    driver.stop();
    driving.join().expect("no panic");
}

/// A watcher that waits for room, or to catch up, and whom nobody tells: its thread would sleep for ever, which the model
/// reports as a deadlock.
#[test]
fn a_watcher_without_room_is_always_served_in_the_end() {
    schedules(|| story(100));
}

/// The same where what is missed must be read from the store.
#[test]
fn a_watcher_far_behind_is_always_served_in_the_end() {
    schedules(|| story(1));
}

/// A stream that is dropped while it is written to and caught up with.
#[test]
fn a_stream_that_ends_in_the_middle_takes_nobody_with_it() {
    schedules(|| {
        let (hub, mut writer) = world(2);
        let (driver, driving) = Driver::start(&hub);
        let (leaving, staying) = (watch(&hub, FIRST), watch(&hub, FIRST));
        let threads = [
            thread::spawn(move || drop(leaving)),
            thread::spawn(move || read(staying, FIRST)),
        ];
        write(&hub, &mut writer);
        for thread in threads {
            thread.join().expect("no panic");
        }
        driver.stop();
        driving.join().expect("no panic");
        assert_eq!(hub.stats().streams, 0, "nobody is left");
    });
}

/// Readers of a hub that is closed are told, whatever they wait for.
#[test]
fn closing_tells_every_reader() {
    schedules(|| {
        let (hub, mut writer) = world(2);
        let mut responses = watch(&hub, FIRST);
        let reader =
            thread::spawn(move || while block_on(poll_fn(|cx| responses.poll_next(cx))).is_some() {});
        let closing = hub.clone();
        let closer = thread::spawn(move || closing.close());
        write(&hub, &mut writer);
        closer.join().expect("no panic");
        reader.join().expect("no panic");
    });
}

/// Models that find nothing prove nothing.
#[test]
fn a_slip_is_found() {
    crate::sync::slip(true);
    let found = std::panic::catch_unwind(|| schedules(|| story(100)));
    crate::sync::slip(false);
    assert!(found.is_err(), "it goes unnoticed");
}
