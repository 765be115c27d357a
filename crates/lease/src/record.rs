//! What the lessor remembers of one lease.

use crate::Lease;
use crate::timers::{NEVER, Nanos, seconds};
use bytes::Bytes;
use model::LeaseId;
use std::collections::HashSet;

/// Kept small: there may be millions.
#[derive(Debug)]
pub(crate) struct Record {
    pub ttl: i64,
    pub remaining_ttl: i64,
    /// [`NEVER`] until the first clock after the grant.
    pub deadline: Nanos,
    /// When the live expiry timer rings; never after `deadline`, but for an expired lease's retry.
    pub expiry_timer: Nanos,
    /// When the live checkpoint timer rings.
    pub checkpoint_timer: Nanos,
    #[expect(
        clippy::box_collection,
        reason = "eight bytes, not 48, for the many leases without keys"
    )]
    pub keys: Option<Box<HashSet<Box<[u8]>>>>,
}

impl Record {
    pub fn new(lease: &Lease) -> Record {
        Record {
            ttl: lease.ttl,
            remaining_ttl: lease.remaining_ttl,
            deadline: NEVER,
            expiry_timer: NEVER,
            checkpoint_timer: NEVER,
            keys: None,
        }
    }

    pub fn lease(&self, id: LeaseId) -> Lease {
        Lease {
            id,
            ttl: self.ttl,
            remaining_ttl: self.remaining_ttl,
        }
    }

    /// What a new leader grants, in seconds.
    pub fn restart_ttl(&self) -> i64 {
        if self.remaining_ttl > 0 {
            self.remaining_ttl
        } else {
            self.ttl
        }
    }

    pub fn remaining(&self, now: Nanos) -> Nanos {
        if self.deadline == NEVER {
            seconds(self.restart_ttl())
        } else {
            self.deadline.saturating_sub(now)
        }
    }

    pub fn attach(&mut self, key: &[u8]) {
        self.keys.get_or_insert_default().insert(key.into());
    }

    pub fn sorted_keys(&self) -> Vec<Bytes> {
        let keys = self.keys.iter().flat_map(|keys| keys.iter());
        let mut keys: Vec<Bytes> = keys.map(|key| Bytes::copy_from_slice(key)).collect();
        keys.sort_unstable();
        keys
    }
}
