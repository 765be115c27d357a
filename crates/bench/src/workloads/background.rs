//! Puts that go on beside what is measured.

use super::put::Put;
use crate::director::{Director, Job};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::{Error, Result};

/// Clients of the background: enough that a stall does not use them up at the usual rates.
const CLIENTS: usize = 256;

/// Starts `--background` puts a second, by the clock.
pub fn puts(options: &Options) -> Result<Director> {
    let job = Job {
        connections: 4,
        clients: CLIENTS,
        rate: Some(options.background),
        total: None,
        plan: &|_| Box::new(Put::new(options, Vec::new())),
    };
    let options = Options {
        threads: 1,
        ..options.clone()
    };
    Director::start(&options, &job)
}

/// The outcome, unless something in it failed that others build upon.
pub fn refuse_errors(outcome: Outcome) -> Result<Outcome> {
    match outcome.phases.iter().find_map(|phase| phase.failure.clone()) {
        Some(failure) => Err(Error::Unmet(failure)),
        None => Ok(outcome),
    }
}
