//! The hub's locks: parking_lot's, or, in models of threads, ones whose every turn a scheduler decides about.

#[cfg(not(feature = "shuttle"))]
pub(crate) use parking_lot::Mutex;

#[cfg(feature = "shuttle")]
pub(crate) use modelled::Mutex;

#[cfg(feature = "shuttle")]
thread_local! {
    /// Whether readers let go of their queue between looking into it and falling asleep, which the models must notice.
    /// A model is one thread, whatever it models.
    static SLIPS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[cfg(all(test, feature = "shuttle"))]
pub(crate) fn slip(on: bool) {
    SLIPS.set(on);
}

#[cfg(feature = "shuttle")]
pub(crate) fn slips() -> bool {
    SLIPS.get()
}

#[cfg(feature = "shuttle")]
mod modelled {
    use shuttle::sync::{self, MutexGuard};

    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
        }

        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }
}
