//! Planted bugs: each is switched on for a range of seeds, until one of them finds it.

use crate::many::{run_seeds, threads};
use crate::run::{Failure, run_seed};
use crate::swarm::{Kinds, Swarm};
use crate::time::{MILLI, SECOND};
use planted::Bug;
use std::ops::{ControlFlow, Range};

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
        Bug::VoteForgotten | Bug::PromisesEarly => Swarm {
            members: three,
            faults: Kinds {
                kill: true,
                power: true,
                voters: true,
                partition: true,
                ..swarm.faults
            },
            ..swarm
        },
        Bug::AuthNotRestored | Bug::AuthWithoutIndex | Bug::OldTokensPass => Swarm {
            members: three,
            users: true,
            snapshot_count: 10,
            catch_up_entries: 5,
            flush_age: SECOND / 5,
            faults: Kinds {
                kill: true,
                partition: true,
                ..swarm.faults
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
        // A leader has to be stopped between two steps of one decision.
        Bug::RevokeForwarded => Swarm {
            members: three,
            clients: 1,
            leasers: 8,
            heartbeat: 30 * MILLI,
            election: 300 * MILLI,
            faults_for: 40 * SECOND,
            fault_every: SECOND,
            faults: Kinds {
                pause: true,
                ..Kinds::default()
            },
            ..swarm
        },
        Bug::RevokeByFollower | Bug::RenewedByAnyone => Swarm {
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
        // Processes live on, and their watches with them, while members lag behind.
        Bug::WatchNotRestored => Swarm {
            members: three,
            clients: 6,
            think: 5 * MILLI,
            watchers: 8,
            snapshot_count: 10,
            catch_up_entries: 5,
            faults: Kinds {
                partition: true,
                one_way: true,
                ..Kinds::default()
            },
            ..swarm
        },
        Bug::SnapshotWithoutLeases | Bug::LogReleasedEarly => Swarm {
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
        // An answer has to come twice or late, while the member that asked lags behind on its own.
        Bug::ReadContextReused => Swarm {
            members: three,
            clients: 6,
            keys: 3,
            think: 5 * MILLI,
            late_ppm: 300_000,
            twice_ppm: 300_000,
            fault_every: 300 * MILLI,
            faults: Kinds {
                stall: true,
                ..Kinds::default()
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
    let run = |seed| {
        planted::plant(Some(bug));
        let found = run_seed(seed, Some(fertile(bug, seed)), false).err();
        planted::plant(None);
        // The bug has to be what it found: without it the same run must be right.
        found.map(|failure| (failure, run_seed(seed, Some(fertile(bug, seed)), false).err()))
    };
    run_seeds(seeds, threads(), run, |_, found| {
        outcome.tried += 1;
        match found {
            None => return ControlFlow::Continue(()),
            Some((_, Some(innocent))) => {
                outcome.innocent.get_or_insert(innocent);
                return ControlFlow::Continue(());
            }
            Some((failure, None)) => {
                outcome.found += 1;
                outcome.first.get_or_insert(failure);
            }
        }
        match all {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    outcome
}
