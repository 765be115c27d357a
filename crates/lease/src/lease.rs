//! What is said of a lease.

use model::LeaseId;
use std::time::Duration;

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
        /// A checkpoint of this lease is stored and says less than the truth from now on: propose one with 0, and
        /// answer only once that is applied. A new leader would otherwise let the lease expire too early.
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
