//! Drives the `raft` crate: one replicated log of opaque bytes on a [`wal`], applied in order to a [`StateMachine`],
//! carried between members by a [`Transport`].
//!
//! Knows nothing of what the bytes mean, of sockets, or of tokio. Callers hand in proposals, read requests and peer
//! messages through a [`Handle`] that never blocks; three threads do the rest:
//!
//! ```text
//! Handle ─▶ inbox ─▶ raft ──messages──▶ Transport
//!                    │ ▲ │
//!             writes │ │ │ committed entries, readers
//!                    ▼ │ ▼
//!            raft-log ─┘ raft-apply ─▶ StateMachine
//!            append, sync              one group, one batch
//! ```
//!
//! The raft thread waits for nothing but its inbox, so ticks and heartbeats go on while a disk is slow. Each thread
//! takes all that has gathered while it was busy, and so batches grow with the load.
//!
//! What becomes durable in which order:
//! - **An entry**: sent to followers and handed to the log at once; acknowledged to the leader, or counted by it, after
//!   the log's sync; applied after that. A vote leaves after its sync.
//! - **The state**: at any time after the entries in it. Log before [`StateMachine::durable`] is released; a restart
//!   replays from there. State beyond the end of the log is an error at the start, for then the log was lost.
//! - **A snapshot of the leader**: its files are synced where they were received, moved to `install-TERM-INDEX`, then the
//!   log is begun anew behind its index, then the leader hears of it, then the state machine takes the files over. A
//!   restart in between finds the files by the log's marker and finishes; files without a marker are removed.
//!
//! After a failed write or sync, an error of the state machine, or a panic, nothing more is sent, written, applied or
//! answered, and `on_fault` is called.
//!
//! Memory is bounded by the options for what waits, [`consensus`] for what is not yet applied, and `log_retain_entries`
//! and `log_retain_bytes` for what is kept for followers.

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
mod sync;
mod threadless;
mod waiter;

mod change;
mod configuration;
pub mod consensus;
mod message;

mod directory;
mod logger;
mod wire;

#[cfg(all(test, feature = "shuttle"))]
mod models;

pub use change::{Change, ChangeKind, ChangeStep, Transition};
pub use configuration::{Configuration, Forbidden};
pub use engine::{Engine, Start, is_blank};
pub use error::{Error, Fault, MachineError, ProposeError, ReadError, StepError, TransferError};
pub use handle::{Handle, ReadCallback, TransferCallback};
pub use machine::{Applied, Committed, StateMachine, Verdict};
pub use message::{MessageKind, PeerMessage};
pub use observer::{LeaderChange, Observer};
pub use options::{Bootstrap, Member, Options};
pub use status::{PeerStatus, Replication, Role, Status};
pub use threadless::Threadless;
pub use transport::{Checkpoint, Transport};
