//! The cluster as every member knows it.

use crate::{Change, Downgrade, Error, InitialCluster, Member, Row, Version};
use bytes::Bytes;
use model::pb::membershippb;
use model::{ClusterId, MemberId, Rejection};
use std::collections::{BTreeMap, BTreeSet};

/// Members, removed ids, cluster version and downgrade job: the same on every member at the same applied index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cluster {
    id: ClusterId,
    members: BTreeMap<MemberId, Member>,
    removed: BTreeSet<MemberId>,
    version: Option<Version>,
    downgrade: Downgrade,
}

impl Cluster {
    /// Nobody yet, for a member that will learn of the others from the log or a snapshot.
    pub fn new(id: ClusterId) -> Cluster {
        let _ = id;
        todo!()
    }

    /// The members a cluster starts with; ids follow from URLs and `--initial-cluster-token`.
    pub fn bootstrap(initial: &InitialCluster, token: &str) -> Result<Cluster, Error> {
        let _ = (initial, token);
        todo!()
    }

    /// With members given from elsewhere: a running cluster's list.
    pub fn from_members(id: ClusterId, members: Vec<Member>) -> Cluster {
        let _ = (id, members);
        todo!()
    }

    /// From the rows (key, value) of the members family and those of the meta family whose key begins with
    /// [`Cluster::META_PREFIX`] (others are ignored).
    pub fn load(
        id: ClusterId,
        members: impl IntoIterator<Item = (Bytes, Bytes)>,
        meta: impl IntoIterator<Item = (Bytes, Bytes)>,
    ) -> Result<Cluster, Error> {
        let _ = (id, members.into_iter().count(), meta.into_iter().count());
        todo!()
    }

    /// Our keys in the meta family begin with this.
    pub const META_PREFIX: &[u8] = b"cluster/";

    /// All rows, for a new store.
    pub fn rows(&self) -> Vec<Row> {
        todo!()
    }

    /// The cluster's id.
    pub fn id(&self) -> ClusterId {
        self.id
    }

    /// All members in order of their ids.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// Members that vote, in order of their ids.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| !member.is_learner)
    }

    /// Members that do not vote, in order of their ids.
    pub fn learners(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.is_learner)
    }

    /// One member.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// The member of that name, among the first ones a cluster starts with.
    pub fn member_by_name(&self, name: &str) -> Option<&Member> {
        self.members.values().find(|member| member.name == name)
    }

    /// Whether the id was removed: it never comes back.
    pub fn is_removed(&self, id: MemberId) -> bool {
        self.removed.contains(&id)
    }

    /// Ids that were removed, in order.
    pub fn removed(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.removed.iter().copied()
    }

    /// Cluster version, once decided.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The downgrade job.
    pub fn downgrade(&self) -> Downgrade {
        self.downgrade
    }

    /// Whether a change is legal now. Asked before proposing, for an early answer, and again by [`Cluster::apply`].
    /// `learners_max` is a local flag: `None` where it does not count, see [`Cluster::apply`].
    pub fn check(&self, change: &Change, learners_max: Option<usize>) -> Result<(), Rejection> {
        let _ = (change, learners_max);
        todo!()
    }

    /// Carries out a committed change, or refuses it; the same on every member. On a refusal raft must be told that
    /// nothing changed. `learners_max` must be the same on all members to matter here, as in etcd.
    pub fn apply(&mut self, change: &Change, learners_max: Option<usize>) -> Result<Vec<Row>, Rejection> {
        let _ = (change, learners_max);
        todo!()
    }

    /// Name and client URLs that a member published. Nothing for a member that was removed meanwhile or is unknown.
    pub fn apply_attributes(&mut self, request: &membershippb::ClusterMemberAttrSetRequest) -> Vec<Row> {
        let _ = request;
        todo!()
    }

    /// Sets the cluster version; an unreadable one changes nothing.
    pub fn apply_version(&mut self, request: &membershippb::ClusterVersionSetRequest) -> Vec<Row> {
        let _ = request;
        todo!()
    }

    /// Starts or ends a downgrade; an unreadable target changes nothing.
    pub fn apply_downgrade(&mut self, request: &membershippb::DowngradeInfoSetRequest) -> Vec<Row> {
        let _ = request;
        todo!()
    }
}
