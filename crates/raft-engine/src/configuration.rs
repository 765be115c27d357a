//! Who votes and who learns, and how that changes.

use bytes::Bytes;

/// The members raft counts. Sorted, without duplicates; empty before the first change of a new cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Voters, of the new half while joint.
    pub voters: Vec<u64>,
    /// Members that receive the log without voting.
    pub learners: Vec<u64>,
    /// Voters of the old half while joint, otherwise empty.
    pub voters_outgoing: Vec<u64>,
    /// Voters of the old half that become learners when the joint configuration is left.
    pub learners_next: Vec<u64>,
    /// Leave the joint configuration by itself as soon as that is safe.
    pub auto_leave: bool,
}

/// What a step of a change does to its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Make it a voter (a new member, or a learner that is promoted).
    AddVoter,
    /// Make it a learner.
    AddLearner,
    /// Take it out.
    Remove,
}

/// One step of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeStep {
    /// What happens.
    pub kind: ChangeKind,
    /// To whom.
    pub member: u64,
}

/// How a change of several steps is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transition {
    /// In one step where one suffices, otherwise joint and left automatically.
    #[default]
    Auto,
    /// Joint, left automatically.
    Implicit,
    /// Joint until a change without steps is proposed.
    Explicit,
}

/// A configuration change as proposed. Without steps it leaves a joint configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Identifies the request; carried as `ConfChange.ID` by single changes (0 for changes of several steps).
    pub id: u64,
    /// At most one step makes a single change, encoded as etcd's `ConfChange`; more a `ConfChangeV2`.
    pub steps: Vec<ChangeStep>,
    /// Used only when there are several steps.
    pub transition: Transition,
    /// Opaque to the engine, for example the member's URLs.
    pub context: Bytes,
}

impl Configuration {
    /// Encoded as etcd's `raftpb.ConfState`.
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }

    /// The reverse of [`encode`](Self::encode); `None` if the bytes are damaged.
    pub fn decode(_bytes: &[u8]) -> Option<Self> {
        todo!()
    }
}
