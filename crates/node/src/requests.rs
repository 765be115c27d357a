//! Proposals and read barriers: into the engine, and what becomes of those that get no answer.

use crate::core::{Core, refused};
use crate::mailbox::Mailbox;
use crate::{Caller, Error, Result};
use apply::quota;
use model::pb::etcdserverpb as pb;
use model::{Command, MemberId, Rejection, Reply, Request};
use raft_engine::ReadError;
use std::time::Duration;
use tokio::sync::oneshot;

/// A read barrier that takes longer counts as slow.
const SLOW_READ: Duration = Duration::from_millis(500);

impl Core {
    /// Sends a caller's request through the log and waits for its answer.
    pub async fn propose(&self, request: Request, caller: &Caller) -> Result<Reply> {
        self.require_voter()?;
        self.check_quota(&request)?;
        self.check_keys(&request)?;
        self.check_backlog()?;
        self.propose_as(request, caller).await
    }

    /// Sends a request of the member itself, with root's rights; also on a learner, and under load.
    pub async fn propose_own(&self, request: Request) -> Result<Reply> {
        let command = self.own_command(request);
        let caller = Caller {
            username: command.username,
            auth_revision: command.auth_revision,
        };
        self.propose_as(command.request, &caller).await
    }

    async fn propose_as(&self, request: Request, caller: &Caller) -> Result<Reply> {
        let mailbox = Mailbox::of(self);
        let mut waiter = self.requests.register(mailbox.clone());
        let command = Command {
            id: waiter.id,
            username: caller.username.clone(),
            auth_revision: caller.auth_revision,
            request,
        };
        let entry = command.encode();
        drop(command);
        if entry.len() > self.options.request_bytes_max {
            return Err(Rejection::RequestTooLarge.into());
        }
        let started = self.clock.now();
        match mailbox {
            Some(mailbox) => mailbox.propose(waiter.id, entry),
            None => self.engine()?.propose(vec![entry]).map_err(refused)?,
        }
        self.answer(&mut waiter, started).await
    }

    /// Waits for the answer of something that was proposed at `started`.
    pub async fn answer(&self, waiter: &mut crate::waiters::Waiter<'_>, started: Duration) -> Result<Reply> {
        match tokio::time::timeout(self.request_timeout(), waiter.answer()).await {
            Ok(Some(answer)) => Ok(answer?),
            Ok(None) => Err(Rejection::Stopped.into()),
            Err(_) => {
                self.metrics.proposals_failed.inc();
                Err(self.timed_out(started))
            }
        }
    }

    /// Refuses a write for which there is no room, before it costs a place in the log.
    fn check_quota(&self, request: &Request) -> Result<(), Rejection> {
        let Some(quota) = self.options.quota_bytes else {
            return Ok(());
        };
        let cost = quota::cost(request);
        if cost == 0 || self.shared.store.sizes().allocated + cost < quota {
            return Ok(());
        }
        self.raise_no_space();
        Err(Rejection::NoSpace)
    }

    /// Refuses a key that the storage engine could not store: applying it would be a fault of every such member. The
    /// limit of the member that is asked stands for all, which should have the same engine.
    fn check_keys(&self, request: &Request) -> Result<(), Rejection> {
        let max = self.key_bytes_max;
        if max >= self.options.request_bytes_max.saturating_mul(2) {
            // Longer than any request, and so than any key in one.
            return Ok(());
        }
        match longest_row_key(request) > max {
            true => Err(Rejection::RequestTooLarge),
            false => Ok(()),
        }
    }

    /// The most likely reason why a proposal was not answered in time.
    fn timed_out(&self, started: Duration) -> Error {
        if self.roles.leaderless_since(started) {
            return Error::DeadlineExceeded;
        }
        if let Some(elected) = self.roles.elected_at() {
            let lost = elected.saturating_sub(2 * self.options.election_timeout);
            if started > lost && started < elected {
                return Rejection::TimeoutLeaderFailure.into();
            }
        }
        let waited = self.clock.now().saturating_sub(started);
        let connected = |member: MemberId| {
            self.options
                .peers
                .connected_for(member)
                .is_some_and(|connected| connected >= waited)
        };
        let reachable = match self.leader() {
            None => true,
            Some(leader) if leader == self.member => {
                let cluster = self.shared.cluster();
                let voters = cluster.voters().count();
                let reached = cluster
                    .voters()
                    .filter(|voter| voter.id == self.member || connected(voter.id))
                    .count();
                reached > voters / 2
            }
            Some(leader) => connected(leader),
        };
        match reachable {
            true => Rejection::Timeout.into(),
            false => Rejection::TimeoutConnectionLost.into(),
        }
    }

    /// Resolves when everything committed before the call is applied here.
    pub async fn read_barrier(&self) -> Result<(), Rejection> {
        #[cfg(feature = "planted")]
        if planted::is(planted::Bug::ReadWithoutBarrier) {
            return Ok(());
        }
        let started = self.clock.now();
        let receiver = match Mailbox::of(self) {
            Some(mailbox) => mailbox.read(),
            None => {
                let (sender, receiver) = oneshot::channel();
                self.engine()?.read_index(Box::new(move |result| {
                    let _ = sender.send(result);
                }));
                receiver
            }
        };
        let answer = tokio::time::timeout(self.request_timeout(), receiver).await;
        if self.clock.now().saturating_sub(started) > SLOW_READ {
            self.metrics.slow_reads.inc();
        }
        match answer {
            Ok(Ok(Ok(_))) => {
                if self.leads() {
                    self.note_confirmed(started);
                }
                Ok(())
            }
            Ok(Ok(Err(ReadError::LeaderChanged))) => Err(Rejection::LeaderChanged),
            Ok(Ok(Err(ReadError::Overloaded))) => Err(Rejection::TooManyRequests),
            Ok(Ok(Err(ReadError::TimedOut))) | Err(_) => Err(Rejection::Timeout),
            Ok(Ok(Err(_)) | Err(_)) => Err(Rejection::Stopped),
        }
    }
}

/// Bytes of the longest key of a row that a request may write.
fn longest_row_key(request: &Request) -> usize {
    /// What `auth` puts before names.
    const NAME_PREFIX: usize = "user/".len();
    match request {
        Request::Put(put) => mvcc::row_key_bytes(&put.key),
        Request::Txn(txn) => longest_in_txn(txn),
        Request::AuthUserAdd(user) => NAME_PREFIX + user.name.len(),
        Request::AuthRoleAdd(role) => NAME_PREFIX + role.name.len(),
        _ => 0,
    }
}

fn longest_in_txn(txn: &pb::TxnRequest) -> usize {
    use pb::request_op::Request as Op;
    let ops = txn.success.iter().chain(&txn.failure);
    let lengths = ops.map(|op| match &op.request {
        Some(Op::RequestPut(put)) => mvcc::row_key_bytes(&put.key),
        Some(Op::RequestTxn(txn)) => longest_in_txn(txn),
        _ => 0,
    });
    lengths.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &'static [u8]) -> pb::PutRequest {
        pb::PutRequest {
            key: bytes::Bytes::from_static(key),
            ..Default::default()
        }
    }

    fn op(request: pb::request_op::Request) -> pb::RequestOp {
        pb::RequestOp {
            request: Some(request),
        }
    }

    #[test]
    fn the_longest_key_counts_wherever_it_stands() {
        // Two bytes end a key, and 16 are its revision.
        assert_eq!(longest_row_key(&Request::Put(put(b"abc"))), 3 + 18);
        assert_eq!(longest_row_key(&Request::Put(put(b"a\0c"))), 4 + 18);
        let inner = pb::TxnRequest {
            failure: vec![op(pb::request_op::Request::RequestPut(put(b"abcdef")))],
            ..Default::default()
        };
        let outer = pb::TxnRequest {
            success: vec![
                op(pb::request_op::Request::RequestPut(put(b"a"))),
                op(pb::request_op::Request::RequestTxn(inner)),
            ],
            ..Default::default()
        };
        assert_eq!(longest_row_key(&Request::Txn(outer)), 6 + 18);
        assert_eq!(longest_row_key(&Request::Range(pb::RangeRequest::default())), 0);
    }
}
