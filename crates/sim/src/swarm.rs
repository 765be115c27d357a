//! What one seed chooses: the size of the cluster, its settings, and which faults it will meet. Every run leaves some
//! out, so that those that hide others do not always do so (swarm testing).

use crate::rng::Rng;
use crate::time::{MILLI, Nanos, SECOND};
use model::ClusterId;

/// The simulated cluster's id.
pub const CLUSTER: ClusterId = ClusterId(0xC1);

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// First members.
    pub members: u64,
    /// Heartbeat interval.
    pub heartbeat: Nanos,
    /// Election timeout.
    pub election: Nanos,
    /// PreVote.
    pub pre_vote: bool,
    /// Entries between two releases of the log.
    pub snapshot_count: u64,
    /// Entries kept for followers.
    pub catch_up_entries: u64,
    /// Time after which stores are flushed.
    pub flush_age: Nanos,
    /// Revisions in one step of a compaction.
    pub compaction_batch: usize,
    /// Revisions the watch hub holds in memory.
    pub ring_revisions: usize,
    /// Responses that may wait on a watch.
    pub watch_queue: usize,
    /// Remaining times of leases go through the log.
    pub lease_checkpoints: bool,
    /// Bytes of a segment of the log.
    pub segment_bytes: u64,
    /// Clients.
    pub clients: u64,
    /// Keys that they use.
    pub keys: u64,
    /// Mean pause of a client between two calls.
    pub think: Nanos,
    /// How long faults go on.
    pub faults_for: Nanos,
    /// Mean time between two faults.
    pub fault_every: Nanos,
    /// Which faults.
    pub faults: Kinds,
    /// Lost messages between members, in a million.
    pub loss_ppm: u64,
    /// Messages between members that arrive twice, in a million.
    pub twice_ppm: u64,
    /// Messages that are late, in a million.
    pub late_ppm: u64,
    /// Watchers.
    pub watchers: u64,
    /// Clients that grant leases and keep them alive.
    pub leasers: u64,
    /// Clients that contend for a lock.
    pub lockers: u64,
    /// A client that compacts.
    pub compactor: bool,
    /// Users with and without permissions, which change.
    pub users: bool,
    /// A client that raises the alarm that space is short, and clears it.
    pub alarms: bool,
    /// Leaders compare everybody's keys, all the time and after compactions.
    pub audits: bool,
}

/// Kinds of faults that a run may see.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kinds {
    /// Processes are killed; the page cache survives.
    pub kill: bool,
    /// Machines lose power.
    pub power: bool,
    /// All machines lose power at once.
    pub blackout: bool,
    /// Members die right after they have voted, and are back at once.
    pub voters: bool,
    /// Processes are paused.
    pub pause: bool,
    /// Groups of members cannot talk.
    pub partition: bool,
    /// Messages pass in one direction only.
    pub one_way: bool,
    /// Disks are slow or do not answer.
    pub stall: bool,
    /// Writes fail with EIO.
    pub eio: bool,
    /// Disks are full.
    pub full: bool,
    /// Bits flip in the log of a minority.
    pub flip: bool,
    /// Clocks drift, and the time of day jumps.
    pub clocks: bool,
    /// Members come, are promoted and go.
    pub members: bool,
    /// Leadership is handed over.
    pub transfer: bool,
}

impl Swarm {
    /// The settings that a seed stands for.
    pub fn of(seed: u64) -> Swarm {
        Swarm::choose(&mut Rng::new(seed))
    }

    pub(crate) fn choose(rng: &mut Rng) -> Swarm {
        let members = *rng.pick(&[1, 3, 3, 3, 3, 5]);
        let (heartbeat, election) = *rng.pick(&[
            (100 * MILLI, SECOND),
            (100 * MILLI, SECOND),
            (30 * MILLI, 300 * MILLI),
            (50 * MILLI, 500 * MILLI),
        ]);
        let storm = rng.percent(50);
        let quiet = rng.percent(10);
        let mut on = |percent| !quiet && rng.percent(percent);
        let faults = Kinds {
            kill: on(70),
            power: on(60),
            blackout: on(30),
            voters: on(25),
            pause: on(50),
            partition: on(60),
            one_way: on(40),
            stall: on(40),
            eio: on(25),
            full: on(20),
            flip: on(15),
            clocks: on(40),
            members: on(35),
            transfer: on(40),
        };
        let noisy = on(60);
        let pre_vote = rng.percent(85);
        let snapshot_count = if storm { rng.within(5, 60) } else { 10_000 };
        Swarm {
            members,
            heartbeat,
            election,
            pre_vote,
            snapshot_count,
            flush_age: (snapshot_count * 20 * MILLI).min(60 * SECOND),
            catch_up_entries: if storm { rng.within(2, 40) } else { 5_000 },
            compaction_batch: *rng.pick(&[3, 10, 100, 1000]),
            ring_revisions: *rng.pick(&[4, 50, 100_000]),
            watch_queue: *rng.pick(&[1, 4, 128]),
            lease_checkpoints: rng.percent(50),
            segment_bytes: *rng.pick(&[4 << 10, 16 << 10, 64 << 10]),
            clients: rng.within(2, 6),
            keys: *rng.pick(&[3, 10, 10, 40]),
            think: *rng.pick(&[5 * MILLI, 20 * MILLI, 60 * MILLI]),
            faults_for: rng.within(10, 30) * SECOND,
            fault_every: rng.within(300, 3000) * MILLI,
            faults,
            loss_ppm: if noisy { rng.below(50_000) } else { 0 },
            twice_ppm: if noisy { rng.below(30_000) } else { 0 },
            late_ppm: if noisy { rng.below(100_000) } else { 0 },
            watchers: rng.within(1, 4),
            leasers: rng.within(0, 3),
            lockers: *rng.pick(&[0, 0, 2, 3]),
            compactor: rng.percent(60),
            users: rng.percent(30),
            alarms: rng.percent(15),
            audits: rng.percent(30),
        }
    }
}
