//! Models of the engine's threads: every test tries thousands of ways in which their turns may interleave.
//! `SCHEDULES=N` sets how many.

use std::sync::Arc;

use bytes::Bytes;
use shuttle::thread;

use crate::inbox::{Bounds, Inbox, Mail};
use crate::queue::Queue;
use crate::shared::take_turns;
use crate::sync::Mutex;
use crate::sync::slips::{self, Slip};

const THREADS: u8 = 3;
const PROPOSALS: u8 = 2;

fn schedules(model: impl Fn() + Send + Sync + 'static) {
    let count =
        std::env::var("SCHEDULES").map_or(10_000, |text| text.parse().expect("SCHEDULES is a number"));
    shuttle::check_random(model, count);
}

/// In place of the raft loop: remembers what it was given.
#[derive(Default)]
struct Seen(Vec<Bytes>);

struct Model {
    inbox: Inbox,
    place: Mutex<Option<Seen>>,
}

impl Model {
    fn new(seen: Option<Seen>) -> Arc<Model> {
        let bounds = Bounds {
            proposals: 1000,
            proposal_bytes: 1 << 20,
            reads: 1000,
        };
        Arc::new(Model {
            inbox: Inbox::new(bounds),
            place: Mutex::new(seen),
        })
    }

    fn turn(seen: &mut Seen, mail: Mail) {
        seen.0.extend(mail.proposals);
    }

    fn drive(&self) {
        take_turns(&self.inbox, &self.place, Model::turn);
    }

    fn proposers(self: &Arc<Model>) -> Vec<thread::JoinHandle<()>> {
        (0..THREADS)
            .map(|thread| {
                let model = self.clone();
                thread::spawn(move || {
                    for number in 0..PROPOSALS {
                        let proposal = Bytes::copy_from_slice(&[thread, number]);
                        if model.inbox.propose(vec![proposal]).is_ok() {
                            model.drive();
                        }
                    }
                })
            })
            .collect()
    }

    /// Each proposal once, those of one thread in their order.
    fn assert_complete(&self) {
        let place = self.place.lock();
        let seen = &place.as_ref().expect("the loop is there").0;
        for thread in 0..THREADS {
            let of_thread: Vec<u8> = seen.iter().filter(|p| p[0] == thread).map(|p| p[1]).collect();
            assert_eq!(
                of_thread,
                (0..PROPOSALS).collect::<Vec<_>>(),
                "of thread {thread}"
            );
        }
    }
}

/// Somebody leaves a proposal to another thread that has looked already: it would lie there until the next tick.
#[test]
fn nothing_is_left_lying_when_everybody_has_gone() {
    schedules(proposals_and_ticks);
}

fn proposals_and_ticks() {
    let model = Model::new(Some(Seen::default()));
    // The raft thread, when a tick is due.
    let ticking = model.clone();
    let ticks = thread::spawn(move || {
        for _ in 0..2 {
            if let Some(seen) = &mut *ticking.place.lock()
                && let Some(mail) = ticking.inbox.take_now()
            {
                Model::turn(seen, mail);
            }
            ticking.drive();
        }
    });
    for thread in model.proposers() {
        thread.join().expect("no panic");
    }
    ticks.join().expect("no panic");
    model.assert_complete();
}

/// What comes before the loop is in its place.
#[test]
fn what_came_before_the_loop_is_taken_by_it() {
    schedules(|| {
        let model = Model::new(None);
        let starting = model.clone();
        let start = thread::spawn(move || {
            *starting.place.lock() = Some(Seen::default());
            starting.drive();
        });
        for thread in model.proposers() {
            thread.join().expect("no panic");
        }
        start.join().expect("no panic");
        model.assert_complete();
    });
}

/// A thread that sleeps until the engine is closed, and is not told.
#[test]
fn closing_wakes_the_raft_thread_and_ends_all_turns() {
    schedules(closing);
}

fn closing() {
    let model = Model::new(Some(Seen::default()));
    let sleeping = model.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "some time, which in a model never comes"
    )]
    let never = std::time::Instant::now();
    let raft = thread::spawn(move || while sleeping.inbox.sleep(never) {});
    let proposers = model.proposers();
    model.inbox.close();
    raft.join().expect("no panic");
    for thread in proposers {
        thread.join().expect("no panic");
    }
    assert!(model.inbox.take_now().is_none());
    assert!(!model.inbox.is_urgent(), "nobody will come for it");
}

/// The log writer's queue: a group that is handed over while the writer goes to sleep.
#[test]
fn a_group_is_never_left_in_the_queue() {
    schedules(groups);
}

fn groups() {
    let queue = Arc::new(Queue::default());
    let reading = queue.clone();
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        while let Some(items) = reading.take() {
            all.extend(items);
        }
        all
    });
    let writers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let queue = queue.clone();
            thread::spawn(move || (0..PROPOSALS).for_each(|number| queue.push((thread, number))))
        })
        .collect();
    for writer in writers {
        writer.join().expect("no panic");
    }
    queue.finish();
    let mut all = reader.join().expect("no panic");
    all.sort_unstable();
    let expected: Vec<_> = (0..THREADS)
        .flat_map(|thread| (0..PROPOSALS).map(move |number| (thread, number)))
        .collect();
    assert_eq!(all, expected);
}

/// A writer that waits for ever for what was dropped.
#[test]
fn an_abandoned_queue_lets_its_reader_go() {
    schedules(|| {
        let queue = Arc::new(Queue::default());
        let (reading, writing) = (queue.clone(), queue.clone());
        let reader = thread::spawn(move || while reading.take().is_some() {});
        let writer = thread::spawn(move || (0..PROPOSALS).for_each(|number| writing.push(number)));
        queue.abandon();
        reader.join().expect("no panic");
        writer.join().expect("no panic");
        assert!(queue.is_empty());
    });
}

/// Models that find nothing prove nothing.
#[test]
fn slips_are_found() {
    let models: [(Slip, fn()); 3] = [
        (Slip::OneLook, proposals_and_ticks),
        (Slip::LooksBeforeItSleeps, groups),
        (Slip::ClosesSilently, closing),
    ];
    for (number, (slip, model)) in models.into_iter().enumerate() {
        slips::make(Some(slip));
        let found = std::panic::catch_unwind(|| schedules(model));
        slips::make(None);
        assert!(found.is_err(), "slip {number} goes unnoticed");
    }
}
