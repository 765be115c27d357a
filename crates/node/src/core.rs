//! What all parts of a running node share.

use crate::clock::Clock;
use crate::loops::flush::Retired;
use crate::metrics::Metrics;
use crate::roles::Roles;
use crate::waiters::{AppliedWaiters, Requests};
use crate::{Error, Options, Result};
use apply::Shared;
use model::{ClusterId, Command, MemberId, Rejection, Request};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use storage::Backend;
use tokio::sync::{Notify, Semaphore, watch};

/// Requests that may be committed and not yet applied before new ones are refused.
const APPLY_LAG_MAX: u64 = 5000;

/// Between two proposals of the NOSPACE alarm.
const ALARM_INTERVAL: Duration = Duration::from_millis(500);

/// Password checks that run at once: each takes a core for some 60 ms, and keys are more important.
const PASSWORD_CHECKS_MAX: usize = 2;

pub(crate) struct Core {
    pub options: Options,
    pub member: MemberId,
    pub cluster: ClusterId,
    pub clock: Clock,
    pub shared: Arc<Shared>,
    pub hub: ::watch::Hub,
    pub requests: Requests,
    pub applied: AppliedWaiters,
    pub roles: Roles,
    pub metrics: Metrics,
    pub signals: Signals,
    pub password_checks: Semaphore,
    /// Held while a membership change of this member is under way.
    pub member_changes: tokio::sync::Mutex<()>,
    /// Before this time, in milliseconds of `clock`, the NOSPACE alarm is not proposed again.
    next_alarm_at: AtomicU64,
    /// When leadership was last confirmed by a quorum, in nanoseconds of `clock`; see [`Core::confirm_leadership`].
    pub confirmed_at: AtomicU64,
    /// Set once, right after the engine has started.
    engine: OnceLock<raft_engine::Handle>,
    /// Longest key of a row that the storage engine takes.
    pub key_bytes_max: usize,
    /// The store in use.
    backend: Mutex<Arc<dyn Backend>>,
    /// Stores that were replaced, and whose files are still there.
    pub retired: Mutex<Vec<Retired>>,
    /// Highest index that a crash would not take back.
    pub durable: AtomicU64,
    /// There are no threads: long work is done where it is asked for.
    pub threadless: bool,
    /// Threads of this node, to be waited for at the end.
    pub threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// What happens once or now and then, for whoever cares.
pub(crate) struct Signals {
    /// Own attributes have gone through raft.
    pub ready: watch::Sender<bool>,
    /// The node is over, and why.
    pub stopped: watch::Sender<Option<Result<()>>>,
    /// This member was removed.
    pub removed: AtomicBool,
    /// Loops are to end.
    pub stopping: watch::Sender<bool>,
    /// Bytes written since the last flush, and whether one was asked for.
    pub unflushed_bytes: AtomicU64,
    pub flush: crossbeam_channel::Sender<()>,
    /// There may be something to compact.
    pub compact: crossbeam_channel::Sender<()>,
    /// Members changed, or this member began to lead: versions are to be looked at.
    pub versions: Notify,
    /// This member may have been removed.
    pub removal: Notify,
}

impl Core {
    #[expect(clippy::too_many_arguments, reason = "called once, by the start")]
    pub fn new(
        options: Options,
        member: MemberId,
        cluster: ClusterId,
        clock: Clock,
        shared: Arc<Shared>,
        backend: Arc<dyn Backend>,
        metrics: Metrics,
        signals: Signals,
        threadless: bool,
    ) -> Arc<Core> {
        let hub = ::watch::Hub::new(shared.store.clone(), options.watch.clone());
        Arc::new(Core {
            roles: Roles::new(clock.clone()),
            requests: Requests::new(member, clock.time_of_day()),
            applied: AppliedWaiters::default(),
            password_checks: Semaphore::new(PASSWORD_CHECKS_MAX),
            member_changes: tokio::sync::Mutex::default(),
            next_alarm_at: AtomicU64::new(0),
            confirmed_at: AtomicU64::new(0),
            engine: OnceLock::new(),
            key_bytes_max: backend.key_bytes_max(),
            backend: Mutex::new(backend),
            retired: Mutex::default(),
            durable: AtomicU64::new(0),
            threads: Mutex::default(),
            threadless,
            options,
            member,
            cluster,
            clock,
            shared,
            hub,
            metrics,
            signals,
        })
    }

    pub fn set_engine(&self, engine: raft_engine::Handle) {
        // A second one would be a fault of the start, which has only one.
        let _ = self.engine.set(engine);
    }

    /// The engine; `Stopped` before it has started.
    pub fn engine(&self) -> Result<&raft_engine::Handle, Rejection> {
        self.engine.get().ok_or(Rejection::Stopped)
    }

    pub fn backend(&self) -> Arc<dyn Backend> {
        self.backend.lock().clone()
    }

    /// Puts another store in place; gives the old one.
    pub fn replace_backend(&self, backend: Arc<dyn Backend>) -> Weak<dyn Backend> {
        let old = std::mem::replace(&mut *self.backend.lock(), backend);
        Arc::downgrade(&old)
    }

    /// Time that a request may take.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(5) + 2 * self.options.election_timeout
    }

    pub fn leads(&self) -> bool {
        self.engine
            .get()
            .is_some_and(|engine| engine.leader() == self.member.0)
    }

    pub fn leader(&self) -> Option<MemberId> {
        match self.engine.get().map_or(0, raft_engine::Handle::leader) {
            0 => None,
            leader => Some(MemberId(leader)),
        }
    }

    pub fn is_learner(&self) -> bool {
        self.shared
            .cluster()
            .member(self.member)
            .is_some_and(|member| member.is_learner)
    }

    /// Refuses what a learner does not serve.
    pub fn require_voter(&self) -> Result<(), Rejection> {
        if self.is_learner() {
            return Err(Rejection::NotSupportedForLearner);
        }
        Ok(())
    }

    /// Runs something long where it holds up nobody.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        if self.threadless {
            return Ok(work());
        }
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Error::Fault(format!("a request was not finished: {error}")))
    }

    /// Resolves when `index` is applied here.
    pub async fn wait_applied(&self, index: u64) -> Result<(), Rejection> {
        match self.applied.wait(index) {
            None => Ok(()),
            Some(waiting) => waiting.await.map_err(|_| Rejection::Stopped),
        }
    }

    /// Puts a request into the log without waiting for anything.
    pub fn propose_unattended(&self, commands: impl IntoIterator<Item = Command>) -> Result<(), Rejection> {
        let entries = commands.into_iter().map(|command| command.encode()).collect();
        self.engine()?.propose(entries).map_err(refused)
    }

    /// As [`Core::propose_unattended`], but as leader of `term` or not at all.
    pub fn propose_as_leader(
        &self,
        term: u64,
        commands: impl IntoIterator<Item = Command>,
    ) -> Result<(), Rejection> {
        let entries = commands.into_iter().map(|command| command.encode()).collect();
        self.engine()?.propose_as_leader(term, entries).map_err(refused)
    }

    /// Has every member learn that this one is out of space; once is enough.
    pub fn raise_no_space(&self) {
        use model::pb::etcdserverpb::alarm_request::AlarmAction;
        use model::pb::etcdserverpb::{AlarmRequest, AlarmType};
        let set = self.shared.alarms().list(AlarmType::Nospace as i32);
        if set.iter().any(|alarm| alarm.member_id == self.member.0) {
            return;
        }
        // Every write that is refused until the alarm has gone round comes here: one proposal at a time is enough.
        let now = self.clock.now().as_millis() as u64;
        let next = self.next_alarm_at.load(Ordering::Acquire);
        let later = now + ALARM_INTERVAL.as_millis() as u64;
        let mine = || {
            let swapped =
                self.next_alarm_at
                    .compare_exchange(next, later, Ordering::AcqRel, Ordering::Acquire);
            swapped.is_ok()
        };
        if now < next || !mine() {
            return;
        }
        let request = Request::Alarm(AlarmRequest {
            action: AlarmAction::Activate as i32,
            member_id: self.member.0,
            alarm: AlarmType::Nospace as i32,
        });
        tracing::warn!(
            quota = self.options.quota_bytes,
            size = self.shared.store.sizes().allocated,
            "database space exceeded, raising the NOSPACE alarm"
        );
        if let Err(error) = self.propose_unattended([self.own_command(request)]) {
            tracing::warn!(%error, "the NOSPACE alarm could not be proposed");
        }
    }

    /// A command of the member itself: with root's rights where rights matter.
    pub fn own_command(&self, request: Request) -> Command {
        let rules = self.shared.rules();
        let mut command = Command::new(self.requests.next_id(), request);
        if rules.is_enabled() {
            command.username = ROOT.to_owned();
            command.auth_revision = rules.revision();
        }
        command
    }

    /// Refuses new work while applying lags behind.
    pub fn check_backlog(&self) -> Result<(), Rejection> {
        self.engine()?;
        if self.backlog() > APPLY_LAG_MAX {
            return Err(Rejection::TooManyRequests);
        }
        Ok(())
    }

    /// Has the loops and threads end, also those that wait: a pause may be set to hours.
    pub fn end_loops(&self) {
        self.signals.stopping.send_replace(true);
        // Where a channel is full, its thread is about to wake up anyway.
        let _ = self.signals.compact.try_send(());
        let _ = self.signals.flush.try_send(());
        self.roles.wake();
        self.hub.wake_driver();
    }

    /// Entries that are committed and not applied yet.
    pub fn backlog(&self) -> u64 {
        self.engine()
            .map_or(0, |engine| engine.committed().saturating_sub(engine.applied()))
    }

    /// Ends the node for a fault: nothing is acknowledged any more.
    pub fn fail(&self, fault: String) {
        tracing::error!(%fault, "the node stops");
        self.finish(Err(Error::Fault(fault)));
        self.end_loops();
        self.requests.fail_all();
        self.applied.fail_all();
    }

    /// Says that the node is over; the first reason counts.
    pub fn finish(&self, reason: Result<()>) {
        self.signals.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            if first {
                *stopped = Some(reason);
            }
            first
        });
    }

    pub fn is_stopping(&self) -> bool {
        *self.signals.stopping.borrow()
    }

    /// Resolves when the loops are to end.
    pub async fn stopping(&self) {
        // The sender is ours: it cannot go before us.
        let _ = self
            .signals
            .stopping
            .subscribe()
            .wait_for(|stopping| *stopping)
            .await;
    }

    /// Takes note that a quorum followed this leader at `at`, a time before the proof was asked for.
    pub fn note_confirmed(&self, at: Duration) {
        self.confirmed_at
            .fetch_max(at.as_nanos() as u64, Ordering::AcqRel);
    }

    /// Whether a quorum followed this leader so short a time ago that no other can have been elected since.
    pub fn recently_confirmed(&self) -> bool {
        let confirmed = Duration::from_nanos(self.confirmed_at.load(Ordering::Acquire));
        confirmed > Duration::ZERO && self.clock.now() < confirmed + self.options.election_timeout / 2
    }
}

/// The user who may do everything.
pub(crate) const ROOT: &str = "root";

/// What the engine's refusal of a proposal is to a client.
pub(crate) fn refused(error: raft_engine::ProposeError) -> Rejection {
    match error {
        raft_engine::ProposeError::Overloaded => Rejection::TooManyRequests,
        raft_engine::ProposeError::TooLarge => Rejection::RequestTooLarge,
        _ => Rejection::Stopped,
    }
}
