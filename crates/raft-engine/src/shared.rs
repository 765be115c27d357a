//! What the threads of one engine and its handles have in common.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::applier;
use crate::inbox::{Bounds, Inbox, Mail};
use crate::log_writer;
use crate::queue::Queue;
use crate::raft_loop::RaftLoop;
use crate::sync::Mutex;
use crate::{Fault, LeaderChange, Options, Status};

pub(crate) struct Shared {
    pub options: Options,
    pub inbox: Inbox,
    pub log: Queue<log_writer::Job>,
    pub apply: Queue<applier::Job>,
    pub term: AtomicU64,
    pub leader: AtomicU64,
    pub committed: AtomicU64,
    pub applied: AtomicU64,
    /// When the log writer began what it is doing, in nanoseconds since `started`; 0 while it is idle.
    pub writing_since: AtomicU64,
    pub started: Instant,
    pub status: Mutex<Status>,
    /// The loop, while it runs in threads: whoever holds the lock gives it its turn.
    pub raft: Mutex<Option<RaftLoop>>,
    faulted: AtomicBool,
    pub threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Shared {
    pub fn new(options: Options, status: Status) -> Self {
        let bounds = Bounds {
            proposals: options.proposals_waiting_max,
            proposal_bytes: options.proposals_waiting_bytes_max,
            reads: options.reads_waiting_max,
        };
        Self {
            inbox: Inbox::new(bounds),
            log: Queue::default(),
            apply: Queue::default(),
            term: AtomicU64::new(status.term),
            leader: AtomicU64::new(0),
            committed: AtomicU64::new(status.committed),
            applied: AtomicU64::new(status.applied),
            writing_since: AtomicU64::new(0),
            started: (options.clock)(),
            status: Mutex::new(status),
            raft: Mutex::new(None),
            faulted: AtomicBool::new(false),
            threads: Mutex::default(),
            options,
        }
    }

    /// Runs one of the engine's threads.
    pub fn spawn(
        self: &Arc<Self>,
        name: &str,
        body: impl FnOnce(&Arc<Self>) -> Result<(), Fault> + Send + 'static,
    ) -> std::io::Result<()> {
        let shared = self.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_string())
            .spawn(move || shared.guard(|| body(&shared)))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Runs a part of the engine; a fault or panic of it ends them all.
    pub fn guard(&self, body: impl FnOnce() -> Result<(), Fault>) {
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => self.fail(fault),
            Err(panic) => self.fail(Fault::Internal(describe(&*panic))),
        }
    }

    /// To be called by whoever has put something into the inbox: gives the raft loop its turn on this thread. If another
    /// thread is at it, that one sees what has arrived before it goes. A turn takes microseconds and waits for nothing;
    /// waking a thread of the loop's own for it would cost more than the turn, in time and in processor.
    pub fn drive(&self) {
        take_turns(&self.inbox, &self.raft, |raft, mail| {
            self.guard(|| raft.turn(mail))
        });
    }

    /// The time on the engine's clock.
    pub fn now(&self) -> Instant {
        (self.options.clock)()
    }

    /// Stops everything where it is: no message, write, group or answer leaves the engine after this, except what is
    /// already on its way.
    pub fn fail(&self, fault: Fault) {
        if self.faulted.swap(true, Ordering::SeqCst) {
            return;
        }
        self.inbox.close();
        self.log.abandon();
        self.apply.abandon();
        (self.options.on_fault)(fault);
    }

    pub fn has_failed(&self) -> bool {
        self.faulted.load(Ordering::SeqCst)
    }

    /// Makes a change of role known.
    pub fn announce(&self, change: LeaderChange) {
        self.term.store(change.term, Ordering::Release);
        self.leader.store(change.leader, Ordering::Release);
        self.options.observer.leader_changed(&change);
    }

    /// The log writer begins (`true`) or ends something that may take long.
    pub fn writing(&self, begins: bool) {
        let since = if begins {
            (self.now() - self.started).as_nanos().max(1) as u64
        } else {
            0
        };
        self.writing_since.store(since, Ordering::Relaxed);
    }

    /// How long the log writer has been at what it is doing.
    pub fn writing_for(&self, now: Instant) -> Duration {
        match self.writing_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => (now - self.started).saturating_sub(Duration::from_nanos(since)),
        }
    }
}

/// Gives what is in `place` turns on this thread until nothing urgent is left, or somebody else is at it: who lets go of
/// the place looks into the inbox again afterwards.
pub(crate) fn take_turns<L>(inbox: &Inbox, place: &Mutex<Option<L>>, mut turn: impl FnMut(&mut L, Mail)) {
    while inbox.is_urgent() {
        let Some(mut held) = place.try_lock() else {
            return;
        };
        let Some(driven) = held.as_mut() else { return };
        let Some(mail) = inbox.take_now() else {
            return;
        };
        turn(driven, mail);
        #[cfg(feature = "shuttle")]
        if crate::sync::slips::is(crate::sync::slips::Slip::OneLook) {
            return;
        }
    }
}

fn describe(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_default())
}
