//! A node without threads, for simulations: whoever holds it gives each part its turns.

use crate::core::Core;
use crate::loops::compaction::Sweep;
use crate::loops::flush::Flusher;
use crate::loops::leases::{Deadlines, Due, Next};
use crate::loops::watching;
use crate::start::{Assembled, chain};
use crate::{Handle, Options, Result};
use crossbeam_channel::{Receiver, TryRecvError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

/// What [`Handle::start`] gives threads to. Tasks run on the tokio runtime within which it was started, and all work
/// is done by whoever calls. Dropping it, with the runtime, is the end of the process.
pub struct Threadless {
    core: Arc<Core>,
    /// The raft engine's parts.
    pub engine: raft_engine::Threadless,
    deadlines: Deadlines,
    due: Option<(Due, Duration)>,
    look_at: Duration,
    watching: Arc<Woken>,
    watch_at: Duration,
    sweep: Sweep,
    sweep_wanted: Receiver<()>,
    sweep_at: Duration,
    flusher: Flusher,
    flush_wanted: Receiver<()>,
    flush_at: Duration,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Handle {
    /// As [`Handle::start`], but nothing runs by itself except tasks.
    pub fn start_threadless(options: Options) -> Result<(Handle, Threadless)> {
        let Assembled {
            core,
            engine,
            flush,
            compact,
        } = Core::assemble(options, true)?;
        let engine = raft_engine::Threadless::start(engine).map_err(chain)?;
        core.set_engine(engine.handle());
        core.spawn_tasks();
        let watching = Arc::new(Woken::default());
        core.hub.set_driver(Waker::from(watching.clone()));
        let threadless = Threadless {
            engine,
            deadlines: Deadlines::new(core.clone()),
            due: None,
            look_at: Duration::ZERO,
            watching,
            watch_at: Duration::ZERO,
            sweep: Sweep::new(core.clone()),
            sweep_wanted: compact,
            sweep_at: Duration::ZERO,
            flusher: Flusher::new(core.clone()),
            flush_wanted: flush,
            flush_at: Duration::ZERO,
            core: core.clone(),
        };
        Ok((Handle { core }, threadless))
    }
}

impl Threadless {
    /// Gives a turn to each of the loops that look after leases, watchers, compaction and flushing, where it is due.
    pub fn housekeeping(&mut self) {
        if self.core.is_stopping() {
            return;
        }
        self.leases();
        self.watchers();
        let now = self.core.clock.now();
        if self.sweep_wanted.try_recv().is_ok() || now >= self.sweep_at {
            self.sweep_at = now + self.sweep.turn();
        }
        let asked = self.flush_wanted.try_recv().is_ok();
        if asked || now >= self.flush_at {
            self.flush_at = now + self.flusher.turn(asked);
        }
    }

    fn leases(&mut self) {
        let now = self.core.clock.now();
        if let Some((due, until)) = self.due.take() {
            let confirmed = match due.answer.try_recv() {
                Err(TryRecvError::Empty) if now < until => {
                    self.due = Some((due, until));
                    return;
                }
                answer => answer == Ok(true),
            };
            self.deadlines.propose(due, confirmed);
            self.look_at = now;
        }
        if self.core.roles.changes().try_recv().is_ok() || now >= self.look_at {
            match self.deadlines.turn() {
                Next::Look(wait) => self.look_at = now + wait,
                Next::Confirm(due) => self.due = Some((due, now + self.core.options.election_timeout)),
            }
        }
    }

    fn watchers(&mut self) {
        let now = self.core.clock.now();
        if self.watching.0.swap(false, Ordering::AcqRel) || now >= self.watch_at {
            self.watch_at = now + watching::turn(&self.core);
        }
    }
}
