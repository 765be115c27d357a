//! Many watchers at once, and threads.

use crate::world::{self, Op, World};
use bytes::Bytes;
use model::pb::etcdserverpb::WatchCreateRequest;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use watch::{Options, StreamOptions};

fn create(key: String, end: &'static str) -> WatchCreateRequest {
    WatchCreateRequest {
        key: key.into(),
        range_end: Bytes::from_static(end.as_bytes()),
        ..Default::default()
    }
}

#[test]
fn ten_thousand_watchers_of_one_key_on_one_stream_all_hear() {
    let mut world = World::new(Options::default());
    let (control, mut responses) = world.hub.open(StreamOptions::default());
    for _ in 0..10_000 {
        control.create(&create("a".into(), ""));
    }
    assert_eq!(world::drain(&mut responses).len(), 10_000);
    for _ in 0..3 {
        world.write(&[Op::Put("a".into(), "1".into())]);
        // All fit into the queue: nobody was put behind.
        assert_eq!(world.hub.stats().slow_watchers, 0);
        assert_eq!(world::drain(&mut responses).len(), 10_000);
    }
    // Two more without reading do not all fit; afterwards everybody catches up.
    world.write(&[Op::Put("a".into(), "2".into())]);
    world.write(&[Op::Put("a".into(), "3".into())]);
    assert!(world.hub.stats().slow_watchers > 0);
    let mut events = 0;
    while world.hub.stats().slow_watchers > 0 || world.hub.stats().pending_events > 0 {
        events += world::drain(&mut responses)
            .iter()
            .map(|response| response.events.len())
            .sum::<usize>();
        world.settle();
    }
    assert_eq!(events, 20_000);
}

#[test]
fn ten_thousand_watchers_of_other_keys_are_not_asked() {
    let mut world = World::new(Options::default());
    let (control, mut responses) = world.hub.open(StreamOptions::default());
    for number in 0..10_000 {
        control.create(&create(format!("k{number:05}"), ""));
        control.create(&create(format!("r{number:05}"), "r99999x"));
    }
    assert_eq!(world::drain(&mut responses).len(), 20_000);
    world.write(&[Op::Put("k00077".into(), "1".into())]);
    assert_eq!(world::drain(&mut responses).len(), 1);
    world.write(&[Op::Put("r00002".into(), "1".into())]);
    assert_eq!(world::drain(&mut responses).len(), 3);
    drop(responses);
    assert_eq!(world.hub.stats().watchers, 0);
}

#[test]
fn creating_and_canceling_leaves_nothing() {
    let world = World::new(Options::default());
    let (control, mut responses) = world.hub.open(StreamOptions::default());
    for number in 0..100_000 {
        let id = control.create(&create(format!("k{}", number % 7), "z")).unwrap();
        control.cancel(id);
        world::drain(&mut responses);
    }
    assert_eq!(world.hub.stats().watchers, 0);
}

#[test]
fn requests_wait_while_answers_are_left_unread() {
    let world = World::new(Options::default());
    let (control, mut responses) = world.hub.open(StreamOptions::default());
    let mut cx = Context::from_waker(Waker::noop());
    let mut asked = 0;
    while control.poll_ready(&mut cx).is_ready() {
        control.refuse("no");
        asked += 1;
    }
    assert!(asked < 1000);
    assert_eq!(world::drain(&mut responses).len(), asked);
    assert!(control.poll_ready(&mut cx).is_ready());
    // Whoever does not wait loses the stream.
    for _ in 0..100_000 {
        control.refuse("no");
    }
    assert!(matches!(responses.poll_next(&mut cx), Poll::Ready(None)));
}

/// Counts wake-ups, and unparks a thread.
struct Alarm(AtomicUsize, std::thread::Thread);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.unpark();
    }
}

#[test]
fn a_reader_a_driver_and_a_writer_on_threads_lose_nothing() {
    const WRITES: usize = 3000;
    let mut world = World::new(Options {
        queue_responses_max: 4,
        ring_revisions_max: 50,
        ..Options::default()
    });
    let hub = world.hub.clone();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let driver = scope.spawn(|| {
            let alarm = Arc::new(Alarm(AtomicUsize::new(0), std::thread::current()));
            hub.set_driver(alarm.into());
            while !done.load(Ordering::SeqCst) {
                if hub.tick(Duration::ZERO).unwrap().is_none() {
                    std::thread::park();
                }
            }
        });
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (control, mut responses) = hub.open(StreamOptions::default());
                control.create(&create("a".into(), ""));
                control.create(&create("a".into(), "c"));
                scope.spawn(move || {
                    let waker = Waker::from(Arc::new(Alarm(AtomicUsize::new(0), std::thread::current())));
                    let mut cx = Context::from_waker(&waker);
                    let mut last = [1i64; 2];
                    while last.iter().any(|last| *last < WRITES as i64 + 1) {
                        match responses.poll_next(&mut cx) {
                            Poll::Pending => std::thread::park(),
                            Poll::Ready(response) => {
                                let response = response.unwrap();
                                let last = &mut last[response.watch_id as usize];
                                for event in world::events(&response) {
                                    assert_eq!(event.kv.mod_revision, *last + 1);
                                    *last += 1;
                                }
                            }
                        }
                    }
                    drop(control);
                })
            })
            .collect();
        for number in 0..WRITES {
            world.write(&[Op::Put("a".into(), number.to_string())]);
        }
        let read: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        done.store(true, Ordering::SeqCst);
        driver.thread().unpark();
        read.into_iter().for_each(|read| read.unwrap());
    });
}
