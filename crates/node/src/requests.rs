//! Proposals and read barriers: into the engine, and what becomes of those that get no answer.

use crate::core::{Core, refused};
use crate::{Caller, Error, Result};
use apply::quota;
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
        let mut waiter = self.requests.register();
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
        self.engine()?.propose(vec![entry]).map_err(refused)?;
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
        let (sender, receiver) = oneshot::channel();
        self.engine()?.read_index(Box::new(move |result| {
            let _ = sender.send(result);
        }));
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
