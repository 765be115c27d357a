//! The whole cluster in one thread, under one seed: the product's engine, log, state machine, leases, watch hub and
//! membership on simulated clocks, disks and networks, with faults, clients, and a model that judges every answer.
//!
//! Runs no code of its own in place of the product's: a member here is a [`node::Handle`] without threads. What it does
//! not simulate: gRPC and TLS, the real engines of the store (in memory here), and the files of snapshots on their way.
//!
//! The same seed gives the same run, event for event; a violation is told with the story that led to it.

mod call;
mod clients;
mod crashes;
mod disk;
mod faults;
mod link;
mod machine;
mod many;
mod net;
mod oracle;
#[cfg(feature = "planted")]
mod plantation;
mod rng;
mod run;
mod store;
mod story;
mod swarm;
mod time;
mod totals;
mod world;

pub use crashes::{CrashReport, crash_points};
pub use many::{run_seeds, threads};
pub use oracle::Violation;
#[cfg(feature = "planted")]
pub use plantation::{Found, plant};
pub use run::{Failure, Report, run_seed};
pub use swarm::{Kinds, Swarm};
pub use time::{Nanos, SECOND};
pub use totals::Totals;
