//! The hub as its owners see it, and the locks inside.
//!
//! Order of locks: the sweep (only the driver takes it), then the state, then a stream's queue. Wakers are woken with
//! none of them held, for waking may run foreign code.

use crate::catch_up::Sweep;
use crate::queue::Queue;
use crate::state::State;
use crate::stats::EventCounters;
use crate::sync::Mutex;
use crate::{Control, Error, Options, Responses, Stats, StreamOptions};
use mvcc::{Changes, Read, Store};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// Passes changes on to watchers. Cheap to clone; all clones are the same hub.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    pub(crate) sweep: Mutex<Sweep>,
    /// Streams that have room again for watchers they had none for.
    resumed: Mutex<Vec<u64>>,
    driver: Mutex<Option<Waker>>,
    counters: Arc<EventCounters>,
    options: Options,
}

impl Hub {
    /// A hub that stands at the newest revision of `store`.
    pub fn new(store: Store, options: Options) -> Hub {
        Hub {
            shared: Arc::new(Shared {
                state: Mutex::new(State::new(store, &options)),
                sweep: Mutex::new(Sweep::default()),
                resumed: Mutex::new(Vec::new()),
                driver: Mutex::new(None),
                counters: Arc::new(EventCounters::default()),
                options,
            }),
        }
    }

    /// Hands out what a commit changed, in order of revision. The store must show these revisions already, and the
    /// writer must not have been answered yet, or it could miss its own change on a watch it opens next.
    ///
    /// For the apply thread: costs as much as there are watchers of the changed keys, does no IO, and waits for nobody
    /// but short holders of the hub's lock.
    pub fn publish(&self, changes: Vec<Arc<Changes>>) {
        if changes.is_empty() {
            return;
        }
        self.shared.change(|state, wakers| {
            for changes in changes {
                state.publish(changes, wakers);
            }
        });
    }

    /// Does what is due: brings watchers that are behind one step forward, and reports progress. Reads from disk, so
    /// it wants a thread that may block; calls from several threads do no harm and no good.
    ///
    /// `now` is the time since any fixed moment. Returns when it wants to be called again, which is `now` while there
    /// is more to catch up with; sooner if the waker of [`Hub::set_driver`] is woken; `None`: only then.
    pub fn tick(&self, now: Duration) -> Result<Option<Duration>, Error> {
        let resumed = std::mem::take(&mut *self.shared.resumed.lock());
        let next_report = self.shared.change_quietly(|state, wakers| {
            for stream in resumed {
                state.resume(stream);
            }
            for stream in state.schedule.take_due(now) {
                state.report_quiet(stream, wakers);
            }
            state.schedule.next()
        });
        if self.shared.catch_up()? {
            return Ok(Some(now));
        }
        Ok(next_report)
    }

    /// Says whom to wake when [`Hub::tick`] has something to do.
    pub fn set_driver(&self, waker: Waker) {
        *self.shared.driver.lock() = Some(waker);
        self.shared.wake_driver();
    }

    /// Has the driver look, for a reason of its owner's.
    pub fn wake_driver(&self) {
        self.shared.wake_driver();
    }

    /// Opens a stream.
    pub fn open(&self, options: StreamOptions) -> (Control, Responses) {
        let queue = Arc::new(Queue::new(
            self.shared.options.queue_responses_max,
            self.shared.options.queue_bytes_max,
            self.shared.counters.clone(),
        ));
        let stream = self.shared.change_quietly(|state, _| state.open(queue.clone()));
        let control = Control {
            shared: self.shared.clone(),
            stream,
            queue: queue.clone(),
        };
        let responses = Responses {
            shared: self.shared.clone(),
            stream,
            queue,
            fragment_bytes: options.fragment_bytes,
            pieces: VecDeque::new(),
        };
        (control, responses)
    }

    /// A snapshot from the leader has replaced what is in the store: watchers that were in step read what they missed
    /// from the history, or learn that it is compacted away.
    pub fn restored(&self) {
        self.shared.change(|state, _| {
            let revision = state.store.view().revision();
            state.jump(revision);
        });
    }

    /// Ends all streams.
    pub fn close(&self) {
        self.shared.change(|state, wakers| {
            let streams: Vec<u64> = state.streams.keys().copied().collect();
            for stream in streams {
                state.close(stream, wakers);
            }
        });
    }

    /// The hub in numbers.
    pub fn stats(&self) -> Stats {
        Stats {
            events: self.shared.counters.taken_total(),
            pending_events: self.shared.counters.pending(),
            ..self.shared.state.lock().stats()
        }
    }
}

impl Shared {
    /// Changes the state, then wakes whom that concerns, the driver too if there is something for it.
    pub fn change<T>(&self, change: impl FnOnce(&mut State, &mut Vec<Waker>) -> T) -> T {
        let mut wakers = Vec::new();
        let (result, work) = {
            let mut state = self.state.lock();
            let result = change(&mut state, &mut wakers);
            (result, !state.behind.is_empty() || state.schedule.has_fresh())
        };
        if work {
            self.wake_driver();
        }
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// As [`Shared::change`], for the driver itself.
    pub fn change_quietly<T>(&self, change: impl FnOnce(&mut State, &mut Vec<Waker>) -> T) -> T {
        let mut wakers = Vec::new();
        let result = change(&mut self.state.lock(), &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Notes that a stream has room again.
    pub fn has_room(&self, stream: u64) {
        self.resumed.lock().push(stream);
        self.wake_driver();
    }

    fn wake_driver(&self) {
        if let Some(driver) = &*self.driver.lock() {
            driver.wake_by_ref();
        }
    }
}
