//! Compaction that nobody has to ask for, on the leader.

use crate::AutoCompaction;
use crate::core::Core;
use model::pb::etcdserverpb::CompactionRequest;
use model::{Rejection, Request, Revision};
use mvcc::Read;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Revision mode looks this often.
const REVISIONS_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Periodic mode compacts at least this often, and remembers revisions ten times between.
const PERIOD_INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);
const LOOKS_PER_INTERVAL: u32 = 10;

pub(crate) async fn run(core: Arc<Core>) {
    let mut schedule = match core.options.auto_compaction {
        AutoCompaction::Off => return,
        AutoCompaction::Periodic(period) => Schedule::Periodic(Periodic::new(period)),
        AutoCompaction::Revisions(keep) => Schedule::Revisions {
            keep,
            last: Revision(0),
        },
    };
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep(schedule.interval()) => {}
            () = core.stopping() => return,
        }
        let current = core.shared.store.view().revision();
        let Some(target) = schedule.look(current, core.roles.leading_term().is_some()) else {
            continue;
        };
        let request = Request::Compaction(CompactionRequest {
            revision: target.0,
            physical: false,
        });
        match core.propose_own(request).await {
            Ok(_) => tracing::info!(revision = target.0, "compacted automatically"),
            // Somebody else has done it.
            Err(crate::Error::Rejected(Rejection::Compacted)) => {}
            Err(error) => {
                tracing::warn!(revision = target.0, %error, "automatic compaction failed");
                schedule.failed();
            }
        }
    }
}

enum Schedule {
    Periodic(Periodic),
    Revisions { keep: i64, last: Revision },
}

impl Schedule {
    fn interval(&self) -> Duration {
        match self {
            Schedule::Periodic(periodic) => periodic.look_interval,
            Schedule::Revisions { .. } => REVISIONS_INTERVAL,
        }
    }

    /// Called once per interval; says to which revision to compact now.
    fn look(&mut self, current: Revision, leads: bool) -> Option<Revision> {
        match self {
            Schedule::Periodic(periodic) => periodic.look(current, leads),
            Schedule::Revisions { keep, last } => {
                let target = Revision(current.0.saturating_sub(*keep));
                if !leads || target.0 <= 0 || target == *last {
                    return None;
                }
                *last = target;
                Some(target)
            }
        }
    }

    /// The last compaction that was asked for did not happen.
    fn failed(&mut self) {
        match self {
            Schedule::Periodic(periodic) => periodic.looks_until_due = 1,
            Schedule::Revisions { last, .. } => *last = Revision(0),
        }
    }
}

/// Remembers which revision was current when; compacts to the one of a period ago.
struct Periodic {
    look_interval: Duration,
    /// Looks in a whole period.
    looks_per_period: usize,
    looks_per_interval: usize,
    looks_until_due: usize,
    seen: VecDeque<Revision>,
    compacted: Revision,
}

impl Periodic {
    fn new(period: Duration) -> Periodic {
        let interval = period.min(PERIOD_INTERVAL_MAX);
        let look_interval = (interval / LOOKS_PER_INTERVAL).max(Duration::from_millis(1));
        let looks_per_period = (period.as_nanos() / look_interval.as_nanos()).max(1) as usize;
        Periodic {
            look_interval,
            looks_per_period,
            looks_per_interval: LOOKS_PER_INTERVAL as usize,
            looks_until_due: looks_per_period,
            seen: VecDeque::new(),
            compacted: Revision(0),
        }
    }

    fn look(&mut self, current: Revision, leads: bool) -> Option<Revision> {
        self.seen.push_back(current);
        while self.seen.len() > self.looks_per_period {
            self.seen.pop_front();
        }
        self.looks_until_due = self.looks_until_due.saturating_sub(1);
        if self.looks_until_due > 0 || !leads {
            return None;
        }
        self.looks_until_due = self.looks_per_interval;
        let target = *self.seen.front()?;
        if target == self.compacted {
            return None;
        }
        self.compacted = target;
        Some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periodic_compaction_keeps_a_period() {
        let mut periodic = Periodic::new(Duration::from_secs(10));
        assert_eq!(periodic.look_interval, Duration::from_secs(1));
        let compacted: Vec<_> = (1..=40)
            .filter_map(|now| Some((now, periodic.look(Revision(now), true)?.0)))
            .collect();
        assert_eq!(compacted, [(10, 1), (20, 11), (30, 21), (40, 31)]);
    }

    #[test]
    fn long_periods_are_compacted_every_hour() {
        let mut periodic = Periodic::new(Duration::from_secs(2 * 3600));
        let compacted: Vec<_> = (1..=40)
            .filter_map(|now| Some((now, periodic.look(Revision(now), true)?.0)))
            .collect();
        assert_eq!(compacted, [(20, 1), (30, 11), (40, 21)]);
    }

    #[test]
    fn only_the_leader_compacts() {
        let mut schedule = Schedule::Revisions {
            keep: 100,
            last: Revision(0),
        };
        assert_eq!(schedule.look(Revision(150), false), None);
        assert_eq!(schedule.look(Revision(150), true), Some(Revision(50)));
        assert_eq!(schedule.look(Revision(150), true), None, "nothing new");
        assert_eq!(schedule.look(Revision(90), true), None);
    }
}
