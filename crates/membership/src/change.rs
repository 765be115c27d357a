//! Changes of the membership as they travel through the raft log.

use crate::rows::json;
use crate::{Error, Member};
use bytes::Bytes;
use model::MemberId;
use serde::{Deserialize, Serialize};

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
        let context = |member, is_promote| Context { member, is_promote };
        let context = match self {
            Change::Add(member) => context(member.clone(), None),
            Change::Promote(id) => context(Member::unnamed(*id, Vec::new()), Some(true)),
            Change::Update(id, peer_urls) => context(Member::unnamed(*id, peer_urls.clone()), None),
            Change::Remove(_) => return Bytes::new(),
        };
        json(&context)
    }

    /// Reads what [`Change::encode`], or etcd, put into a conf change.
    pub fn decode(kind: ChangeKind, member: MemberId, context: &[u8]) -> Result<Change, Error> {
        if kind == ChangeKind::Remove {
            return Ok(Change::Remove(member));
        }
        let context: Context =
            serde_json::from_slice(context).map_err(|error| Error::DamagedChange(error.to_string()))?;
        let found = context.member;
        if found.id != member {
            return Err(Error::DamagedChange(format!(
                "it is about member {member} and {}",
                found.id
            )));
        }
        match kind {
            ChangeKind::Update => Ok(Change::Update(member, found.peer_urls)),
            ChangeKind::AddVoter if context.is_promote == Some(true) => Ok(Change::Promote(member)),
            _ if found.is_learner != (kind == ChangeKind::AddLearner) => Err(Error::DamagedChange(format!(
                "{kind:?} does not fit member {member}"
            ))),
            _ => Ok(Change::Add(found)),
        }
    }
}

/// etcd's JSON: a member, and for a promotion one field more.
#[derive(Serialize, Deserialize)]
struct Context {
    #[serde(flatten)]
    member: Member,
    #[serde(rename = "isPromote", default, skip_serializing_if = "Option::is_none")]
    is_promote: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_those_of_etcd() {
        let mut member = Member::unnamed(MemberId(7), vec!["http://a:1".into()]);
        let promote = Change::Promote(MemberId(7));
        let update = Change::Update(MemberId(7), vec!["http://b:1".into()]);
        let add = Change::Add(member.clone());
        member.is_learner = true;
        member.name = "m".into();
        let learner = Change::Add(member);
        for (change, kind, context) in [
            (
                promote,
                ChangeKind::AddVoter,
                r#"{"id":7,"peerURLs":[],"isPromote":true}"#,
            ),
            (
                update,
                ChangeKind::Update,
                r#"{"id":7,"peerURLs":["http://b:1"]}"#,
            ),
            (add, ChangeKind::AddVoter, r#"{"id":7,"peerURLs":["http://a:1"]}"#),
            (
                learner,
                ChangeKind::AddLearner,
                r#"{"id":7,"peerURLs":["http://a:1"],"isLearner":true,"name":"m"}"#,
            ),
            (Change::Remove(MemberId(7)), ChangeKind::Remove, ""),
        ] {
            assert_eq!(change.kind(), kind);
            assert_eq!(change.encode(), context);
            assert_eq!(Change::decode(kind, MemberId(7), context.as_bytes()), Ok(change));
        }
    }

    #[test]
    fn what_go_writes_is_read() {
        let promote = r#"{"id":7,"peerURLs":null,"isPromote":true}"#;
        let promote = Change::decode(ChangeKind::AddVoter, MemberId(7), promote.as_bytes());
        assert_eq!(promote, Ok(Change::Promote(MemberId(7))));
    }

    #[test]
    fn contexts_that_contradict_themselves_are_refused() {
        for (kind, context) in [
            (ChangeKind::AddVoter, ""),
            (ChangeKind::AddVoter, "[]"),
            (ChangeKind::AddVoter, r#"{"id":8}"#),
            (ChangeKind::AddVoter, r#"{"id":7,"isLearner":true}"#),
            (ChangeKind::AddLearner, r#"{"id":7}"#),
            (ChangeKind::Update, r#"{"id":-7}"#),
        ] {
            let change = Change::decode(kind, MemberId(7), context.as_bytes());
            assert!(matches!(change, Err(Error::DamagedChange(_))), "{context}");
        }
    }
}
