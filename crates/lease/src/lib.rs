//! Leases: which exist, which keys hang on them, and what has expired at a given time.
//!
//! Knows neither clock, disk, raft nor the values of keys: time comes as an argument, and rows to be written and keys
//! to be deleted go back to the caller.

mod error;
mod lease;
mod lessor;
mod record;
pub mod rows;
mod timers;
mod ttl;

pub use error::Error;
pub use lease::{Checkpoint, Lease, Renewal, TimeToLive};
pub use lessor::{Lessor, Options, SPREAD_FROM, SPREAD_PER_SECOND};
pub use ttl::{TTL_MAX, raise_ttl, ttl_min};
