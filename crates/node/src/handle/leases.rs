//! Leases: granted and revoked through the log, renewed and looked at where the deadlines are: on the leader.

use super::Handle;
use super::keys::unexpected;
use crate::{Caller, Result};
use apply::LeaseKeys;
use lease::{Renewal, raise_ttl, ttl_min};
use model::pb::etcdserverpb as pb;
use model::{KeyRange, LeaseId, MemberId, Rejection, Reply, Request};
use std::time::Duration;

/// Between two tries, to find a leader or to see an expired lease gone.
const RETRY: Duration = Duration::from_millis(50);

impl Handle {
    /// Grants a lease: chooses an id where none is given, and raises the TTL to the minimum.
    pub async fn lease_grant(
        &self,
        mut request: pb::LeaseGrantRequest,
        caller: &Caller,
    ) -> Result<pb::LeaseGrantResponse> {
        self.authorize_user(caller)?;
        while request.id == 0 {
            // Shaped as etcd's: positive, and not to be guessed from another member.
            request.id = (self.core.requests.next_id() & i64::MAX as u64) as i64;
        }
        request.ttl = raise_ttl(request.ttl, ttl_min(self.core.options.election_timeout));
        match self.core.propose(Request::LeaseGrant(request), caller).await? {
            Reply::LeaseGrant(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    /// Revokes a lease and deletes its keys.
    pub async fn lease_revoke(&self, id: LeaseId, caller: &Caller) -> Result<pb::LeaseRevokeResponse> {
        self.authorize_user(caller)?;
        let request = pb::LeaseRevokeRequest { id: id.0 };
        match self.core.propose(Request::LeaseRevoke(request), caller).await? {
            Reply::LeaseRevoke(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    /// Renews a lease, here or at the leader; answers its TTL in seconds, 0 for a lease that is not (any more).
    pub async fn keep_alive(&self, id: LeaseId, caller: &Caller) -> Result<i64> {
        self.core.require_voter()?;
        let leases = LeaseKeys(&self.core.shared.lessor);
        self.rules()
            .authorize_keep_alive(caller.principal(), id, &leases)?;
        self.at_leader(
            || self.keep_alive_as_leader(id),
            |leader| self.core.options.peers.keep_alive(leader, id),
        )
        .await
    }

    /// Time to live, as the leader knows it; TTL -1 for a lease that is not.
    pub async fn time_to_live(
        &self,
        request: pb::LeaseTimeToLiveRequest,
        caller: &Caller,
    ) -> Result<pb::LeaseTimeToLiveResponse> {
        self.core.require_voter()?;
        self.authorize_user(caller)?;
        let (id, with_keys) = (LeaseId(request.id), request.keys);
        let response = self
            .at_leader(
                || self.time_to_live_as_leader(request),
                |leader| self.core.options.peers.time_to_live(leader, request),
            )
            .await?;
        if with_keys && self.rules().is_enabled() {
            // Judged after the leader has named the keys, by rules that are not older than its answer.
            self.core.read_barrier().await?;
            let (rules, leases) = (self.rules(), LeaseKeys(&self.core.shared.lessor));
            rules.authorize_lease_keys(caller.principal(), id, &leases)?;
            for key in &response.keys {
                rules.require_read(caller.principal(), &KeyRange::Single(key.clone()))?;
            }
        }
        Ok(response)
    }

    /// Ids of all leases as this member knows them, by remaining time where it leads. The caller must be allowed to
    /// read every key of every lease.
    pub fn leases(&self, caller: &Caller) -> Result<Vec<LeaseId>> {
        self.core.require_voter()?;
        self.authorize_user(caller)?;
        let now = self.core.clock.now();
        let leases = self.core.shared.lessor.lock().leases(now);
        let rules = self.rules();
        if rules.is_enabled() {
            for lease in &leases {
                let keys = LeaseKeys(&self.core.shared.lessor);
                rules.authorize_lease_keys(caller.principal(), *lease, &keys)?;
            }
        }
        Ok(leases)
    }

    /// The leader's part of a forwarded [`Handle::keep_alive`]; fails with `not a primary lessor` on any other member.
    pub async fn keep_alive_as_leader(&self, id: LeaseId) -> Result<i64> {
        self.confirm_leadership().await?;
        failpoint::point_async!("beforeCheckpointInLeaseRenew");
        let mut caught_up = false;
        loop {
            let renewal = {
                let now = self.core.clock.now();
                self.core.shared.lessor.lock().renew(id, now)
            };
            match renewal {
                // The next leader must not go on from the checkpoint: its owner was told of the full TTL.
                Renewal::Renewed {
                    clear_checkpoint: true,
                    ..
                } => self.clear_checkpoint(id).await?,
                Renewal::Renewed { ttl, .. } => {
                    self.core.metrics.leases_renewed.inc();
                    return Ok(ttl);
                }
                // It may have been granted by an entry that is committed and not applied here yet.
                Renewal::NotFound if !caught_up => {
                    self.lead_with_all_applied().await?;
                    caught_up = true;
                }
                Renewal::NotFound => return Ok(0),
                Renewal::NotPrimary => return Err(Rejection::NotPrimaryLessor.into()),
                Renewal::Expired if self.core.is_stopping() => return Err(Rejection::Stopped.into()),
                Renewal::Expired => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// The leader's part of a forwarded [`Handle::time_to_live`].
    pub async fn time_to_live_as_leader(
        &self,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse> {
        self.lead_with_all_applied().await?;
        let id = LeaseId(request.id);
        let now = self.core.clock.now();
        let lessor = self.core.shared.lessor.lock();
        let Some(found) = lessor.time_to_live(id, now) else {
            return Ok(pb::LeaseTimeToLiveResponse {
                id: id.0,
                ttl: -1,
                ..Default::default()
            });
        };
        let Some(remaining) = found.remaining else {
            return Err(Rejection::LeaderChanged.into());
        };
        Ok(pb::LeaseTimeToLiveResponse {
            id: id.0,
            ttl: remaining.as_secs() as i64,
            granted_ttl: found.granted,
            keys: match request.keys {
                true => lessor.keys(id).unwrap_or_default(),
                false => Vec::new(),
            },
            ..Default::default()
        })
    }

    /// Makes sure that a quorum follows this member: only then its deadlines count. Cheap while it was sure lately.
    async fn confirm_leadership(&self) -> Result<()> {
        #[cfg(feature = "planted")]
        if planted::is(planted::Bug::RenewedByAnyone) {
            return Ok(());
        }
        match self.core.leads() && self.core.recently_confirmed() {
            true => Ok(()),
            false => self.lead_with_all_applied().await,
        }
    }

    /// Makes sure that a quorum follows this member, and that everything committed before the call is applied here.
    pub(super) async fn lead_with_all_applied(&self) -> Result<()> {
        if !self.core.leads() {
            return Err(Rejection::NotPrimaryLessor.into());
        }
        self.core.read_barrier().await?;
        match self.core.leads() {
            true => Ok(()),
            false => Err(Rejection::NotPrimaryLessor.into()),
        }
    }

    /// The next leader is to give this lease its full TTL.
    async fn clear_checkpoint(&self, id: LeaseId) -> Result<()> {
        let checkpoint = pb::LeaseCheckpoint {
            id: id.0,
            remaining_ttl: 0,
        };
        let request = Request::LeaseCheckpoint(pb::LeaseCheckpointRequest {
            checkpoints: vec![checkpoint],
        });
        self.core.propose_own(request).await?;
        Ok(())
    }

    /// Asks whoever leads, trying again while there is nobody or the answer was that another one leads now.
    pub(super) async fn at_leader<T, Here, There>(
        &self,
        here: impl Fn() -> Here,
        there: impl Fn(MemberId) -> There,
    ) -> Result<T>
    where
        Here: Future<Output = Result<T>>,
        There: Future<Output = Result<T>>,
    {
        let deadline = self.core.clock.now() + self.core.request_timeout();
        let mut last = None;
        loop {
            let left = deadline.saturating_sub(self.core.clock.now());
            if left.is_zero() || self.core.is_stopping() {
                let rejection = if self.core.is_stopping() {
                    Rejection::Stopped
                } else if last.is_none() {
                    Rejection::NoLeader
                } else {
                    Rejection::Timeout
                };
                return Err(rejection.into());
            }
            let answer = match self.core.leader() {
                None => None,
                Some(leader) if leader == self.core.member => tokio::time::timeout(left, here()).await.ok(),
                Some(leader) => tokio::time::timeout(left, there(leader)).await.ok(),
            };
            match answer {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(error)) if is_final(&error) => return Err(error),
                Some(Err(error)) => last = Some(error),
                None => {}
            }
            tokio::time::sleep(RETRY.min(left)).await;
        }
    }
}

/// Whether another try can only bring the same answer.
fn is_final(error: &crate::Error) -> bool {
    match error {
        crate::Error::Rejected(rejection) => !matches!(
            rejection,
            Rejection::NotPrimaryLessor
                | Rejection::NoLeader
                | Rejection::NotLeader
                | Rejection::LeaderChanged
        ),
        // The connection to the leader broke, or it cannot read its store: it, or the next one, may answer yet.
        crate::Error::DeadlineExceeded | crate::Error::Fault(_) => false,
    }
}
