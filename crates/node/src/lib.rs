//! One replica: the raft engine, the state machine and the watch hub behind one [`Handle`], and the loops that make
//! a member do by itself what nobody asks it for (lease expiry, compaction, cluster version, publishing its name).
//! Knows no gRPC and no sockets: other members are reached through the [`Peers`] and transport it is given.

mod caller;
mod clock;
mod core;
mod corruption;
mod error;
mod force;
mod handle;
mod layout;
mod loops;
mod machine;
mod mailbox;
mod metrics;
mod observer;
mod options;
mod peers;
mod requests;
mod roles;
mod start;
mod threadless;
mod waiters;

pub use caller::Caller;
pub use clock::{Surroundings, System};
pub use corruption::CorruptionChecks;
pub use error::Error;
pub use handle::{Handle, MemberChange, SnapshotSource};
pub use options::{AutoCompaction, Bootstrap, Options, StoreOpener};
pub use peers::{BoxFuture, Peers};
pub use threadless::Threadless;

/// Result of what a [`Handle`] is asked for.
pub type Result<T, E = Error> = std::result::Result<T, E>;
