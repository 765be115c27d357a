//! One seed, from beginning to end.

use crate::oracle::Violation;
use crate::swarm::Swarm;
use crate::totals::Totals;
use crate::world::World;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A run that went well.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// What happened, in numbers.
    pub totals: Totals,
    /// The same for the same run, and for no other.
    pub sum: u64,
}

/// A run that did not.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was wrong.
    pub violation: Violation,
    /// The last events before it.
    pub story: Vec<String>,
    /// The same for the same run.
    pub sum: u64,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.story {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.violation)?;
        write!(f, "again: cargo run -p sim -- --seed {} --trace", self.seed)
    }
}

/// Lines of a failure's story.
const STORY_LINES: usize = 60;

/// Runs a seed; `swarm` replaces what the seed would choose. With `print` the story is printed as it goes.
pub fn run_seed(seed: u64, swarm: Option<Swarm>, print: bool) -> Result<Report, Box<Failure>> {
    let failed = |violation, story, sum| {
        Box::new(Failure {
            seed,
            violation,
            story,
            sum,
        })
    };
    let mut world = World::new(seed, swarm).map_err(|error| failed(error.to_string(), Vec::new(), 0))?;
    world.desk.lock().story.print = print;
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    });
    let desk = world.desk.lock();
    let sum = desk.story.sum();
    if let Err(violation) = outcome {
        let story = desk.story.last(STORY_LINES).map(str::to_owned).collect();
        return Err(failed(violation, story, sum));
    }
    drop(desk);
    Ok(Report {
        totals: world.totals(),
        sum,
    })
}
