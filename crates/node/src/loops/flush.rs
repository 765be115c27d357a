//! The thread that makes the store durable from time to time, so that the log before may go. It also removes what
//! nobody needs any more: replaced stores, and tokens that have run out.

use crate::core::Core;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use storage::Backend;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// Between two flushes: each makes files, and with a small `--snapshot-count` every few entries would ask for one.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Files of a replaced store stay for readers that hold a view of it.
const GRACE: Duration = Duration::from_secs(30);

pub(crate) fn run(core: Arc<Core>, wanted: Receiver<()>) {
    let mut flusher = Flusher::new(core.clone());
    let mut wait = INTERVAL;
    while !core.is_stopping() {
        let asked = match wanted.recv_timeout(wait) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        wait = flusher.turn(asked);
    }
}

/// When the store was last flushed, and whether somebody waits for the next time.
pub(crate) struct Flusher {
    core: Arc<Core>,
    flushed_at: Duration,
    asked: bool,
}

impl Flusher {
    pub fn new(core: Arc<Core>) -> Flusher {
        Flusher {
            flushed_at: core.clock.now(),
            asked: false,
            core,
        }
    }

    /// Flushes if it is time or `asked` for; answers how long to wait for the next look.
    pub fn turn(&mut self, asked: bool) -> Duration {
        let core = &self.core;
        self.asked |= asked;
        let now = core.clock.now();
        core.remove_retired(now);
        core.options.tokens.sweep(now);
        let since = now.saturating_sub(self.flushed_at);
        if self.asked && since < PAUSE_MIN {
            return PAUSE_MIN;
        }
        if !self.asked && since < core.options.flush_age {
            return INTERVAL.min(core.options.flush_age);
        }
        let dirty = core.applied.applied().0 > core.durable.load(Ordering::Acquire);
        if dirty && let Err(error) = flush(core) {
            core.fail(format!("the store could not be flushed: {error}"));
        }
        self.flushed_at = core.clock.now();
        self.asked = false;
        INTERVAL.min(core.options.flush_age)
    }
}

/// Makes everything that is applied now durable.
pub(crate) fn flush(core: &Core) -> storage::Result<()> {
    // Taken before: what is applied meanwhile may or may not be in the flush. The lock of the backend is not held, for
    // an installed snapshot may take its place; then its index counts, which is higher.
    let backend = core.backend();
    let applied = core.applied.applied().0;
    core.signals.unflushed_bytes.store(0, Ordering::Relaxed);
    failpoint::point!("flushBefore");
    backend.flush()?;
    failpoint::point!("flushAfter");
    if Arc::ptr_eq(&backend, &core.backend()) {
        core.durable.fetch_max(applied, Ordering::AcqRel);
    }
    Ok(())
}

/// A store that was replaced.
pub(crate) struct Retired {
    backend: Weak<dyn Backend>,
    files: PathBuf,
    unused_since: Option<Duration>,
}

impl Core {
    /// Has the files of a replaced store removed once nobody reads them.
    pub fn retire(&self, backend: Weak<dyn Backend>, files: PathBuf) {
        self.retired.lock().push(Retired {
            backend,
            files,
            unused_since: None,
        });
    }

    fn remove_retired(&self, now: Duration) {
        self.retired.lock().retain_mut(|retired| {
            if retired.backend.strong_count() > 0 {
                return true;
            }
            let since = *retired.unused_since.get_or_insert(now);
            if now < since + GRACE {
                return true;
            }
            failpoint::point!("storeBeforeRetired");
            if let Err(error) = std::fs::remove_dir_all(&retired.files) {
                tracing::warn!(path = %retired.files.display(), %error, "a replaced store was not removed");
            }
            false
        });
    }
}
