//! Drives the `raft` crate: one replicated log of opaque bytes on a [`wal`], applied in order to a [`StateMachine`],
//! carried between members by a [`Transport`].
//!
//! Knows nothing of what the bytes mean, of sockets, or of tokio. Callers hand in proposals, read requests and peer
//! messages through a [`Handle`] that never blocks; three threads (raft loop, log writer, apply) do the rest.

mod engine;
mod handle;
mod machine;
mod transport;

mod error;
mod observer;
mod options;
mod status;

mod applier;
mod inbox;
mod log_writer;
mod queue;
mod raft_loop;
mod shared;
mod waiter;

mod configuration;
pub mod consensus;
mod message;

mod directory;
mod logger;
mod wire;

pub use configuration::{Change, ChangeKind, ChangeStep, Configuration, Forbidden, Transition};
pub use engine::{Engine, Start, is_blank};
pub use error::{Error, Fault, MachineError, ProposeError, ReadError, StepError, TransferError};
pub use handle::{Handle, ReadCallback, TransferCallback};
pub use machine::{Applied, Committed, StateMachine, Verdict};
pub use message::{MessageKind, PeerMessage};
pub use observer::{LeaderChange, Observer};
pub use options::{Bootstrap, Member, Options};
pub use status::{PeerStatus, Replication, Role, Status};
pub use transport::{Checkpoint, Transport};

/// An entry with a single configuration change, in the log and in raft.
pub(crate) const CONF_CHANGE: u8 = 1;

/// An entry with a configuration change of several steps.
pub(crate) const CONF_CHANGE_V2: u8 = 2;
