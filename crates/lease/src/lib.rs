//! Leases: which exist, which keys hang on them, and what has expired at a given time; and the rules by which keys
//! that hang on leases queue for a lock.
//!
//! Knows neither clock, disk, raft nor the values of keys: time comes as an argument, and rows to be written and keys
//! to be deleted go back to the caller.

mod error;
mod lessor;
pub mod queue;
pub mod rows;
mod timers;

pub use error::Error;
pub use lessor::{
    Checkpoint, Lease, Lessor, Options, Renewal, SPREAD_FROM, SPREAD_PER_SECOND, TTL_MAX, TimeToLive,
    admit_ttl, ttl_min,
};
