//! Drives the `raft` crate: one replicated log of opaque bytes on a [`wal`], applied in order to a [`StateMachine`],
//! carried between members by a [`Transport`].
//!
//! Knows nothing of what the bytes mean, of sockets, or of tokio. Callers hand in proposals, read requests and peer
//! messages through a [`Handle`] that never blocks; three threads (raft loop, log writer, apply) do the rest.

mod configuration;
mod engine;
mod error;
mod handle;
mod machine;
mod observer;
mod options;
mod status;
mod transport;

pub use configuration::{Change, ChangeKind, ChangeStep, Configuration, Transition};
pub use engine::{Engine, Start};
pub use error::{Error, Fault, MachineError, ProposeError, ReadError, StepError, TransferError};
pub use handle::{Handle, ReadCallback, TransferCallback};
pub use machine::{Applied, Committed, StateMachine, Verdict};
pub use observer::{LeaderChange, Observer};
pub use options::{Bootstrap, Member, Options};
pub use status::{PeerStatus, Replication, Role, Status};
pub use transport::{Checkpoint, Transport};
