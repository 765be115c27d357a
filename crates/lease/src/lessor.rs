//! The lessor: leases, their keys and their deadlines.

use crate::Error;
use bytes::Bytes;
use model::{LeaseId, Rejection};
use std::time::Duration;

/// Longest TTL that can be asked for, in seconds (etcd server/lease/lessor.go).
pub const TTL_MAX: i64 = 9_000_000_000;

/// From how many leases on a new leader spreads their deadlines.
pub const SPREAD_FROM: usize = 1000;

/// How a lessor behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// How often the remaining TTL of a long lease goes through the log, and how long a lease must still live for it;
    /// `None` for never: then a new leader gives every lease its full TTL again.
    pub checkpoint_interval: Option<Duration>,
    /// After how long an expired lease that nobody revoked is reported again.
    pub retry_interval: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            checkpoint_interval: None,
            retry_interval: Duration::from_secs(3),
        }
    }
}

/// What is stored of a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Its id, never 0.
    pub id: LeaseId,
    /// Granted TTL in seconds, at least 1.
    pub ttl: i64,
    /// Remaining TTL in seconds at the last checkpoint; 0 for none since the last renewal.
    pub remaining_ttl: i64,
}

/// What became of a keep-alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Renewal {
    /// The lease lives for its full TTL again.
    Renewed {
        /// Granted TTL in seconds.
        ttl: i64,
        /// A checkpoint of this lease is stored and says less than the truth from now on: propose one with 0, so that
        /// the next leader gives the full TTL.
        clear_checkpoint: bool,
    },
    /// It has run out and waits for its revocation: wait until it is gone, then answer TTL 0. It is never renewed
    /// any more while this member is leader.
    Expired,
    /// There is no such lease: answer TTL 0.
    NotFound,
    /// This member is not the leader: nothing is known of deadlines here.
    NotPrimary,
}

/// How a lease stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeToLive {
    /// Granted TTL in seconds.
    pub granted: i64,
    /// Remaining time; zero where it has expired and is not revoked yet. `None` on a member that does not lead.
    pub remaining: Option<Duration>,
}

/// A remaining TTL to be replicated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The lease.
    pub id: LeaseId,
    /// Remaining seconds, rounded up.
    pub remaining_ttl: i64,
}

/// Smallest TTL in seconds that makes sense: one and a half election timeouts, so that leases outlive an election
/// (etcd server/etcdserver/server.go).
pub fn ttl_min(election_timeout: Duration) -> i64 {
    let millis = election_timeout.as_millis().min(i64::MAX as u128 / 3) as i64;
    (3 * millis).div_euclid(2000) + i64::from((3 * millis) % 2000 != 0)
}

/// The TTL to propose for a request: at least `min`. Done before proposing, not in [`Lessor::grant`]: members with
/// different election timeouts would otherwise store different leases for the same log entry.
pub fn admit_ttl(ttl: i64, min: i64) -> Result<i64, Rejection> {
    if ttl > TTL_MAX {
        return Err(Rejection::LeaseTtlTooLarge);
    }
    Ok(ttl.max(min).max(1))
}

/// All leases of the cluster, on every member; deadlines only on the leader ("primary").
///
/// What applied commands do (grant, revoke, attach, detach, checkpoint) is the same on every member and takes no time
/// argument: a lease granted while primary gets its deadline by the next call that brings a clock, hence never too
/// early. All `now` arguments are times since one arbitrary monotonic origin.
#[derive(Debug)]
pub struct Lessor {}

impl Lessor {
    /// No leases, not primary.
    pub fn new(options: Options) -> Lessor {
        let _ = options;
        todo!()
    }

    /// From the rows (key, value) of the lease family and the keys of the lease keys family; not primary.
    pub fn load(
        options: Options,
        leases: impl IntoIterator<Item = (Bytes, Bytes)>,
        attachments: impl IntoIterator<Item = Bytes>,
    ) -> Result<Lessor, Error> {
        let _ = (options, leases.into_iter().count(), attachments.into_iter().count());
        todo!()
    }

    /// Adds a lease; the caller stores [`crate::rows::lease_value`]. A TTL below 1 becomes 1: the real minimum is
    /// applied by whoever proposes, see [`admit_ttl`].
    ///
    /// Refusals: id 0 (`LeaseNotFound`), a TTL above [`TTL_MAX`], an id in use.
    pub fn grant(&mut self, id: LeaseId, ttl: i64) -> Result<Lease, Rejection> {
        let _ = (id, ttl);
        todo!()
    }

    /// Removes a lease; gives its keys in order, to be deleted in one revision together with its rows.
    pub fn revoke(&mut self, id: LeaseId) -> Result<Vec<Bytes>, Rejection> {
        let _ = id;
        todo!()
    }

    /// Hangs a key on a lease; O(1). Once more is no error. The key is copied.
    pub fn attach(&mut self, id: LeaseId, key: &[u8]) -> Result<(), Rejection> {
        let _ = (id, key);
        todo!()
    }

    /// Takes a key off a lease; O(1). Says whether it hung there; an unknown lease or key is no error.
    pub fn detach(&mut self, id: LeaseId, key: &[u8]) -> bool {
        let _ = (id, key);
        todo!()
    }

    /// Sets the remaining TTL of a lease (0 to clear it), as replicated; gives what is to be stored, `None` for an
    /// unknown lease, which is no error.
    pub fn checkpoint(&mut self, id: LeaseId, remaining_ttl: i64) -> Option<Lease> {
        let _ = (id, remaining_ttl);
        todo!()
    }

    /// Whether the lease exists.
    pub fn contains(&self, id: LeaseId) -> bool {
        let _ = id;
        todo!()
    }

    /// What is stored of a lease.
    pub fn lookup(&self, id: LeaseId) -> Option<Lease> {
        let _ = id;
        todo!()
    }

    /// Number of leases.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether there are no leases.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys of a lease in order; `None` for an unknown lease.
    pub fn keys(&self, id: LeaseId) -> Option<Vec<Bytes>> {
        let _ = id;
        todo!()
    }

    /// Asks for each key of a lease, in no defined order, until one is refused; true for an unknown lease. For
    /// permission checks, which must not copy the keys.
    pub fn all_keys(&self, id: LeaseId, allowed: impl FnMut(&[u8]) -> bool) -> bool {
        let _ = (id, allowed);
        todo!()
    }

    /// This member leads from now on: every lease gets its full TTL again, or its checkpointed remaining TTL, plus
    /// `extend` (one election timeout, the time in which an old leader may have renewed it). From [`SPREAD_FROM`]
    /// leases on, deadlines that pile up are moved later, so that at most 750 leases expire per second.
    pub fn promote(&mut self, now: Duration, extend: Duration) {
        let _ = (now, extend);
        todo!()
    }

    /// This member leads no longer: deadlines are forgotten.
    pub fn demote(&mut self) {
        todo!()
    }

    /// Whether this member decides about deadlines.
    pub fn is_primary(&self) -> bool {
        todo!()
    }

    /// A keep-alive.
    pub fn renew(&mut self, id: LeaseId, now: Duration) -> Renewal {
        let _ = (id, now);
        todo!()
    }

    /// At most `max` leases whose time is over, longest overdue first; to be revoked through the log. Each is reported
    /// again after the retry interval while it exists. O(expired).
    pub fn expired(&mut self, now: Duration, max: usize) -> Vec<LeaseId> {
        let _ = (now, max);
        todo!()
    }

    /// When [`Lessor::expired`] or [`Lessor::checkpoints_due`] may have something to report next; `None` for not
    /// before something else happens.
    pub fn next_wakeup(&mut self, now: Duration) -> Option<Duration> {
        let _ = now;
        todo!()
    }

    /// At most `max` remaining TTLs that are due to be replicated by a `LeaseCheckpoint` command.
    pub fn checkpoints_due(&mut self, now: Duration, max: usize) -> Vec<Checkpoint> {
        let _ = (now, max);
        todo!()
    }

    /// How a lease stands; `None` for an unknown one (answered with TTL -1).
    pub fn time_to_live(&self, id: LeaseId, now: Duration) -> Option<TimeToLive> {
        let _ = (id, now);
        todo!()
    }

    /// All leases, by remaining time where this member leads, then by id.
    pub fn leases(&self, now: Duration) -> Vec<LeaseId> {
        let _ = now;
        todo!()
    }
}
