//! Lease deadlines, on the leader: expired leases are revoked through the log, and where asked for, remaining times
//! are replicated. One thread owns the lessor's role, so that promotion (which visits every lease) does not hold up
//! the raft thread.

use crate::core::Core;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use model::pb::etcdserverpb as pb;
use model::{Command, LeaseId, Request};
use std::sync::Arc;
use std::time::Duration;

/// Expired leases are looked for at least this often.
const INTERVAL: Duration = Duration::from_millis(500);
/// Leases revoked at once: etcd's 500 per interval would take minutes for a storm of expiries. The next ones come when
/// most of these are applied; far below what may wait before clients' requests are refused ([`Core::check_backlog`]).
const REVOKES_MAX: usize = 300;
/// Leases revoked per millisecond since the last lot, at most: a client's put waits behind the lot before it, so many
/// small ones do less harm than few large ones. A hundred thousand leases still go in less than two seconds.
const REVOKES_PER_MS: usize = 60;
/// Between one lot and the next, at least.
const PAUSE: Duration = Duration::from_millis(3);
/// Remaining times replicated with one command.
const CHECKPOINTS_MAX: usize = 1000;

pub(crate) fn run(core: Arc<Core>) {
    let mut deadlines = Deadlines::new(core.clone());
    while !core.is_stopping() {
        match deadlines.turn() {
            Next::Look(wait) => match core.roles.changes().recv_timeout(wait) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            },
            Next::Confirm(due) => {
                let confirmed = due.answer.recv_timeout(core.options.election_timeout) == Ok(true);
                deadlines.propose(due, confirmed);
            }
        }
    }
}

/// The lessor's role, and what its clock brings.
pub(crate) struct Deadlines {
    core: Arc<Core>,
    /// The term in which this member was made primary.
    primary_in: Option<u64>,
    /// When the last lot was proposed.
    last_lot: Duration,
}

/// What is to be done after a turn.
pub(crate) enum Next {
    /// Another look after this time, or at a change of role.
    Look(Duration),
    /// Wait for a quorum's word, an election timeout at most, then [`Deadlines::propose`].
    Confirm(Due),
}

/// What is to be proposed once a quorum has confirmed that this member leads.
pub(crate) struct Due {
    expired: Vec<LeaseId>,
    checkpoints: Vec<lease::Checkpoint>,
    term: u64,
    asked_at: Duration,
    /// Whether it does.
    pub answer: Receiver<bool>,
}

impl Deadlines {
    pub fn new(core: Arc<Core>) -> Deadlines {
        Deadlines {
            core,
            primary_in: None,
            last_lot: Duration::ZERO,
        }
    }

    /// Follows the role and looks for what is due.
    pub fn turn(&mut self) -> Next {
        let core = &self.core;
        let leading_in = core.roles.leading_term();
        if leading_in != self.primary_in {
            let mut lessor = core.shared.lessor.lock();
            #[cfg(feature = "planted")]
            if planted::is(planted::Bug::RevokeByFollower) && leading_in.is_none() {
                drop(lessor);
                return self.look(self.primary_in.unwrap_or_default());
            }
            lessor.demote();
            if leading_in.is_some() {
                failpoint::point!("leaseBeforePromote");
                lessor.promote(core.clock.now(), core.options.election_timeout);
            }
            self.primary_in = leading_in;
        }
        match self.primary_in {
            Some(term) => self.look(term),
            None => Next::Look(INTERVAL),
        }
    }

    fn look(&self, term: u64) -> Next {
        let core = &self.core;
        let since = core.clock.now().saturating_sub(self.last_lot);
        let lot = REVOKES_MAX.min(REVOKES_PER_MS.saturating_mul(since.as_millis() as usize));
        if since < PAUSE || core.backlog() > lot as u64 {
            return Next::Look(PAUSE.saturating_sub(since).max(Duration::from_millis(1)));
        }
        let (expired, checkpoints, next) = {
            let mut lessor = core.shared.lessor.lock();
            let now = core.clock.now();
            let expired = lessor.expired(now, lot);
            let checkpoints = lessor.checkpoints_due(now, CHECKPOINTS_MAX);
            let next = lessor.next_wakeup(now).map(|next| next.saturating_sub(now));
            (expired, checkpoints, next)
        };
        if expired.is_empty() && checkpoints.is_empty() {
            let wait = next.unwrap_or(INTERVAL);
            return Next::Look(wait.clamp(PAUSE, INTERVAL));
        }
        // A leader that was paused or cut off may have been replaced long since, and the new one have renewed these
        // leases (etcd #15247): a quorum has to say that this is not so. What is not proposed now is reported again
        // later.
        let (sender, answer) = crossbeam_channel::bounded(1);
        let asked_at = core.clock.now();
        if let Ok(engine) = core.engine() {
            engine.read_index(Box::new(move |result| {
                let _ = sender.send(result.is_ok());
            }));
        }
        Next::Confirm(Due {
            expired,
            checkpoints,
            term,
            asked_at,
            answer,
        })
    }

    /// Proposes what was due, if a quorum has confirmed that this member still leads.
    pub fn propose(&mut self, due: Due, confirmed: bool) {
        let core = &self.core;
        self.last_lot = core.clock.now();
        let leads = confirmed && core.leads();
        if leads {
            core.note_confirmed(due.asked_at);
        }
        let leads = leads && core.roles.leading_term() == Some(due.term);
        #[cfg(feature = "planted")]
        let leads = leads || planted::is(planted::Bug::RevokeByFollower);
        if !leads {
            return;
        }
        let expired_count = due.expired.len() as u64;
        let mut commands: Vec<Command> = due
            .expired
            .into_iter()
            .map(|lease| core.own_command(Request::LeaseRevoke(pb::LeaseRevokeRequest { id: lease.0 })))
            .collect();
        if !due.checkpoints.is_empty() {
            let checkpoints = due
                .checkpoints
                .into_iter()
                .map(|checkpoint| pb::LeaseCheckpoint {
                    id: checkpoint.id.0,
                    remaining_ttl: checkpoint.remaining_ttl,
                })
                .collect();
            let request = pb::LeaseCheckpointRequest { checkpoints };
            commands.push(core.own_command(Request::LeaseCheckpoint(request)));
        }
        // Should this thread be held up right here, the next leader may renew what these commands revoke: they must not
        // be passed on to it.
        #[cfg(feature = "planted")]
        if planted::is(planted::Bug::RevokeForwarded) || planted::is(planted::Bug::RevokeByFollower) {
            let _ = core.propose_unattended(commands);
            return;
        }
        failpoint::point!("leaseBeforeRevoke");
        match core.propose_as_leader(due.term, commands) {
            Ok(()) => core.metrics.leases_expired.inc_by(expired_count),
            Err(error) => {
                tracing::warn!(%error, leases = expired_count, "expired leases could not be revoked yet")
            }
        }
    }
}
