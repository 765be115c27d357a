//! What is right: a model of the whole key space, and the judge who holds every answer against it.

mod expiry;
mod judge;
mod keyspace;
mod permits;
mod promises;
mod rights;
mod watches;

pub use judge::{Judge, Ticket};
pub use keyspace::KeySpace;
pub use promises::{Promise, Promises};
pub use watches::Watched;

/// What went wrong, for people.
pub type Violation = String;

/// The outcome of a check.
pub type Check = Result<(), Violation>;
