//! What clients ask a member, and how a member answers: the part of a gateway, without gRPC.

use apply::validate;
use model::pb::etcdserverpb as pb;
use model::{LeaseId, MemberId, Rejection, Reply, Request};
use node::{Caller, Error, Handle, Result};

/// A request of a client.
#[derive(Clone, PartialEq, Debug)]
pub enum Call {
    /// Reads keys.
    Range(pb::RangeRequest),
    /// Writes a key.
    Put(pb::PutRequest),
    /// Deletes keys.
    Delete(pb::DeleteRangeRequest),
    /// A transaction.
    Txn(pb::TxnRequest),
    /// Drops history.
    Compact(pb::CompactionRequest),
    /// Grants a lease.
    Grant(pb::LeaseGrantRequest),
    /// Revokes a lease.
    Revoke(LeaseId),
    /// Renews a lease.
    KeepAlive(LeaseId),
    /// Asks how long a lease lives.
    TimeToLive(pb::LeaseTimeToLiveRequest),
    /// Adds a member; the URL has to be one of its own.
    MemberAdd {
        /// Peer URL.
        url: String,
        /// As a learner.
        learner: bool,
    },
    /// Removes a member.
    MemberRemove(MemberId),
    /// Makes a learner a voter.
    MemberPromote(MemberId),
    /// Lists the members.
    MemberList,
    /// Hands leadership over.
    MoveLeader(MemberId),
    /// Changes users, roles or alarms.
    Manage(Request),
}

/// On whose behalf something is asked. A member has found out the name from a token.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct User {
    /// Name; empty for nobody.
    pub name: String,
    /// Auth revision that the token names; 0 for a token that is looked up, and so belongs to the moment.
    pub revision: u64,
}

impl User {
    /// The one who may do everything.
    pub fn root() -> User {
        User::named("root")
    }

    /// With a token that belongs to the moment.
    pub fn named(name: &str) -> User {
        User {
            name: name.to_owned(),
            revision: 0,
        }
    }

    /// As the member sees him at this moment.
    pub fn caller(&self, node: &Handle) -> Caller {
        if self.name.is_empty() {
            return Caller::anonymous();
        }
        Caller {
            username: self.name.clone(),
            auth_revision: match self.revision {
                0 => node.rules().revision(),
                own => own,
            },
        }
    }
}

/// What a member answers.
#[derive(Clone, PartialEq, Debug)]
pub enum Done {
    /// To a range.
    Range(pb::RangeResponse),
    /// To a put.
    Put(pb::PutResponse),
    /// To a delete.
    Delete(pb::DeleteRangeResponse),
    /// To a transaction.
    Txn(pb::TxnResponse),
    /// To a compaction, with the revision at which it was carried out.
    Compact(i64),
    /// To a grant: id and TTL.
    Grant(i64, i64),
    /// To a revocation, with its revision.
    Revoke(i64),
    /// To a renewal: the TTL, 0 for a lease that is not.
    KeepAlive(i64),
    /// To a question for the time to live.
    TimeToLive(pb::LeaseTimeToLiveResponse),
    /// To changes of the members: the member concerned, and all of them.
    Members(Option<pb::Member>, Vec<pb::Member>),
    /// To everything else.
    Ok,
}

/// Carries a call out on a member, on behalf of a user (nobody: empty).
pub async fn serve(node: &Handle, call: Call, caller: &Caller) -> Result<Done> {
    Ok(match call {
        Call::Range(request) => {
            validate::range(&request)?;
            Done::Range(node.range(request, caller).await?)
        }
        Call::Put(request) => {
            validate::put(&request)?;
            match node.propose(Request::Put(request), caller).await? {
                Reply::Put(response) => Done::Put(response),
                other => return Err(unexpected(&other)),
            }
        }
        Call::Delete(request) => {
            validate::delete_range(&request)?;
            match node.propose(Request::DeleteRange(request), caller).await? {
                Reply::DeleteRange(response) => Done::Delete(response),
                other => return Err(unexpected(&other)),
            }
        }
        Call::Txn(request) => {
            validate::txn(&request, validate::TXN_OPS_MAX)?;
            Done::Txn(node.txn(request, caller).await?)
        }
        Call::Compact(request) => {
            let response = node.compact(request, caller).await?;
            Done::Compact(response.header.map_or(0, |header| header.revision))
        }
        Call::Grant(request) => {
            let response = node.lease_grant(request, caller).await?;
            Done::Grant(response.id, response.ttl)
        }
        Call::Revoke(id) => {
            let response = node.lease_revoke(id, caller).await?;
            Done::Revoke(response.header.map_or(0, |header| header.revision))
        }
        Call::KeepAlive(id) => Done::KeepAlive(node.keep_alive(id, caller).await?),
        Call::TimeToLive(request) => Done::TimeToLive(node.time_to_live(request, caller).await?),
        Call::MemberAdd { url, learner } => {
            let change = node.member_add(vec![url], learner, caller).await?;
            Done::Members(change.member, change.members)
        }
        Call::MemberRemove(id) => {
            let change = node.member_remove(id, caller).await?;
            Done::Members(change.member, change.members)
        }
        Call::MemberPromote(id) => {
            let change = node.member_promote(id, caller).await?;
            Done::Members(change.member, change.members)
        }
        Call::MemberList => Done::Members(None, node.members(true, caller).await?),
        Call::MoveLeader(id) => {
            node.move_leader(id, caller).await?;
            Done::Ok
        }
        Call::Manage(Request::Alarm(request)) => {
            node.alarm(request, caller).await?;
            Done::Ok
        }
        Call::Manage(request) => {
            node.propose(request, caller).await?;
            Done::Ok
        }
    })
}

fn unexpected(reply: &Reply) -> Error {
    Error::Fault(format!("a reply of another kind than the request: {reply:?}"))
}

/// Whether an error says for sure that the request was not, and will not be, carried out.
pub fn is_definite(error: &Error) -> bool {
    match error {
        Error::DeadlineExceeded | Error::Fault(_) => false,
        Error::Rejected(rejection) => !matches!(
            rejection,
            Rejection::Timeout
                | Rejection::TimeoutLeaderFailure
                | Rejection::TimeoutConnectionLost
                | Rejection::Stopped
                | Rejection::LeaderTransferTimeout
                | Rejection::LeaderChanged
                | Rejection::NoLeader
        ),
    }
}
