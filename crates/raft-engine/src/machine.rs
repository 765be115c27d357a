//! The state machine the log is applied to.

use std::path::Path;

use bytes::Bytes;

use crate::{Change, Configuration, MachineError};

/// What the engine asks of the replicated state. All methods are called by the apply thread only (and by
/// [`Engine::start`](crate::Engine::start) before that thread runs), one at a time, in log order.
///
/// Any `Err` is a fault of this member, never a refusal of a command: the engine stops and acknowledges nothing more.
pub trait StateMachine: Send + 'static {
    /// The last entry whose effect is in the state, and the configuration as of that entry. All zero and empty for a
    /// new store.
    fn applied(&self) -> Applied;

    /// Applies a group of committed entries, indices contiguous and starting at `applied().index + 1`, as one atomic
    /// batch that also carries the new [`Applied`]. The group is everything that had queued, within bounds.
    ///
    /// A configuration change is always the last entry of its group. The machine decides about it: with
    /// [`Verdict::Accepted`] it must have stored the change's resulting configuration in the same batch, with
    /// [`Verdict::Refused`] it must have kept the old one. Groups that end otherwise return `Accepted`.
    fn apply(&mut self, group: Vec<Committed>) -> Result<Verdict, MachineError>;

    /// The highest applied index that would survive a crash now. The log before it is not needed for replay.
    fn durable(&self) -> u64;

    /// Asks the machine to make what it has applied durable soon, without waiting for it. Called when the log that
    /// has to be kept for replay grows past its bound.
    fn request_flush(&mut self) {}

    /// Writes a copy of the state exactly as of [`applied`](Self::applied) into `dir`, which does not exist yet and
    /// whose parent does. Runs between two groups, so it must be cheap (hard links).
    fn checkpoint(&mut self, dir: &Path) -> Result<(), MachineError>;

    /// Replaces the whole state by the files in `dir`, a checkpoint of another member taken at `snapshot`. Must be
    /// atomic against crashes and may be repeated after one: afterwards either the old state is there, and `dir`
    /// complete, or the new one with `applied() == snapshot`. May move `dir` away; the engine removes what is left.
    fn install(&mut self, dir: &Path, snapshot: &Applied) -> Result<(), MachineError>;
}

/// A position in the log and what held there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Index of the last applied entry, 0 before the first.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// The configuration in force after that entry. Store it beside the index ([`Configuration::encode`]).
    pub configuration: Configuration,
}

/// A committed entry on its way to the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// A proposal, byte for byte as handed to [`Handle::propose`](crate::Handle::propose).
    Command {
        /// Log index.
        index: u64,
        /// Term in which it entered the log.
        term: u64,
        /// The proposal.
        data: Bytes,
    },
    /// The empty entry every leader's term begins with.
    Empty {
        /// Log index.
        index: u64,
        /// The term that begins.
        term: u64,
    },
    /// A change of the configuration.
    ConfChange {
        /// Log index.
        index: u64,
        /// Term in which it entered the log.
        term: u64,
        /// What was proposed.
        change: Change,
        /// The configuration if the change is accepted; `None` if raft's own rules forbid it (for example removing
        /// the last voter), in which case the machine must refuse it.
        configuration: Option<Configuration>,
    },
}

impl Committed {
    /// Log index of the entry.
    pub fn index(&self) -> u64 {
        match self {
            Self::Command { index, .. } | Self::Empty { index, .. } | Self::ConfChange { index, .. } => {
                *index
            }
        }
    }

    /// Term of the entry.
    pub fn term(&self) -> u64 {
        match self {
            Self::Command { term, .. } | Self::Empty { term, .. } | Self::ConfChange { term, .. } => *term,
        }
    }
}

/// What the machine made of the configuration change at the end of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In force from this entry on.
    Accepted,
    /// Without effect; the entry counts as applied all the same.
    Refused,
}
