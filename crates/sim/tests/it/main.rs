//! The simulator's own tests, and the seeds that every change has to pass.

mod crash_points;
mod leases;
#[cfg(feature = "planted")]
mod planted;
mod seeds;
