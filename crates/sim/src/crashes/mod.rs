//! Every crash point of a run: after each operation of each member's disk the power fails, in several ways, on a copy
//! of the machine, and the copy must come back with everything that the member had promised and nothing else.

mod camera;
mod keep;
mod probe;

pub use camera::Camera;
pub use probe::Probes;

use crate::run::Failure;
use crate::swarm::Swarm;
use crate::totals::Totals;
use crate::world::World;
use std::sync::Arc;

/// What came of the crash points of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrashReport {
    /// The run itself.
    pub totals: Totals,
    /// Operations of disks and stores after which the power failed.
    pub points: u64,
    /// Restarts from what was left, several for each point.
    pub restarts: u64,
    /// Entries that members applied again after a restart.
    pub replayed: u64,
}

impl CrashReport {
    /// Adds those of another run.
    pub fn add(&mut self, other: &CrashReport) {
        self.totals.add(&other.totals);
        self.points += other.points;
        self.restarts += other.restarts;
        self.replayed += other.replayed;
    }
}

/// Runs a seed without faults in its own right and restarts a copy of the member concerned after every operation of its
/// disk, `patterns` times with different parts of the unsynced lost.
pub fn crash_points(seed: u64, swarm: Swarm, patterns: usize) -> Result<CrashReport, Box<Failure>> {
    let failed = |violation: String| {
        Box::new(Failure {
            seed,
            violation,
            story: Vec::new(),
            sum: 0,
        })
    };
    let mut world = World::new(seed, Some(swarm.clone())).map_err(|error| failed(error.to_string()))?;
    let probes = Probes::start(&swarm);
    world.attach(Arc::new(Camera::new(seed, patterns, probes.sender())));
    let outcome = world.run();
    let points = world.detach();
    let findings = probes.finish();
    let story = || {
        let desk = world.desk.lock();
        desk.story.last(60).map(str::to_owned).collect::<Vec<_>>()
    };
    let checked = outcome.and_then(|()| findings.check(&world.desk.lock().judge));
    match checked {
        Ok(()) => Ok(CrashReport {
            totals: world.totals(),
            points,
            restarts: findings.restarts,
            replayed: findings.replayed,
        }),
        Err(violation) => Err(Box::new(Failure {
            story: story(),
            ..*failed(violation)
        })),
    }
}
