//! Changes of the membership as they travel through the raft log.

use crate::{Error, Member};
use bytes::Bytes;
use model::MemberId;

/// Which kind of raft conf change carries a [`Change`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// raft's AddNode: a new voter, or a learner that becomes one.
    AddVoter,
    /// raft's AddLearnerNode.
    AddLearner,
    /// raft's RemoveNode.
    Remove,
    /// raft's UpdateNode: no change for raft itself.
    Update,
}

/// A change of the membership.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A new member, voter or learner.
    Add(Member),
    /// A learner becomes a voter.
    Promote(MemberId),
    /// A member leaves for ever.
    Remove(MemberId),
    /// A member gets other peer URLs; nothing else of it changes.
    Update(MemberId, Vec<String>),
}

impl Change {
    /// The member it is about.
    pub fn member(&self) -> MemberId {
        match self {
            Change::Add(member) => member.id,
            Change::Promote(id) | Change::Remove(id) | Change::Update(id, _) => *id,
        }
    }

    /// The raft conf change to use.
    pub fn kind(&self) -> ChangeKind {
        match self {
            Change::Add(member) if member.is_learner => ChangeKind::AddLearner,
            Change::Add(_) | Change::Promote(_) => ChangeKind::AddVoter,
            Change::Remove(_) => ChangeKind::Remove,
            Change::Update(..) => ChangeKind::Update,
        }
    }

    /// The conf change's context: etcd's JSON, empty for a removal.
    pub fn encode(&self) -> Bytes {
        todo!()
    }

    /// Reads what [`Change::encode`], or etcd, put into a conf change.
    pub fn decode(kind: ChangeKind, member: MemberId, context: &[u8]) -> Result<Change, Error> {
        let _ = (kind, member, context);
        todo!()
    }
}
