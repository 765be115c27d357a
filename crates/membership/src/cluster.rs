//! The cluster as every member knows it.

use crate::id::cluster_id;
use crate::rows::{self, Stored};
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
        Cluster {
            id,
            members: BTreeMap::new(),
            removed: BTreeSet::new(),
            version: None,
            downgrade: Downgrade::Off,
        }
    }

    /// The members a cluster starts with; ids follow from URLs and `--initial-cluster-token`.
    pub fn bootstrap(initial: &InitialCluster, token: &str) -> Result<Cluster, Error> {
        let mut cluster = Cluster::new(ClusterId(0));
        for (name, urls) in &initial.members {
            let member = Member::new(name, urls, token, None, false)?;
            // raft uses 0 for nobody.
            if member.id.0 == 0 {
                return Err(Error::BadInitialCluster(format!(
                    "member {name} would have the id 0"
                )));
            }
            if let Some(same) = cluster.members.insert(member.id, member) {
                return Err(Error::SameId(same.id.0));
            }
        }
        cluster.id = cluster_id(cluster.members.keys().copied());
        Ok(cluster)
    }

    /// With members given from elsewhere: a running cluster's list.
    pub fn from_members(id: ClusterId, members: Vec<Member>) -> Cluster {
        Cluster {
            members: members.into_iter().map(|member| (member.id, member)).collect(),
            ..Cluster::new(id)
        }
    }

    /// From the rows (key, value) of the members family and those of the meta family whose key begins with
    /// [`Cluster::META_PREFIX`] (others are ignored).
    pub fn load(
        id: ClusterId,
        members: impl IntoIterator<Item = (Bytes, Bytes)>,
        meta: impl IntoIterator<Item = (Bytes, Bytes)>,
    ) -> Result<Cluster, Error> {
        let mut cluster = Cluster::new(id);
        for (key, value) in members {
            match rows::decode(&key, &value)? {
                Stored::Member(member) => {
                    cluster.members.insert(member.id, member);
                }
                Stored::Removed(id) => {
                    cluster.removed.insert(id);
                }
            }
        }
        if let Some(id) = cluster.members.keys().find(|id| cluster.removed.contains(*id)) {
            return Err(Error::DamagedRow(format!("member {id} is there and removed")));
        }
        for (key, value) in meta {
            match &key[..] {
                rows::VERSION => cluster.version = Some(rows::decode_version(&value)?),
                rows::DOWNGRADE => cluster.downgrade = rows::decode_downgrade(&value)?,
                _ => {}
            }
        }
        Ok(cluster)
    }

    /// Our keys in the meta family begin with this.
    pub const META_PREFIX: &[u8] = b"cluster/";

    /// All rows, for a new store.
    pub fn rows(&self) -> Vec<Row> {
        let members = self.members.values().map(rows::member);
        let removed = self.removed.iter().copied().map(rows::removed);
        let version = self.version.map(rows::version);
        let downgrade = (self.downgrade != Downgrade::Off).then(|| rows::downgrade(self.downgrade));
        members.chain(removed).chain(version).chain(downgrade).collect()
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
    ///
    /// Not asked here is what costs the quorum for a while only ([`Cluster::may_add`] and its like); but the last
    /// voter can never go.
    pub fn check(&self, change: &Change, learners_max: Option<usize>) -> Result<(), Rejection> {
        let id = change.member();
        if self.removed.contains(&id) {
            return Err(Rejection::MemberNotFound);
        }
        let existing = self.members.get(&id);
        match (change, existing) {
            (Change::Add(_), Some(_)) => Err(Rejection::MemberExists),
            // raft uses 0 for nobody.
            (Change::Add(_), None) if id.0 == 0 => Err(Rejection::MemberExists),
            (Change::Add(member), None) => {
                self.check_urls_free(id, &member.peer_urls)?;
                let full = learners_max.is_some_and(|max| self.learners().count() >= max);
                if member.is_learner && full {
                    Err(Rejection::TooManyLearners)
                } else {
                    Ok(())
                }
            }
            (_, None) => Err(Rejection::MemberNotFound),
            (Change::Promote(_), Some(member)) if !member.is_learner => Err(Rejection::MemberNotLearner),
            (Change::Promote(_), Some(_)) => Ok(()),
            (Change::Remove(_), Some(member)) if !member.is_learner && self.voters().count() == 1 => {
                Err(Rejection::MemberNotEnoughStarted)
            }
            (Change::Remove(_), Some(_)) => Ok(()),
            (Change::Update(_, urls), Some(_)) => self.check_urls_free(id, urls),
        }
    }

    fn check_urls_free(&self, id: MemberId, urls: &[String]) -> Result<(), Rejection> {
        let mut others = self.members.values().filter(|member| member.id != id);
        match others.any(|member| member.peer_urls.iter().any(|url| urls.contains(url))) {
            true => Err(Rejection::PeerUrlExists),
            false => Ok(()),
        }
    }

    /// Carries out a committed change, or refuses it; the same on every member. On a refusal raft must be told that
    /// nothing changed.
    ///
    /// `learners_max` counts here only if it is surely the same on all members, for else they would part: better
    /// `None`, and the flag in [`Cluster::check`] before proposing.
    pub fn apply(&mut self, change: &Change, learners_max: Option<usize>) -> Result<Vec<Row>, Rejection> {
        self.check(change, learners_max)?;
        let id = change.member();
        let changed = match change {
            Change::Add(member) => self.members.entry(id).or_insert_with(|| member.clone()),
            Change::Remove(_) => {
                self.members.remove(&id);
                self.removed.insert(id);
                return Ok(vec![rows::no_member(id), rows::removed(id)]);
            }
            Change::Promote(_) => {
                let member = self.members.get_mut(&id).ok_or(Rejection::MemberNotFound)?;
                member.is_learner = false;
                member
            }
            Change::Update(_, urls) => {
                let member = self.members.get_mut(&id).ok_or(Rejection::MemberNotFound)?;
                member.peer_urls.clone_from(urls);
                member
            }
        };
        Ok(vec![rows::member(changed)])
    }

    /// Name and client URLs that a member published. Nothing for a member that was removed meanwhile or is unknown.
    pub fn apply_attributes(&mut self, request: &membershippb::ClusterMemberAttrSetRequest) -> Vec<Row> {
        let attributes = request.member_attributes.clone().unwrap_or_default();
        let Some(member) = self.members.get_mut(&MemberId(request.member_id)) else {
            return Vec::new();
        };
        member.name = attributes.name;
        member.client_urls = attributes.client_urls;
        vec![rows::member(member)]
    }

    /// Sets the cluster version. It only grows, but for a downgrade job's target: what a leader of the past proposed
    /// late, and what cannot be read, changes nothing.
    pub fn apply_version(&mut self, request: &membershippb::ClusterVersionSetRequest) -> Vec<Row> {
        let Ok(version) = request.ver.parse::<Version>() else {
            return Vec::new();
        };
        let version = version.cluster();
        if self.version.is_some_and(|current| version < current) && self.downgrade != Downgrade::To(version) {
            return Vec::new();
        }
        self.version = Some(version);
        vec![rows::version(version)]
    }

    /// Starts or ends a downgrade; an unreadable target changes nothing.
    pub fn apply_downgrade(&mut self, request: &membershippb::DowngradeInfoSetRequest) -> Vec<Row> {
        self.downgrade = match request.ver.parse::<Version>() {
            _ if !request.enabled => Downgrade::Off,
            Ok(target) => Downgrade::To(target.cluster()),
            Err(_) => return Vec::new(),
        };
        vec![rows::downgrade(self.downgrade)]
    }
}
