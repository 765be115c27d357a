//! What can go wrong, sorted by what the caller should do.

use std::path::PathBuf;

/// A fault of the state machine's storage.
pub type MachineError = Box<dyn std::error::Error + Send + Sync>;

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The options cannot work together.
    #[error("invalid option: {0}")]
    Options(String),
    /// Log and store do not belong together, or one of them is older than the other allows.
    #[error(
        "log and store contradict each other: {0}. Remove this member from the cluster and add it again with an empty data \
         directory; a member without others is restored from a backup"
    )]
    Contradiction(String),
    /// `Bootstrap::New` or `Join` on a log that has entries, or `Restart` on one that has none.
    #[error("bootstrap does not fit the log: {0}")]
    Bootstrap(String),
    /// The log could not be written or read.
    #[error("log")]
    Log(#[source] MachineError),
    /// The state machine failed.
    #[error("state machine")]
    Machine(#[source] MachineError),
    /// A directory could not be made or cleaned.
    #[error("snapshot directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("thread")]
    Thread(#[source] std::io::Error),
}

/// Why a running engine stopped for good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Writing or syncing the log failed; what is durable is known only after a restart.
    #[error("log: {0}")]
    Log(#[source] MachineError),
    /// The state machine failed to apply, checkpoint or install.
    #[error("state machine: {0}")]
    Machine(#[source] MachineError),
    /// A thread panicked, or state that must agree does not.
    #[error("internal: {0}")]
    Internal(String),
}

/// Why proposals were not taken. None of them will be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// Too many are waiting; try again later.
    #[error("too many proposals are waiting")]
    Overloaded,
    /// One of them has no bytes, which in the log means the beginning of a term.
    #[error("proposal is empty")]
    Empty,
    /// One of them is larger than a log entry may be.
    #[error("proposal is too large")]
    TooLarge,
    /// The engine has stopped.
    #[error("engine stopped")]
    Stopped,
}

/// Why a read index was not confirmed. The read may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The leader changed while the request was under way.
    #[error("leader changed")]
    LeaderChanged,
    /// No leader confirmed it in time.
    #[error("read timed out")]
    TimedOut,
    /// Too many are waiting; try again later.
    #[error("too many reads are waiting")]
    Overloaded,
    /// The engine has stopped.
    #[error("engine stopped")]
    Stopped,
}

/// Why leadership was not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// This member does not lead.
    #[error("not leader")]
    NotLeader,
    /// The target is not a voter.
    #[error("transferee is not a voter")]
    NotVoter,
    /// The target did not take over within the election timeout.
    #[error("leader transfer timed out")]
    TimedOut,
    /// Another transfer was asked for meanwhile, or another member won.
    #[error("leader transfer superseded")]
    Superseded,
    /// The engine has stopped.
    #[error("engine stopped")]
    Stopped,
}

/// Why a message from a peer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// It is no well-formed raft message, or one that no correct member sends. Close the connection.
    #[error("malformed raft message: {0}")]
    Malformed(&'static str),
    /// It is meant for another member.
    #[error("raft message for another member")]
    WrongMember,
    /// The inbox is full; raft repeats what is lost.
    #[error("raft inbox is full")]
    Overloaded,
    /// The engine has stopped.
    #[error("engine stopped")]
    Stopped,
}
