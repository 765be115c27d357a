//! What the threads of a run share: which phase it is in, and whether it is over.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Phase 0 is the warm-up and is not reported.
#[derive(Default)]
pub struct Stage {
    phase: AtomicUsize,
    over: AtomicBool,
    /// Operations completed, for the progress bar.
    pub completed: AtomicU64,
}

impl Stage {
    /// The present phase.
    pub fn phase(&self) -> usize {
        self.phase.load(Relaxed)
    }

    /// Begins the next phase.
    pub fn advance(&self) {
        self.phase.fetch_add(1, Relaxed);
    }

    /// Whether no operation is to be begun any more.
    pub fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Lets operations under way finish, and no other begin.
    pub fn end(&self) {
        self.over.store(true, Relaxed);
    }
}
