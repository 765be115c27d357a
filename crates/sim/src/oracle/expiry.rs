//! Leases: none may end before its time, and none may be renewed after its end.

use super::Check;
use crate::time::{Nanos, SECOND, show};
use std::collections::{BTreeMap, BTreeSet};

/// What clients and the log have said about leases.
#[derive(Debug, Default)]
pub struct Expiry {
    leases: BTreeMap<i64, Known>,
    /// Fastest clock of any member, in millionths.
    fastest_ppm: u64,
    /// Leases that ended by themselves.
    pub expired: u64,
    /// Renewals that were confirmed.
    pub renewed: u64,
}

#[derive(Debug, Default)]
struct Known {
    ttl: i64,
    /// When the client sent the last request that is known to have renewed it.
    renewed: Nanos,
    /// Somebody has asked for its end.
    revoking: bool,
    /// When the log ended it.
    ended: Option<Nanos>,
    /// When a client first knew of that.
    end_known: Option<Nanos>,
    confirmed: bool,
}

impl Expiry {
    /// Notes a clock that is fast.
    pub fn clock(&mut self, ppm: u64) {
        self.fastest_ppm = self.fastest_ppm.max(ppm);
    }

    /// A client is about to revoke a lease.
    pub fn revoking(&mut self, id: i64) {
        self.leases.entry(id).or_default().revoking = true;
    }

    /// A client has been granted a lease that it asked for at `asked`.
    pub fn granted(&mut self, id: i64, ttl: i64, asked: Nanos) -> Check {
        let known = self.leases.entry(id).or_default();
        known.ttl = ttl;
        known.confirmed = true;
        known.renewed = known.renewed.max(asked);
        self.check_end(id, asked)
    }

    /// A lease was renewed by a request sent at `asked`.
    pub fn renewed(&mut self, id: i64, asked: Nanos) -> Check {
        self.renewed += 1;
        let known = self.leases.entry(id).or_default();
        if let Some(end) = known.end_known
            && asked > end
        {
            return Err(format!(
                "lease {id:x} was renewed by a request of {}, but was known to have ended at {}",
                show(asked),
                show(end)
            ));
        }
        known.renewed = known.renewed.max(asked);
        self.check_end(id, asked)
    }

    /// A renewal asked for at `asked` was answered that there is no such lease.
    pub fn not_found(&mut self, id: i64) -> Check {
        let known = self.leases.entry(id).or_default();
        if known.confirmed && known.ended.is_none() {
            return Err(format!("lease {id:x} exists, but a renewal did not find it"));
        }
        Ok(())
    }

    /// The log ends a lease at `now`.
    pub fn ended(&mut self, id: i64, now: Nanos) -> Check {
        let known = self.leases.entry(id).or_default();
        known.ended.get_or_insert(now);
        if !known.revoking {
            self.expired += 1;
        }
        let renewed = known.renewed;
        self.check_end(id, renewed)
    }

    /// A client has seen that a lease is over.
    pub fn end_known(&mut self, id: i64, now: Nanos) {
        self.leases.entry(id).or_default().end_known.get_or_insert(now);
    }

    /// Leases that ought to be over by now, with nobody having renewed them: lost by those who look after deadlines.
    pub fn overdue(&self, now: Nanos, patience: Nanos, existing: &BTreeSet<i64>) -> Vec<i64> {
        let late = |known: &Known| {
            known.ended.is_none() && known.renewed + known.ttl as u64 * SECOND + patience < now
        };
        let all = self.leases.iter();
        all.filter(|(id, known)| known.confirmed && late(known) && existing.contains(id))
            .map(|(id, _)| *id)
            .collect()
    }

    fn check_end(&self, id: i64, renewed: Nanos) -> Check {
        let known = &self.leases[&id];
        let Some(ended) = known.ended.filter(|_| !known.revoking && known.ttl > 0) else {
            return Ok(());
        };
        let ppm = self.fastest_ppm.max(1_000_000);
        let ttl = (u128::from(known.ttl as u64 * SECOND) * 1_000_000 / u128::from(ppm)) as Nanos;
        if ended < renewed + ttl {
            return Err(format!(
                "lease {id:x} of {} s was renewed by a request of {} and ended at {}, too early by {} ms",
                known.ttl,
                show(renewed),
                show(ended),
                (renewed + ttl - ended) / crate::time::MILLI,
            ));
        }
        Ok(())
    }
}
