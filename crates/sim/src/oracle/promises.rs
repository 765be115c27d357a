//! What members promise each other: one vote in each term, and never an earlier term again. Both must outlive any crash
//! (Raft, 5.2); whoever breaks them may elect two leaders in one term, but rarely does.

use super::Check;
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeMap;

/// The part of a raft message that says what its sender promises.
#[derive(Clone, PartialEq, Message)]
pub struct Promise {
    /// Kind of message.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Term of the sender.
    #[prost(uint64, tag = "4")]
    pub term: u64,
    /// In an answer to the leader: the log is durable up to here.
    #[prost(uint64, tag = "6")]
    pub index: u64,
    /// The answer is no.
    #[prost(bool, tag = "10")]
    pub reject: bool,
}

impl Promise {
    /// An answer to the leader's entries.
    pub const APPENDED: i32 = 4;
    /// A request for a vote, which is one for the sender itself.
    pub const CANDIDACY: i32 = 5;
    /// A vote.
    pub const VOTE: i32 = 6;

    /// What a message promises; `None` for one of another kind, and for a refusal.
    pub fn of(message: &Bytes) -> Option<Promise> {
        // A raft message begins with its kind, field 1.
        let &[0x08, kind, ..] = &message[..] else {
            return None;
        };
        if !matches!(i32::from(kind), Self::APPENDED | Self::CANDIDACY | Self::VOTE) {
            return None;
        }
        let promise = Promise::decode(message.clone()).ok()?;
        (!promise.reject).then_some(promise)
    }
}

/// What each member has promised.
#[derive(Debug, Default)]
pub struct Promises {
    members: BTreeMap<u64, Promised>,
}

#[derive(Debug, Default)]
struct Promised {
    term: u64,
    /// Its term when its process last ended. What leaves at one moment may leave in any order, so only this one counts.
    floor: u64,
    /// Whom it voted for in each term.
    votes: BTreeMap<u64, u64>,
}

impl Promises {
    /// A member sends messages to another. Answers whether a vote is among them.
    pub fn sent(&mut self, from: u64, to: u64, messages: &[Bytes]) -> Result<bool, super::Violation> {
        let mut votes = false;
        for promise in messages.iter().filter_map(Promise::of) {
            votes |= promise.kind == Promise::VOTE;
            self.check(from, to, &promise)?;
        }
        Ok(votes)
    }

    /// The process of a member has ended.
    pub fn ended(&mut self, member: u64) {
        let promised = self.members.entry(member).or_default();
        promised.floor = promised.term;
    }

    fn check(&mut self, from: u64, to: u64, promise: &Promise) -> Check {
        let promised = self.members.entry(from).or_default();
        let term = promise.term;
        if term < promised.floor {
            return Err(format!(
                "m{from:x} promises something in term {term}, but has taken part in term {} before its restart",
                promised.floor
            ));
        }
        promised.term = promised.term.max(term);
        let candidate = match promise.kind {
            Promise::CANDIDACY => from,
            Promise::VOTE => to,
            _ => return Ok(()),
        };
        let first = *promised.votes.entry(term).or_insert(candidate);
        match first == candidate {
            true => Ok(()),
            false => Err(format!(
                "m{from:x} votes in term {term} for m{first:x} and for m{candidate:x}"
            )),
        }
    }
}
