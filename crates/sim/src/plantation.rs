//! Planted bugs: each is switched on for a range of seeds, until one of them finds it.

use crate::run::{Failure, run_seed};
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
    /// The first that did, and what it found.
    pub first: Option<Box<Failure>>,
}

/// Runs the seeds with a bug, until one has found it; with `all` goes on after that.
pub fn plant(bug: Bug, seeds: Range<u64>, all: bool) -> Found {
    let mut outcome = Found {
        bug,
        tried: 0,
        found: 0,
        first: None,
    };
    planted::plant(Some(bug));
    for seed in seeds {
        outcome.tried += 1;
        if let Err(failure) = run_seed(seed, None, false) {
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
