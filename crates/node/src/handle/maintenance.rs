//! Looking after one member: status, alarms, hashes, space, copies, leadership, downgrades.

use super::Handle;
use super::keys::unexpected;
use crate::loops::reclaim::reclaim;
use crate::{Caller, Error, Result};
use membership::{Downgrade, Member, validate_downgrade};
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::alarm_request::AlarmAction;
use model::pb::etcdserverpb::downgrade_request::DowngradeAction;
use model::pb::membershippb::DowngradeInfoSetRequest;
use model::{LogIndex, MemberId, Rejection, Reply, Request, Revision, Term};
use mvcc::{HashKv, Read, View};
use raft_engine::TransferError;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Everything a backup needs, as of one applied index.
pub struct SnapshotSource {
    /// Keys and their history; [`View::snapshot`] has every other row of the store, as of the same moment.
    pub view: Arc<View>,
    /// Position in the log that the view is at.
    pub applied: (LogIndex, Term),
    /// Raft's configuration there, as etcd's `ConfState`.
    pub configuration: bytes::Bytes,
    /// Members at that position, or a little later.
    pub members: Vec<pb::Member>,
    /// Storage version such as `3.7.0`; empty while undecided.
    pub version: String,
}

impl Handle {
    /// Sets, clears or lists alarms. Anybody known may list them, the rest needs root.
    pub async fn alarm(&self, request: pb::AlarmRequest, caller: &Caller) -> Result<pb::AlarmResponse> {
        match request.action == AlarmAction::Get as i32 {
            true => self.authorize_user(caller)?,
            false => self.authorize_root(caller)?,
        }
        match self.core.propose(Request::Alarm(request), caller).await? {
            Reply::Alarm(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    /// This member's state; needs no quorum. `version` is the one given in the options.
    pub fn status(&self, caller: &Caller) -> Result<pb::StatusResponse> {
        self.authorize_user(caller)?;
        let engine = self.core.engine()?;
        let sizes = self.core.shared.store.sizes();
        let leader = self.leader();
        let mut errors = Vec::new();
        if leader.is_none() {
            errors.push(Rejection::NoLeader.message().to_owned());
        }
        for alarm in self.alarms().list(pb::AlarmType::None as i32) {
            let kind = pb::AlarmType::try_from(alarm.alarm).map_or("UNKNOWN", |kind| kind.as_str_name());
            // The text form of the message, as etcd prints it.
            errors.push(format!("memberID:{} alarm:{kind}", alarm.member_id));
        }
        let downgrade = match self.cluster().downgrade() {
            Downgrade::Off => pb::DowngradeInfo::default(),
            Downgrade::To(version) => pb::DowngradeInfo {
                enabled: true,
                target_version: version.to_string(),
            },
        };
        Ok(pb::StatusResponse {
            header: Some(self.header()),
            version: self.core.options.version.clone(),
            db_size: sizes.allocated as i64,
            db_size_in_use: sizes.in_use as i64,
            db_size_quota: self.core.options.quota_bytes.map_or(0, |quota| quota as i64),
            leader: leader.map_or(0, |leader| leader.0),
            raft_index: engine.committed(),
            raft_term: engine.term(),
            raft_applied_index: self.applied().0,
            errors,
            is_learner: self.is_learner(),
            storage_version: self.storage_version().unwrap_or_default(),
            downgrade_info: Some(downgrade),
        })
    }

    /// Hash of the keys up to a revision, 0 for the current one. Reads all keys, on a blocking thread. What was answered
    /// for a revision stays the answer when history is compacted up to it.
    pub async fn hash_kv(&self, revision: Revision, caller: &Caller) -> Result<pb::HashKvResponse> {
        self.core.require_voter()?;
        self.authorize_root(caller)?;
        self.hash_by(move |store| store.hash_kv_as_told(revision)).await
    }

    /// Hash of the keys for other members, who are asked for no credentials, and judge this one by what it holds now.
    pub async fn hash_kv_unchecked(&self, revision: Revision) -> Result<pb::HashKvResponse> {
        self.hash_by(move |store| store.hash_kv(revision)).await
    }

    async fn hash_by(
        &self,
        hash: impl FnOnce(&mvcc::Store) -> mvcc::Result<HashKv> + Send + 'static,
    ) -> Result<pb::HashKvResponse> {
        let store = self.core.shared.store.clone();
        let timer = self.core.metrics.hash_kv.start_timer();
        let hash = self
            .core
            .blocking(move || hash(&store))
            .await?
            .map_err(Error::from)?;
        timer.observe_duration();
        Ok(pb::HashKvResponse {
            header: Some(self.header()),
            hash: hash.hash,
            compact_revision: hash.compact_revision.0,
            hash_revision: hash.hash_revision.0,
        })
    }

    /// Hash of the whole replicated state.
    pub async fn hash(&self, caller: &Caller) -> Result<pb::HashResponse> {
        self.core.require_voter()?;
        self.authorize_root(caller)?;
        let store = self.core.shared.store.clone();
        let timer = self.core.metrics.hash.start_timer();
        let (hash, revision) = self
            .core
            .blocking(move || store.hash())
            .await?
            .map_err(Error::from)?;
        timer.observe_duration();
        Ok(pb::HashResponse {
            header: Some(pb::ResponseHeader {
                revision: revision.0,
                ..self.header()
            }),
            hash,
        })
    }

    /// Gives the space of removed history back; nobody waits for it but the caller.
    pub async fn defragment(&self, caller: &Caller) -> Result<()> {
        self.core.require_voter()?;
        self.authorize_root(caller)?;
        let core = self.core.clone();
        self.core
            .blocking(move || reclaim(&core))
            .await?
            .map_err(Error::from)
    }

    /// A copy of everything at one point in time. Also on a learner.
    pub async fn snapshot(&self, caller: &Caller) -> Result<SnapshotSource> {
        self.authorize_root(caller)?;
        let view = self.view();
        let applied = apply::Applied::load(view.snapshot().as_ref());
        let applied = applied.map_err(|error| Error::Fault(error.to_string()))?;
        Ok(SnapshotSource {
            applied: (applied.index, applied.term),
            configuration: applied.configuration,
            members: self.cluster().members().map(Member::to_pb).collect(),
            version: self.storage_version().unwrap_or_default(),
            view,
        })
    }

    /// Hands leadership to a voter; returns when it leads.
    pub async fn move_leader(&self, target: MemberId, caller: &Caller) -> Result<()> {
        self.core.require_voter()?;
        self.authorize_root(caller)?;
        if !self.is_leader() {
            return Err(Rejection::NotLeader.into());
        }
        if self
            .cluster()
            .member(target)
            .is_none_or(|member| member.is_learner)
        {
            return Err(Rejection::BadLeaderTransferee.into());
        }
        if target == self.member_id() {
            return Ok(());
        }
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |result: Result<(), TransferError>| {
            let _ = sender.send(result);
        });
        self.core.engine()?.transfer_leader(target.0, done);
        match tokio::time::timeout(self.core.request_timeout(), receiver).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(TransferError::NotLeader))) => Err(Rejection::NotLeader.into()),
            Ok(Ok(Err(TransferError::NotVoter))) => Err(Rejection::BadLeaderTransferee.into()),
            Ok(Ok(Err(TransferError::Stopped)) | Err(_)) => Err(Rejection::Stopped.into()),
            Ok(Ok(Err(_))) | Err(_) => Err(Rejection::LeaderTransferTimeout.into()),
        }
    }

    /// Validates, starts or cancels a downgrade; answers the cluster version as `major.minor`. Cancelling what does
    /// not run succeeds.
    pub async fn downgrade(
        &self,
        request: pb::DowngradeRequest,
        caller: &Caller,
    ) -> Result<pb::DowngradeResponse> {
        self.core.require_voter()?;
        self.authorize_root(caller)?;
        let action = DowngradeAction::try_from(request.action).map_err(|_| Rejection::UnknownMethod)?;
        self.core.read_barrier().await?;
        let cluster = self.cluster();
        let job = match action {
            DowngradeAction::Validate | DowngradeAction::Enable => {
                let target = validate_downgrade(cluster.version(), cluster.downgrade(), &request.version)?;
                (action == DowngradeAction::Enable).then(|| DowngradeInfoSetRequest {
                    enabled: true,
                    ver: target.to_string(),
                })
            }
            DowngradeAction::Cancel => match cluster.downgrade() {
                Downgrade::Off => None,
                Downgrade::To(_) => Some(DowngradeInfoSetRequest::default()),
            },
        };
        if let Some(job) = job {
            self.core.propose(Request::DowngradeInfoSet(job), caller).await?;
            self.core.signals.versions.notify_one();
        }
        let version = cluster.version().ok_or(Rejection::ClusterVersionUnavailable)?;
        Ok(pb::DowngradeResponse {
            header: Some(pb::ResponseHeader {
                revision: self.view().revision().0,
                ..Default::default()
            }),
            version: version.major_minor(),
        })
    }
}
