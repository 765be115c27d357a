//! A queue between two engine threads: the reader takes everything that has gathered.

use std::mem;

use crate::sync::{Condvar, Mutex};

/// Bounded by its users: what goes through has been counted before (see the sizes in `consensus` and `inbox`).
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    wake: Condvar,
}

struct State<T> {
    items: Vec<T>,
    /// Nothing comes any more.
    finished: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                items: Vec::new(),
                finished: false,
            }),
            wake: Condvar::new(),
        }
    }
}

impl<T> Queue<T> {
    /// Adds an item; drops it if the queue is finished.
    pub fn push(&self, item: T) {
        let mut state = self.state.lock();
        if !state.finished {
            state.items.push(item);
            self.wake.notify_one();
        }
    }

    /// Waits for items and takes all; `None` once the queue is finished and empty.
    pub fn take(&self) -> Option<Vec<T>> {
        let mut state = self.state.lock();
        while state.items.is_empty() && !state.finished {
            #[cfg(feature = "shuttle")]
            if crate::sync::slips::is(crate::sync::slips::Slip::LooksBeforeItSleeps) {
                drop(state);
                state = self.state.lock();
            }
            self.wake.wait(&mut state);
        }
        let items = mem::take(&mut state.items);
        (!items.is_empty()).then_some(items)
    }

    /// Takes all there is without waiting.
    pub fn take_now(&self) -> Vec<T> {
        mem::take(&mut self.state.lock().items)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.state.lock().items.is_empty()
    }

    /// What is in the queue is still taken, nothing more is added.
    pub fn finish(&self) {
        self.state.lock().finished = true;
        self.wake.notify_all();
    }

    /// Drops what is in the queue, too.
    pub fn abandon(&self) {
        let items = {
            let mut state = self.state.lock();
            state.finished = true;
            mem::take(&mut state.items)
        };
        self.wake.notify_all();
        drop(items);
    }
}
