//! The replicated state: committed commands become changes of keys, leases, users, members and alarms, all in one
//! batch per group together with the applied index. Also what can be judged before a command is proposed
//! ([`validate`], [`quota`]).
//!
//! Pure: the outcome of a command is a function of the state and the command. Knows neither raft nor clocks, does no
//! IO beyond its batch, and starts nothing by itself.

mod alarms;
mod error;
mod machine;
mod meta;
pub mod quota;
mod shared;
pub mod txn;
pub mod validate;
mod write;

pub use alarms::Alarms;
pub use error::Error;
pub use machine::{Machine, Options, Outcome};
pub use meta::Applied;
pub use shared::{LeaseKeys, Shared};
pub use write::Work;
