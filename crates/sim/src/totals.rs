//! Numbers of what happened.

use crate::time::Nanos;

/// Numbers of what happened in a run, or in many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Simulated time.
    pub time: Nanos,
    /// Runs.
    pub seeds: u64,
    /// Events of the queue.
    pub events: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that were refused.
    pub denied: u64,
    /// Calls without a certain outcome.
    pub unknown: u64,
    /// Processes killed.
    pub kills: u64,
    /// Power failures.
    pub power: u64,
    /// Partitions of all kinds.
    pub partitions: u64,
    /// Pauses and stalls.
    pub pauses: u64,
    /// Disks that failed or were full.
    pub disk_faults: u64,
    /// Bits flipped.
    pub flips: u64,
    /// Elections won.
    pub leaders: u64,
    /// Changes of the members.
    pub members: u64,
    /// Snapshots delivered.
    pub snapshots: u64,
    /// Events delivered to watchers.
    pub watch_events: u64,
    /// Leases that expired.
    pub expired: u64,
    /// Leases renewed.
    pub renewed: u64,
    /// Locks taken.
    pub locks: u64,
    /// Commands in the log that permissions or alarms refused.
    pub forbidden: u64,
}

impl Totals {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Totals) {
        let pairs = [
            (&mut self.time, other.time),
            (&mut self.seeds, other.seeds),
            (&mut self.events, other.events),
            (&mut self.entries, other.entries),
            (&mut self.answered, other.answered),
            (&mut self.denied, other.denied),
            (&mut self.unknown, other.unknown),
            (&mut self.kills, other.kills),
            (&mut self.power, other.power),
            (&mut self.partitions, other.partitions),
            (&mut self.pauses, other.pauses),
            (&mut self.disk_faults, other.disk_faults),
            (&mut self.flips, other.flips),
            (&mut self.leaders, other.leaders),
            (&mut self.members, other.members),
            (&mut self.snapshots, other.snapshots),
            (&mut self.watch_events, other.watch_events),
            (&mut self.expired, other.expired),
            (&mut self.renewed, other.renewed),
            (&mut self.locks, other.locks),
            (&mut self.forbidden, other.forbidden),
        ];
        for (sum, more) in pairs {
            *sum += more;
        }
    }
}
