//! The locks of the engine's threads: parking_lot's, or, in models of those threads, ones whose every turn a scheduler
//! decides about.

#[cfg(not(feature = "shuttle"))]
pub(crate) use parking_lot::{Condvar, Mutex};

#[cfg(feature = "shuttle")]
pub(crate) use modelled::{Condvar, Mutex};

/// Slips of the threads that the models must notice, for tests of the models themselves.
#[cfg(feature = "shuttle")]
pub(crate) mod slips {
    use std::cell::Cell;

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Slip {
        /// Whoever had the raft loop goes without another look into the inbox.
        OneLook,
        /// The log writer lets go of its queue between looking into it and falling asleep.
        LooksBeforeItSleeps,
        /// The inbox is closed, and nobody is woken.
        ClosesSilently,
    }

    thread_local! {
        /// A model is one thread, whatever it models.
        static SLIP: Cell<Option<Slip>> = const { Cell::new(None) };
    }

    #[cfg(test)]
    pub(crate) fn make(slip: Option<Slip>) {
        SLIP.set(slip);
    }

    pub(crate) fn is(slip: Slip) -> bool {
        SLIP.get() == Some(slip)
    }
}

#[cfg(feature = "shuttle")]
mod modelled {
    use shuttle::sync;
    use std::ops::{Deref, DerefMut};
    use std::time::Instant;

    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    /// Empty only while its condition variable has it.
    pub(crate) struct Guard<'a, T>(Option<sync::MutexGuard<'a, T>>);

    pub(crate) struct Condvar(sync::Condvar);

    /// In a model the time never comes.
    pub(crate) struct Woken;

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub fn lock(&self) -> Guard<'_, T> {
            Guard(Some(
                self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()),
            ))
        }

        pub fn try_lock(&self) -> Option<Guard<'_, T>> {
            self.0.try_lock().ok().map(|guard| Guard(Some(guard)))
        }
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0
                .as_deref()
                .expect("a guard is not used while its thread waits")
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0
                .as_deref_mut()
                .expect("a guard is not used while its thread waits")
        }
    }

    impl Condvar {
        pub fn new() -> Self {
            Self(sync::Condvar::new())
        }

        pub fn wait<T>(&self, guard: &mut Guard<'_, T>) {
            let held = guard
                .0
                .take()
                .expect("a guard is not used while its thread waits");
            let held = self.0.wait(held).unwrap_or_else(|poisoned| poisoned.into_inner());
            guard.0 = Some(held);
        }

        pub fn wait_until<T>(&self, guard: &mut Guard<'_, T>, _: Instant) -> Woken {
            self.wait(guard);
            Woken
        }

        pub fn notify_one(&self) {
            self.0.notify_one();
        }

        pub fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    impl Woken {
        pub fn timed_out(&self) -> bool {
            false
        }
    }
}
