//! The lessor: leases, their keys and their deadlines.

use crate::record::Record;
use crate::timers::{NEVER, Nanos, Timers, later, nanos, seconds};
use crate::ttl::TTL_MAX;
use crate::{Checkpoint, Error, Lease, Renewal, TimeToLive, rows};
use bytes::Bytes;
use model::{LeaseId, Rejection};
use std::collections::HashMap;
use std::time::Duration;

/// From how many leases on a new leader spreads their deadlines.
pub const SPREAD_FROM: usize = 1000;

/// How many leases may expire within one second once deadlines are spread: less than can be revoked meanwhile.
pub const SPREAD_PER_SECOND: usize = 750;

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

/// All leases of the cluster, on every member; deadlines only on the leader ("primary").
///
/// What applied commands do (grant, revoke, attach, detach, checkpoint) is the same on every member and takes no time
/// argument: a lease granted while primary gets its deadline by the next call that brings a clock, hence never too
/// early. All `now` arguments are times since one arbitrary monotonic origin.
///
/// * A lease expires at its deadline or later, never before: its timer may ring early, and is then set again.
/// * At most one timer of a lease is live, the one whose time the lease remembers; a renewal moves the deadline only.
/// * Without being primary there are no timers, and deadlines mean nothing.
#[derive(Debug)]
pub struct Lessor {
    options: Options,
    leases: HashMap<LeaseId, Record>,
    primary: bool,
    /// Granted while primary, and not armed yet.
    fresh: Vec<LeaseId>,
    expiries: Timers,
    checkpoints: Timers,
}

impl Lessor {
    /// No leases, not primary.
    pub fn new(options: Options) -> Lessor {
        Lessor {
            options,
            leases: HashMap::new(),
            primary: false,
            fresh: Vec::new(),
            expiries: Timers::default(),
            checkpoints: Timers::default(),
        }
    }

    /// From the rows (key, value) of the lease family and the keys of the lease keys family; not primary.
    pub fn load(
        options: Options,
        leases: impl IntoIterator<Item = (Bytes, Bytes)>,
        attachments: impl IntoIterator<Item = Bytes>,
    ) -> Result<Lessor, Error> {
        let mut lessor = Lessor::new(options);
        for (key, value) in leases {
            let lease = rows::decode_lease(&key, &value)?;
            lessor.leases.insert(lease.id, Record::new(&lease));
        }
        for row in attachments {
            let (id, key) = rows::decode_attachment(&row)?;
            let record = lessor.leases.get_mut(&id).ok_or(Error::Orphan { id: id.0 })?;
            record.attach(key);
        }
        Ok(lessor)
    }

    /// Adds a lease; the caller stores [`crate::rows::lease_value`]. A TTL below 1 becomes 1: the real minimum is
    /// applied by whoever proposes, see [`crate::raise_ttl`].
    ///
    /// Refusals: id 0 (`LeaseNotFound`), a TTL above [`TTL_MAX`], an id in use.
    pub fn grant(&mut self, id: LeaseId, ttl: i64) -> Result<Lease, Rejection> {
        if id.0 == 0 {
            return Err(Rejection::LeaseNotFound);
        }
        if ttl > TTL_MAX {
            return Err(Rejection::LeaseTtlTooLarge);
        }
        if self.leases.contains_key(&id) {
            return Err(Rejection::LeaseExists);
        }
        let lease = Lease {
            id,
            ttl: ttl.max(1),
            remaining_ttl: 0,
        };
        self.leases.insert(id, Record::new(&lease));
        if self.primary {
            self.fresh.push(id);
        }
        Ok(lease)
    }

    /// Removes a lease; gives its keys in order, to be deleted in one revision together with its rows.
    pub fn revoke(&mut self, id: LeaseId) -> Result<Vec<Bytes>, Rejection> {
        let record = self.leases.remove(&id).ok_or(Rejection::LeaseNotFound)?;
        let keys = record.keys.map(|keys| *keys).unwrap_or_default();
        let mut keys: Vec<Bytes> = keys.into_iter().map(Bytes::from).collect();
        keys.sort_unstable();
        self.tidy();
        Ok(keys)
    }

    /// Hangs a key on a lease; O(1). Once more is no error. The key is copied.
    pub fn attach(&mut self, id: LeaseId, key: &[u8]) -> Result<(), Rejection> {
        let record = self.leases.get_mut(&id).ok_or(Rejection::LeaseNotFound)?;
        record.attach(key);
        Ok(())
    }

    /// Takes a key off a lease; O(1). Says whether it hung there; an unknown lease or key is no error.
    pub fn detach(&mut self, id: LeaseId, key: &[u8]) -> bool {
        let Some(keys) = self.leases.get_mut(&id).map(|record| &mut record.keys) else {
            return false;
        };
        let Some(set) = keys else {
            return false;
        };
        let hung = set.remove(key);
        if set.is_empty() {
            *keys = None;
        }
        hung
    }

    /// Sets the remaining TTL of a lease (0 to clear it), as replicated; gives what is to be stored, `None` for an
    /// unknown lease, which is no error. Deadlines here do not change: only the next leader's do.
    pub fn checkpoint(&mut self, id: LeaseId, remaining_ttl: i64) -> Option<Lease> {
        let record = self.leases.get_mut(&id)?;
        record.remaining_ttl = remaining_ttl.clamp(0, record.ttl);
        Some(record.lease(id))
    }

    /// Whether the lease exists.
    pub fn contains(&self, id: LeaseId) -> bool {
        self.leases.contains_key(&id)
    }

    /// What is stored of a lease.
    pub fn lookup(&self, id: LeaseId) -> Option<Lease> {
        self.leases.get(&id).map(|record| record.lease(id))
    }

    /// Number of leases.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there are no leases.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Keys of a lease in order; `None` for an unknown lease.
    pub fn keys(&self, id: LeaseId) -> Option<Vec<Bytes>> {
        self.leases.get(&id).map(Record::sorted_keys)
    }

    /// Asks for each key of a lease, in no defined order, until one is refused; true for an unknown lease. For
    /// permission checks, which must not copy the keys.
    pub fn all_keys(&self, id: LeaseId, mut allowed: impl FnMut(&[u8]) -> bool) -> bool {
        let keys = self.leases.get(&id).and_then(|record| record.keys.as_deref());
        keys.is_none_or(|keys| keys.iter().all(|key| allowed(key)))
    }

    /// This member leads from now on: every lease gets its full TTL again, or its checkpointed remaining TTL, plus
    /// `extend` (one election timeout, the time in which an old leader may have renewed it). From [`SPREAD_FROM`]
    /// leases on, deadlines that pile up are moved later, so that at most [`SPREAD_PER_SECOND`] expire within any
    /// second: a new leader that must revoke a million leases at once could do nothing else.
    ///
    /// Visits every lease: a million take some 0.3 s, so not on the thread that runs elections.
    pub fn promote(&mut self, now: Duration, extend: Duration) {
        let now = nanos(now);
        let start = now.saturating_add(nanos(extend));
        let mut deadlines: Vec<(Nanos, LeaseId)> = self
            .leases
            .iter()
            .map(|(id, record)| (later(start, seconds(record.restart_ttl())), *id))
            .collect();
        deadlines.sort_unstable();
        if deadlines.len() >= SPREAD_FROM {
            for i in SPREAD_PER_SECOND..deadlines.len() {
                let earliest = later(deadlines[i - SPREAD_PER_SECOND].0, seconds(1));
                deadlines[i].0 = deadlines[i].0.max(earliest);
            }
        }

        self.primary = true;
        self.fresh.clear();
        self.expiries = Timers::default();
        self.checkpoints = Timers::default();
        for (deadline, id) in deadlines {
            if let Some(record) = self.leases.get_mut(&id) {
                record.deadline = deadline;
                record.expiry_timer = deadline;
                record.checkpoint_timer = NEVER;
                self.expiries.set(deadline, id);
                schedule_checkpoint(&mut self.checkpoints, &self.options, id, record, now);
            }
        }
    }

    /// This member leads no longer: deadlines are forgotten.
    pub fn demote(&mut self) {
        self.primary = false;
        self.fresh = Vec::new();
        self.expiries = Timers::default();
        self.checkpoints = Timers::default();
    }

    /// Whether this member decides about deadlines.
    pub fn is_primary(&self) -> bool {
        self.primary
    }

    /// A keep-alive.
    pub fn renew(&mut self, id: LeaseId, now: Duration) -> Renewal {
        if !self.primary {
            return Renewal::NotPrimary;
        }
        let now = nanos(now);
        self.arm(now);
        let Some(record) = self.leases.get_mut(&id) else {
            return Renewal::NotFound;
        };
        if record.deadline <= now {
            return Renewal::Expired;
        }
        record.deadline = later(now, seconds(record.ttl));
        // A new leader's extension and spreading may have set the deadline, and the timer, beyond that of a renewal.
        if record.deadline < record.expiry_timer {
            record.expiry_timer = record.deadline;
            self.expiries.set(record.expiry_timer, id);
        }
        let renewed = Renewal::Renewed {
            ttl: record.ttl,
            clear_checkpoint: record.remaining_ttl > 0,
        };
        schedule_checkpoint(&mut self.checkpoints, &self.options, id, record, now);
        self.tidy();
        renewed
    }

    /// At most `max` leases whose time is over, longest overdue first; to be revoked through the log. Each is reported
    /// again after the retry interval while it exists. O(expired).
    pub fn expired(&mut self, now: Duration, max: usize) -> Vec<LeaseId> {
        let now = nanos(now);
        self.arm(now);
        let mut expired = Vec::new();
        while expired.len() < max {
            let Some((at, id)) = self.expiries.pop_due(now) else {
                break;
            };
            let Some(record) = self
                .leases
                .get_mut(&id)
                .filter(|record| record.expiry_timer == at)
            else {
                continue;
            };
            record.expiry_timer = if record.deadline > now {
                record.deadline
            } else {
                expired.push(id);
                // At least a nanosecond, or this loop would find it again.
                now.saturating_add(nanos(self.options.retry_interval).max(1))
            };
            self.expiries.set(record.expiry_timer, id);
        }
        expired
    }

    /// At most `max` remaining TTLs that are due to be replicated by a `LeaseCheckpoint` command.
    pub fn checkpoints_due(&mut self, now: Duration, max: usize) -> Vec<Checkpoint> {
        let now = nanos(now);
        self.arm(now);
        let mut due = Vec::new();
        while due.len() < max {
            let Some((at, id)) = self.checkpoints.pop_due(now) else {
                break;
            };
            let Some(record) = self
                .leases
                .get_mut(&id)
                .filter(|record| record.checkpoint_timer == at)
            else {
                continue;
            };
            record.checkpoint_timer = NEVER;
            let remaining = record.remaining(now);
            if remaining == 0 {
                continue;
            }
            let remaining_ttl = remaining.div_ceil(seconds(1)) as i64;
            if remaining_ttl < record.ttl {
                due.push(Checkpoint { id, remaining_ttl });
            }
            schedule_checkpoint(&mut self.checkpoints, &self.options, id, record, now);
        }
        due
    }

    /// When [`Lessor::expired`] or [`Lessor::checkpoints_due`] may have something to report next; `None` for not
    /// before something else happens.
    pub fn next_wakeup(&mut self, now: Duration) -> Option<Duration> {
        self.arm(nanos(now));
        let next = self
            .expiries
            .next()
            .into_iter()
            .chain(self.checkpoints.next())
            .min();
        next.map(Duration::from_nanos)
    }

    /// How a lease stands; `None` for an unknown one (answered with TTL -1).
    pub fn time_to_live(&self, id: LeaseId, now: Duration) -> Option<TimeToLive> {
        let record = self.leases.get(&id)?;
        Some(TimeToLive {
            granted: record.ttl,
            remaining: self
                .primary
                .then(|| Duration::from_nanos(record.remaining(nanos(now)))),
        })
    }

    /// All leases, by remaining time where this member leads, then by id. Copies and sorts: for millions of leases a
    /// matter of 100 ms.
    pub fn leases(&self, now: Duration) -> Vec<LeaseId> {
        let now = nanos(now);
        let remaining = |record: &Record| if self.primary { record.remaining(now) } else { 0 };
        let mut leases: Vec<(Nanos, LeaseId)> = self
            .leases
            .iter()
            .map(|(id, record)| (remaining(record), *id))
            .collect();
        leases.sort_unstable();
        leases.into_iter().map(|(_, id)| id).collect()
    }

    /// Number of timers, live and old: a measure of memory.
    pub fn timers(&self) -> usize {
        self.expiries.len() + self.checkpoints.len()
    }

    /// Gives leases that were granted since the last look at the clock their deadlines.
    fn arm(&mut self, now: Nanos) {
        if !self.primary {
            return;
        }
        for id in self.fresh.drain(..) {
            let Some(record) = self.leases.get_mut(&id).filter(|record| record.deadline == NEVER) else {
                // Revoked meanwhile; perhaps granted again, then it is armed already.
                continue;
            };
            record.deadline = later(now, seconds(record.ttl));
            record.expiry_timer = record.deadline;
            self.expiries.set(record.expiry_timer, id);
            schedule_checkpoint(&mut self.checkpoints, &self.options, id, record, now);
        }
    }

    /// Throws timers of revoked leases away once they are the most: a timer can be centuries ahead.
    fn tidy(&mut self) {
        let leases = &self.leases;
        self.expiries.tidy(leases.len(), |at, id| {
            leases.get(&id).is_some_and(|record| record.expiry_timer == at)
        });
        self.checkpoints.tidy(leases.len(), |at, id| {
            leases
                .get(&id)
                .is_some_and(|record| record.checkpoint_timer == at)
        });
    }
}

fn schedule_checkpoint(timers: &mut Timers, options: &Options, id: LeaseId, record: &mut Record, now: Nanos) {
    let Some(interval) = options.checkpoint_interval else {
        return;
    };
    let interval = nanos(interval).max(1);
    if record.checkpoint_timer == NEVER && record.remaining(now) > interval {
        record.checkpoint_timer = now.saturating_add(interval);
        timers.set(record.checkpoint_timer, id);
    }
}
