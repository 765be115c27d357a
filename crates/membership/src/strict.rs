//! Strict reconfiguration checks: changes that could cost the quorum are refused before they are proposed
//! (etcd server/etcdserver/server.go, mayAddMember and mayRemoveMember).

use crate::{Cluster, Member};
use model::{MemberId, Rejection};
use std::time::Duration;

/// How long a connection must have lasted for a peer to count as healthy.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

/// What this member knows of its connections.
pub struct Connections<'a> {
    /// This member.
    pub local: MemberId,
    /// Now, on the monotonic clock that `active_since` uses.
    pub now: Duration,
    /// Since when a peer has been connected without a break; `None` while it is not.
    pub active_since: &'a dyn Fn(MemberId) -> Option<Duration>,
}

impl Cluster {
    /// Whether adding `member` keeps a quorum.
    pub fn may_add(&self, member: &Member, connections: &Connections<'_>) -> Result<(), Rejection> {
        let voters = self.voters().count();
        let started = self.started_voters(None);
        // One started member of one may always grow: so is a cluster restored from a single survivor.
        let first_growth = started == 1 && voters == 1;
        if !member.is_learner && !first_growth && started < quorum(voters + 1) {
            return Err(Rejection::MemberNotEnoughStarted);
        }
        // The new member counts as absent, even a learner: it is to be promoted one day.
        if voters != 1 && connections.healthy(self) < quorum(voters + 1) {
            return Err(Rejection::UnhealthyCluster);
        }
        Ok(())
    }

    /// Whether removing a member keeps a quorum.
    pub fn may_remove(&self, id: MemberId, connections: &Connections<'_>) -> Result<(), Rejection> {
        if self.member(id).is_some_and(|member| member.is_learner) {
            return Ok(());
        }
        let left = self.voters().filter(|member| member.id != id).count();
        if self.started_voters(Some(id)) < quorum(left) {
            return Err(Rejection::MemberNotEnoughStarted);
        }
        // A member that is down does not count among the active ones: without it nothing gets worse.
        if id != connections.local && (connections.active_since)(id).is_none() {
            return Ok(());
        }
        let voters = self.voters().count();
        let active = connections.healthy(self);
        if active.saturating_sub(1) < 1 + voters.saturating_sub(1) / 2 {
            return Err(Rejection::UnhealthyCluster);
        }
        Ok(())
    }

    /// Whether promoting a learner keeps a quorum.
    pub fn may_promote(&self) -> Result<(), Rejection> {
        // The learner counts as started: it has caught up.
        if self.started_voters(None) + 1 < quorum(self.voters().count() + 1) {
            return Err(Rejection::MemberNotEnoughStarted);
        }
        Ok(())
    }

    fn started_voters(&self, without: Option<MemberId>) -> usize {
        let counts = |member: &&Member| member.is_started() && Some(member.id) != without;
        self.voters().filter(counts).count()
    }
}

/// Whether a learner has caught up far enough to vote: 90 % of the leader's log. Indexes are raft match indexes.
pub fn learner_is_ready(learner_match: u64, leader_match: u64) -> bool {
    u128::from(learner_match) * 10 >= u128::from(leader_match) * 9
}

impl Connections<'_> {
    /// Voters that this member has been connected to for long enough, and itself.
    fn healthy(&self, cluster: &Cluster) -> usize {
        let is_healthy = |member: &&Member| {
            member.id == self.local
                || (self.active_since)(member.id)
                    .is_some_and(|since| since.saturating_add(HEALTH_INTERVAL) < self.now)
        };
        cluster.voters().filter(is_healthy).count()
    }
}

fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InitialCluster;
    use model::ClusterId;

    const LONG_AGO: Option<Duration> = Some(Duration::ZERO);
    const JUST_NOW: Option<Duration> = Some(Duration::from_secs(98));

    /// Members 1, 2, …; `started` of them have a name.
    fn cluster(voters: usize, started: usize) -> Cluster {
        let member = |i: usize| Member {
            name: if i < started {
                format!("m{i}")
            } else {
                String::new()
            },
            ..Member::unnamed(MemberId(i as u64 + 1), vec![format!("http://m{i}:1")])
        };
        Cluster::from_members(ClusterId(1), (0..voters).map(member).collect())
    }

    /// As seen by member 1; the slice tells since when 2, 3, … are connected.
    fn seen<T>(peers: &[Option<Duration>], check: impl FnOnce(&Connections<'_>) -> T) -> T {
        check(&Connections {
            local: MemberId(1),
            now: Duration::from_secs(100),
            active_since: &|id| peers.get(id.0.checked_sub(2)? as usize).copied().flatten(),
        })
    }

    fn newcomer(is_learner: bool) -> Member {
        Member::new("", &["http://new:1".into()], "", Some(0), is_learner).unwrap()
    }

    #[test]
    fn adding_needs_a_quorum_of_the_larger_cluster() {
        use Rejection::{MemberNotEnoughStarted, UnhealthyCluster};
        for (voters, started, peers, voter, learner) in [
            (1, 1, vec![], Ok(()), Ok(())),
            (1, 0, vec![], Err(MemberNotEnoughStarted), Ok(())),
            (
                2,
                1,
                vec![None],
                Err(MemberNotEnoughStarted),
                Err(UnhealthyCluster),
            ),
            (2, 2, vec![LONG_AGO], Ok(()), Ok(())),
            (2, 2, vec![JUST_NOW], Err(UnhealthyCluster), Err(UnhealthyCluster)),
            (3, 3, vec![LONG_AGO, LONG_AGO], Ok(()), Ok(())),
            (
                3,
                3,
                vec![LONG_AGO, None],
                Err(UnhealthyCluster),
                Err(UnhealthyCluster),
            ),
            (
                3,
                2,
                vec![LONG_AGO, None],
                Err(MemberNotEnoughStarted),
                Err(UnhealthyCluster),
            ),
            // One of five may be down: three others and itself are a quorum of six.
            (5, 5, vec![LONG_AGO, LONG_AGO, LONG_AGO, None], Ok(()), Ok(())),
        ] {
            let cluster = cluster(voters, started);
            let add = |is_learner| seen(&peers, |seen| cluster.may_add(&newcomer(is_learner), seen));
            assert_eq!(add(false), voter, "voter to {started} of {voters}, {peers:?}");
            assert_eq!(add(true), learner, "learner to {started} of {voters}, {peers:?}");
        }
    }

    #[test]
    fn removing_needs_a_quorum_of_those_who_stay() {
        use Rejection::{MemberNotEnoughStarted, UnhealthyCluster};
        for (voters, started, peers, remove, answer) in [
            (1, 1, vec![], 1, Err(MemberNotEnoughStarted)),
            (3, 3, vec![LONG_AGO, LONG_AGO], 2, Ok(())),
            (3, 3, vec![LONG_AGO, LONG_AGO], 1, Ok(())),
            // The one that is down may go, one of the living may not.
            (3, 3, vec![LONG_AGO, None], 3, Ok(())),
            (3, 3, vec![LONG_AGO, None], 2, Err(UnhealthyCluster)),
            (3, 3, vec![LONG_AGO, None], 1, Err(UnhealthyCluster)),
            // Only one of the two that stay has started.
            (3, 2, vec![LONG_AGO, None], 2, Err(MemberNotEnoughStarted)),
            (2, 2, vec![LONG_AGO], 2, Ok(())),
        ] {
            let removed = seen(&peers, |seen| {
                cluster(voters, started).may_remove(MemberId(remove), seen)
            });
            assert_eq!(removed, answer, "{remove} from {started} of {voters}, {peers:?}");
        }
    }

    #[test]
    fn a_learner_may_always_go() {
        let mut cluster = Cluster::bootstrap(&InitialCluster::parse("a=http://a:1").unwrap(), "t").unwrap();
        let learner = newcomer(true);
        let id = learner.id;
        cluster.apply(&crate::Change::Add(learner), None).unwrap();
        assert_eq!(seen(&[], |seen| cluster.may_remove(id, seen)), Ok(()));
    }

    #[test]
    fn promoting_needs_a_quorum_of_started_voters() {
        assert_eq!(cluster(1, 1).may_promote(), Ok(()));
        assert_eq!(cluster(3, 2).may_promote(), Ok(()));
        assert_eq!(
            cluster(3, 1).may_promote(),
            Err(Rejection::MemberNotEnoughStarted)
        );
    }

    #[test]
    fn a_learner_is_ready_with_nine_tenths_of_the_log() {
        assert!(learner_is_ready(90, 100) && !learner_is_ready(89, 100));
        assert!(learner_is_ready(u64::MAX, u64::MAX) && !learner_is_ready(0, 1));
    }
}
