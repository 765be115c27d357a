//! Membership changes: judged here for an early answer, carried out through the log.

use super::Handle;
use crate::machine::encode_change;
use crate::{Caller, Error, Result};
use membership::{Change, Connections, Member, learner_is_ready};
use model::pb::etcdserverpb as pb;
use model::{MemberId, Rejection};
use std::time::Duration;

/// A change of the members that was carried out.
#[derive(Clone, PartialEq, Debug)]
pub struct MemberChange {
    /// The member added, updated or promoted; `None` after a removal.
    pub member: Option<pb::Member>,
    /// All members afterwards, by id.
    pub members: Vec<pb::Member>,
}

impl Handle {
    /// Members by id; a linearizable list waits for the barrier. Any known user may ask.
    pub async fn members(&self, linearizable: bool, caller: &Caller) -> Result<Vec<pb::Member>> {
        self.core.require_voter()?;
        if linearizable {
            self.core.read_barrier().await?;
        }
        self.authorize_user(caller)?;
        Ok(self.list_members())
    }

    /// Refuses peer URLs that no member can have. That is done before anybody asks who the caller is, as in etcd.
    pub fn check_peer_urls(&self, peer_urls: &[String]) -> Result<()> {
        new_member(peer_urls, 0, false)?;
        Ok(())
    }

    /// Adds a voter or a learner.
    pub async fn member_add(
        &self,
        peer_urls: Vec<String>,
        learner: bool,
        caller: &Caller,
    ) -> Result<MemberChange> {
        self.core.require_voter()?;
        let now = self.core.clock.time_of_day().as_secs() as i64;
        let member = new_member(&peer_urls, now, learner)?;
        self.authorize_root(caller)?;
        if self.core.options.strict_reconfig_check {
            self.with_connections(|connections| self.cluster().may_add(&member, connections))?;
        }
        self.change(Change::Add(member)).await
    }

    /// Removes a member.
    pub async fn member_remove(&self, id: MemberId, caller: &Caller) -> Result<MemberChange> {
        self.core.require_voter()?;
        self.authorize_root(caller)?;
        if self.core.options.strict_reconfig_check {
            self.with_connections(|connections| self.cluster().may_remove(id, connections))?;
        }
        self.change(Change::Remove(id)).await
    }

    /// Replaces a member's peer URLs.
    pub async fn member_update(
        &self,
        id: MemberId,
        peer_urls: Vec<String>,
        caller: &Caller,
    ) -> Result<MemberChange> {
        self.core.require_voter()?;
        self.authorize_root(caller)?;
        self.change(Change::Update(id, peer_urls)).await
    }

    /// Makes a learner a voter; any member takes the request, the leader judges.
    pub async fn member_promote(&self, id: MemberId, caller: &Caller) -> Result<MemberChange> {
        self.core.require_voter()?;
        self.authorize_root(caller)?;
        let result = self
            .at_leader(
                || self.member_promote_as_leader(id),
                |leader| {
                    let asked = self.core.options.peers.promote(leader, id);
                    async move {
                        let members = asked.await?;
                        let member = members.iter().find(|member| member.id == id.0).cloned();
                        Ok(MemberChange { member, members })
                    }
                },
            )
            .await;
        if let Err(error) = &result {
            self.core.metrics.promote_failed(error);
        }
        result
    }

    /// The leader's part of a forwarded [`Handle::member_promote`].
    pub async fn member_promote_as_leader(&self, id: MemberId) -> Result<MemberChange> {
        self.lead_with_all_applied().await.map_err(|error| match error {
            Error::Rejected(Rejection::NotPrimaryLessor) => Rejection::NotLeader.into(),
            other => other,
        })?;
        let cluster = self.cluster();
        let member = cluster.member(id).ok_or(Rejection::MemberNotFound)?;
        if !member.is_learner {
            return Err(Rejection::MemberNotLearner.into());
        }
        let status = self.core.engine()?.status();
        let matched = |id: MemberId| {
            let peer = status.peers.iter().find(|peer| peer.id == id.0);
            peer.map_or(0, |peer| peer.matched)
        };
        let own = matched(self.core.member).max(status.committed);
        if !learner_is_ready(matched(id), own) {
            return Err(Rejection::LearnerNotReady.into());
        }
        if self.core.options.strict_reconfig_check {
            cluster.may_promote()?;
        }
        let change = self.change(Change::Promote(id)).await?;
        self.core.metrics.promoted.inc();
        Ok(change)
    }

    async fn change(&self, change: Change) -> Result<MemberChange> {
        // Raft carries one change at a time and drops others without a word: those of this member wait here instead.
        let _turn = self.core.member_changes.lock().await;
        self.cluster()
            .check(&change, Some(self.core.options.learners_max))?;
        let mut waiter = self.core.requests.register(None);
        let proposal = encode_change(waiter.id, &change);
        let started = self.core.clock.now();
        let engine = self.core.engine()?;
        failpoint::point!("memberBeforePropose");
        engine
            .propose_conf_change(proposal)
            .map_err(crate::core::refused)?;
        self.core.answer(&mut waiter, started).await?;
        failpoint::point!("memberAfterChange");
        let members = self.list_members();
        let member = members
            .iter()
            .find(|member| member.id == change.member().0)
            .cloned();
        Ok(MemberChange { member, members })
    }

    fn list_members(&self) -> Vec<pb::Member> {
        self.cluster().members().map(Member::to_pb).collect()
    }

    fn with_connections(
        &self,
        check: impl FnOnce(&Connections<'_>) -> Result<(), Rejection>,
    ) -> Result<(), Error> {
        // Only the difference counts: a "now" so late that no connection can be older.
        let now = Duration::from_secs(u64::from(u32::MAX));
        let active_since = |member: MemberId| {
            let connected = self.core.options.peers.connected_for(member)?;
            Some(now.saturating_sub(connected))
        };
        let connections = Connections {
            local: self.core.member,
            now,
            active_since: &active_since,
        };
        Ok(check(&connections)?)
    }
}

fn new_member(peer_urls: &[String], now: i64, learner: bool) -> Result<Member, Rejection> {
    Member::new("", peer_urls, "", Some(now), learner).map_err(|_| Rejection::MemberBadUrls)
}
