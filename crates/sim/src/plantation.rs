//! Planted bugs: each is switched on for a range of seeds, until one of them finds it.

use crate::run::{Failure, run_seed};
use crate::swarm::{Kinds, Swarm};
use crate::time::MILLI;
use planted::Bug;
use std::ops::Range;

/// What became of one planted bug.
#[derive(Clone, Debug)]
pub struct Found {
    /// The bug.
    pub bug: Bug,
    /// Seeds that were run with it.
    pub tried: u64,
    /// Those that found it.
    pub found: u64,
    /// The first run that failed without the bug, too: a violation of the product's.
    pub innocent: Option<Box<Failure>>,
    /// The first that did, and what it found.
    pub first: Option<Box<Failure>>,
}

/// The mixture of faults that a seed stands for, with what the bug needs to show among them.
fn fertile(bug: Bug, seed: u64) -> Swarm {
    let swarm = Swarm::of(seed);
    let three = swarm.members.max(3);
    match bug {
        Bug::VoteForgotten => Swarm {
            members: 5,
            heartbeat: 30 * MILLI,
            election: 300 * MILLI,
            pre_vote: false,
            fault_every: 300 * MILLI,
            faults: Kinds {
                kill: true,
                power: true,
                partition: true,
                ..Kinds::default()
            },
            ..swarm
        },
        Bug::MiddleTruncated => Swarm {
            members: three,
            segment_bytes: 64 << 10,
            faults: Kinds {
                flip: true,
                members: false,
                ..swarm.faults
            },
            ..swarm
        },
        Bug::RevokeForwarded | Bug::RevokeByFollower | Bug::RenewedByAnyone => Swarm {
            members: three,
            leasers: 8,
            heartbeat: 30 * MILLI,
            election: 300 * MILLI,
            faults: Kinds {
                pause: true,
                ..swarm.faults
            },
            ..swarm
        },
        Bug::SnapshotWithoutLeases | Bug::WatchNotRestored | Bug::LogReleasedEarly => Swarm {
            members: three,
            leasers: 3,
            watchers: 4,
            snapshot_count: 10,
            catch_up_entries: 5,
            faults: Kinds {
                kill: true,
                partition: true,
                ..swarm.faults
            },
            ..swarm
        },
        Bug::ReadContextReused => Swarm {
            members: three,
            late_ppm: 300_000,
            faults: Kinds {
                stall: true,
                ..swarm.faults
            },
            ..swarm
        },
        Bug::CompactionEatsDelete | Bug::ProgressAhead => Swarm {
            compactor: true,
            watchers: 4,
            watch_queue: 1,
            keys: 3,
            ..swarm
        },
        _ => swarm,
    }
}

/// Runs the seeds with a bug, until one has found it; with `all` goes on after that.
pub fn plant(bug: Bug, seeds: Range<u64>, all: bool) -> Found {
    let mut outcome = Found {
        bug,
        tried: 0,
        found: 0,
        innocent: None,
        first: None,
    };
    planted::plant(Some(bug));
    for seed in seeds {
        outcome.tried += 1;
        if let Err(failure) = run_seed(seed, Some(fertile(bug, seed)), false) {
            // The bug has to be what it found: without it the same run must be right.
            planted::plant(None);
            let control = run_seed(seed, Some(fertile(bug, seed)), false);
            planted::plant(Some(bug));
            if let Err(failure) = control {
                outcome.innocent.get_or_insert(failure);
                continue;
            }
            outcome.found += 1;
            outcome.first.get_or_insert(failure);
            if !all {
                break;
            }
        }
    }
    planted::plant(None);
    outcome
}
