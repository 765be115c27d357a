//! Lease deadlines, on the leader: expired leases are revoked through the log, and where asked for, remaining times
//! are replicated. One thread owns the lessor's role, so that promotion (which visits every lease) does not hold up
//! the raft thread.

use crate::core::Core;
use crossbeam_channel::RecvTimeoutError;
use model::pb::etcdserverpb as pb;
use model::{Command, Request};
use std::sync::Arc;
use std::time::Duration;

/// Expired leases are looked for at least this often.
const INTERVAL: Duration = Duration::from_millis(500);
/// Leases revoked at once: etcd's 500 per interval would take seconds for a storm of expiries.
const REVOKES_MAX: usize = 5000;
/// Remaining times replicated with one command.
const CHECKPOINTS_MAX: usize = 1000;

pub(crate) fn run(core: Arc<Core>) {
    // The term in which this member was made primary.
    let mut primary_in = None;
    let mut wait = INTERVAL;
    while !core.is_stopping() {
        match core.roles.changes().recv_timeout(wait) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let leading_in = core.roles.leading_term();
        if leading_in != primary_in {
            let mut lessor = core.shared.lessor.lock();
            lessor.demote();
            if leading_in.is_some() {
                lessor.promote(core.clock.now(), core.options.election_timeout);
            }
            primary_in = leading_in;
        }
        wait = match primary_in {
            Some(term) => look_after(&core, term),
            None => INTERVAL,
        };
    }
}

/// Proposes what is due; answers how long nothing will be.
fn look_after(core: &Arc<Core>, term: u64) -> Duration {
    let (expired, checkpoints, next) = {
        let mut lessor = core.shared.lessor.lock();
        let now = core.clock.now();
        let expired = lessor.expired(now, REVOKES_MAX);
        let checkpoints = lessor.checkpoints_due(now, CHECKPOINTS_MAX);
        let more = expired.len() == REVOKES_MAX || checkpoints.len() == CHECKPOINTS_MAX;
        let next = lessor.next_wakeup(now).map(|next| next.saturating_sub(now));
        (
            expired,
            checkpoints,
            if more { Some(Duration::ZERO) } else { next },
        )
    };
    let wait = next
        .unwrap_or(INTERVAL)
        .clamp(Duration::from_millis(10), INTERVAL);
    if expired.is_empty() && checkpoints.is_empty() {
        return wait;
    }
    // A leader that was paused or cut off may have been replaced long since, and the new one have renewed these leases
    // (etcd #15247): a quorum has to say that this is not so. What is not proposed now is reported again later.
    if !confirm(core) || core.roles.leading_term() != Some(term) {
        return wait;
    }
    let expired_count = expired.len() as u64;
    let mut commands: Vec<Command> = expired
        .into_iter()
        .map(|lease| core.own_command(Request::LeaseRevoke(pb::LeaseRevokeRequest { id: lease.0 })))
        .collect();
    if !checkpoints.is_empty() {
        let checkpoints = checkpoints
            .into_iter()
            .map(|checkpoint| pb::LeaseCheckpoint {
                id: checkpoint.id.0,
                remaining_ttl: checkpoint.remaining_ttl,
            })
            .collect();
        let request = pb::LeaseCheckpointRequest { checkpoints };
        commands.push(core.own_command(Request::LeaseCheckpoint(request)));
    }
    match core.propose_unattended(commands) {
        Ok(()) => core.metrics.leases_expired.inc_by(expired_count),
        Err(error) => {
            tracing::warn!(%error, leases = expired_count, "expired leases could not be revoked yet")
        }
    }
    wait
}

/// Whether a quorum still follows this member.
fn confirm(core: &Arc<Core>) -> bool {
    let Ok(engine) = core.engine() else {
        return false;
    };
    let at = core.clock.now();
    let (sender, receiver) = crossbeam_channel::bounded(1);
    engine.read_index(Box::new(move |result| {
        let _ = sender.send(result.is_ok());
    }));
    let confirmed = receiver.recv_timeout(core.options.election_timeout) == Ok(true) && core.leads();
    if confirmed {
        core.note_confirmed(at);
    }
    confirmed
}
