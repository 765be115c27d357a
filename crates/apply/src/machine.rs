//! The machine: entries of the log, applied in order.

use crate::error::Stop;
use crate::shared::{LeaseKeys, Shared};
use crate::txn::{self, header};
use crate::write::{Work, Write};
use crate::{Alarms, Applied, Error, alarms, quota};
use arc_swap::ArcSwap;
use auth::{AuthStore, Principal, Tokens};
use bytes::Bytes;
use lease::{Lessor, rows};
use membership::{Change, Cluster, RowFamily};
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::alarm_request::AlarmAction;
use model::{ClusterId, Command, LeaseId, LogIndex, MemberId, Rejection, Reply, Request, Revision, Term};
use mvcc::{Changes, Read, Store, Writer};
use parking_lot::Mutex;
use std::ops::Bound;
use std::sync::Arc;
use storage::{Backend, Family, Op, Snapshot};

/// Settings of a machine.
#[derive(Clone)]
pub struct Options {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Bytes of the store at which a write that fits no more is reported; `None` for no quota.
    pub quota_bytes: Option<u64>,
    /// Settings of the keys' store.
    pub mvcc: mvcc::Options,
    /// Settings of the lessor.
    pub lease: lease::Options,
    /// Where this member keeps tokens.
    pub tokens: Arc<Tokens>,
}

/// What became of a command.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// The answer, the same on every member.
    pub result: Result<Reply, Rejection>,
    /// The store of this member had no room for it. It was carried out all the same, since others may have had room,
    /// but the caller is to be told `NoSpace`, and an alarm to be raised.
    pub over_quota: bool,
}

/// Applies commands. One per member, owned by the apply thread.
///
/// Entries are handed in one by one ([`Machine::apply`], [`Machine::change_members`], [`Machine::skip`]) and become
/// visible and written with [`Machine::commit`], the whole group or nothing of it. After an error the machine must not
/// be used any more.
pub struct Machine {
    options: Options,
    store: Store,
    writer: Writer,
    auth: AuthStore,
    cluster: Cluster,
    alarms: Alarms,
    applied: Applied,
    /// The group contains a new configuration.
    configuration_changed: bool,
    /// The group contains entries.
    entries: u64,
    work: Work,
    shared: Arc<Shared>,
}

/// Everything but the keys, as loaded from a store.
struct Loaded {
    lessor: Lessor,
    auth: AuthStore,
    cluster: Cluster,
    alarms: Alarms,
    applied: Applied,
}

impl Machine {
    /// From a store, which may be empty.
    pub fn open(backend: Arc<dyn Backend>, options: Options) -> Result<Machine, Error> {
        let (store, writer) = Store::open(backend, options.mvcc).map_err(Error::Keys)?;
        let Loaded {
            lessor,
            auth,
            cluster,
            alarms,
            applied,
        } = load(writer.view().snapshot().as_ref(), &options)?;
        let shared = Shared {
            store: store.clone(),
            lessor: Mutex::new(lessor),
            rules: ArcSwap::new(auth.rules().clone()),
            cluster: ArcSwap::from_pointee(cluster.clone()),
            alarms: ArcSwap::from_pointee(alarms.clone()),
        };
        Ok(Machine {
            options,
            store,
            writer,
            auth,
            cluster,
            alarms,
            applied,
            configuration_changed: false,
            entries: 0,
            work: Work::default(),
            shared: Arc::new(shared),
        })
    }

    /// Puts another store under the machine: that of an installed snapshot. What was shared stays valid and shows the
    /// new state. The lessor is not primary afterwards: only followers install snapshots.
    pub fn restore(&mut self, backend: Arc<dyn Backend>) -> Result<(), Error> {
        self.writer.restore(backend).map_err(Error::Keys)?;
        let loaded = load(self.writer.view().snapshot().as_ref(), &self.options)?;
        *self.shared.lessor.lock() = loaded.lessor;
        #[cfg(feature = "planted")]
        let stays = planted::is(planted::Bug::AuthNotRestored);
        #[cfg(not(feature = "planted"))]
        let stays = false;
        if !stays {
            self.auth = loaded.auth;
        }
        self.cluster = loaded.cluster;
        self.alarms = loaded.alarms;
        self.applied = loaded.applied;
        self.configuration_changed = false;
        self.entries = 0;
        self.publish();
        Ok(())
    }

    /// What readers see.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// How far the log has been applied, uncommitted entries of the group included.
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Members, with those of the group.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Applies a command. `answer` is false where nobody waits for the reply: work that only the reply needs is left
    /// out then, and the reply incomplete.
    pub fn apply(
        &mut self,
        index: LogIndex,
        term: Term,
        command: &Command,
        answer: bool,
    ) -> Result<Outcome, Error> {
        failpoint::point!("beforeApplyOneEntryNormal");
        self.advance(index, term)?;
        let cost = quota::cost(&command.request);
        let room = self.has_room(cost);
        let result = match self.execute(index, command, cost, answer) {
            Ok(reply) => Ok(reply),
            Err(Stop::Refused(rejection)) => Err(rejection),
            Err(Stop::Fault(error)) => return Err(error),
        };
        Ok(Outcome {
            over_quota: !room && result.is_ok(),
            result,
        })
    }

    /// Applies a membership change that raft accepts; `configuration` is raft's after it. After a refusal raft must be
    /// told that nothing changed.
    pub fn change_members(
        &mut self,
        index: LogIndex,
        term: Term,
        change: &Change,
        configuration: Bytes,
    ) -> Result<Result<(), Rejection>, Error> {
        failpoint::point!("beforeApplyOneConfChange");
        self.advance(index, term)?;
        // How many learners there may be is a local flag, asked when a change is proposed; here it must not count.
        let rows = match self.cluster.apply(change, None) {
            Ok(rows) => rows,
            Err(rejection) => return Ok(Err(rejection)),
        };
        failpoint::point!("memberBeforeRows");
        self.add_rows(rows);
        self.applied.configuration = configuration;
        self.configuration_changed = true;
        Ok(Ok(()))
    }

    /// Raft's configuration without any change of the members that are known here.
    pub fn change_configuration(
        &mut self,
        index: LogIndex,
        term: Term,
        configuration: Bytes,
    ) -> Result<(), Error> {
        self.advance(index, term)?;
        self.applied.configuration = configuration;
        self.configuration_changed = true;
        Ok(())
    }

    /// Passes over an entry that changes nothing.
    pub fn skip(&mut self, index: LogIndex, term: Term) -> Result<(), Error> {
        self.advance(index, term)
    }

    /// Writes the group as one batch, and publishes it. Answers what changed, by revision.
    pub fn commit(&mut self) -> Result<Vec<Arc<Changes>>, Error> {
        if self.entries == 0 {
            return Ok(Vec::new());
        }
        failpoint::point!("commitBeforePreCommitHook");
        #[cfg(feature = "planted")]
        let forgets = planted::is(planted::Bug::AuthWithoutIndex)
            && !Arc::ptr_eq(&self.shared.rules.load(), self.auth.rules());
        #[cfg(not(feature = "planted"))]
        let forgets = false;
        if !forgets {
            self.applied
                .store(self.writer.batch(), self.configuration_changed);
        }
        failpoint::point!("commitAfterPreCommitHook");
        failpoint::point!("beforeCommit");
        let changes = self.writer.commit().map_err(Error::Keys)?;
        failpoint::point!("afterCommit");
        self.entries = 0;
        self.configuration_changed = false;
        failpoint::point!("applyBeforePublish");
        self.publish();
        Ok(changes)
    }

    /// What has been done since the last call.
    pub fn take_work(&mut self) -> Work {
        std::mem::take(&mut self.work)
    }

    fn advance(&mut self, index: LogIndex, term: Term) -> Result<(), Error> {
        // A gap or a repetition would be a fault of the log's owner; what is in the store says which entry is next.
        if index.0 != self.applied.index.0 + 1 {
            return Err(Error::Gap {
                found: index.0,
                applied: self.applied.index.0,
            });
        }
        self.applied.index = index;
        self.applied.term = term;
        self.entries += 1;
        Ok(())
    }

    fn publish(&self) {
        let shared = &self.shared;
        // Most groups change none of these: comparing pointers, or small values, saves copies on every group.
        if !Arc::ptr_eq(&shared.rules.load(), self.auth.rules()) {
            shared.rules.store(self.auth.rules().clone());
        }
        if **shared.cluster.load() != self.cluster {
            shared.cluster.store(Arc::new(self.cluster.clone()));
        }
        if **shared.alarms.load() != self.alarms {
            shared.alarms.store(Arc::new(self.alarms.clone()));
        }
    }

    fn has_room(&self, cost: u64) -> bool {
        match self.options.quota_bytes {
            Some(quota) if cost > 0 => self.store.sizes().allocated + cost < quota,
            _ => true,
        }
    }

    /// The order of the checks is etcd's: alarms, permissions, then the request itself.
    fn execute(
        &mut self,
        index: LogIndex,
        command: &Command,
        cost: u64,
        answer: bool,
    ) -> Result<Reply, Stop> {
        let request = &command.request;
        self.check_alarms(request, cost)?;
        let who = Principal {
            user: &command.username,
            revision: command.auth_revision,
        };
        let rules = self.auth.rules();
        if rules.is_enabled() {
            rules.authorize(who, request, &LeaseKeys(&self.shared.lessor))?;
        }
        match request {
            Request::Put(put) => self.write(|write| {
                write.check_put(put)?;
                Ok(Reply::Put(write.put(put)?))
            }),
            Request::DeleteRange(delete) => {
                self.write(|write| Ok(Reply::DeleteRange(write.delete_range(delete)?)))
            }
            Request::Txn(request) => {
                self.write(|write| Ok(Reply::Txn(txn::execute(write, request, answer)?)))
            }
            Request::Range(range) => self.range(range, answer),
            Request::Compaction(compaction) => {
                self.writer.compact(Revision(compaction.revision))?;
                Ok(Reply::Compaction(pb::CompactionResponse {
                    header: self.header(),
                }))
            }
            Request::LeaseGrant(grant) => self.grant(grant),
            Request::LeaseRevoke(revoke) => self.revoke(LeaseId(revoke.id)),
            Request::LeaseCheckpoint(checkpoint) => Ok(self.checkpoint(checkpoint)),
            Request::Alarm(alarm) => Ok(self.alarm(alarm)),
            Request::ClusterVersionSet(request) => {
                let rows = self.cluster.apply_version(request);
                Ok(self.done(rows))
            }
            Request::ClusterMemberAttrSet(request) => {
                let rows = self.cluster.apply_attributes(request);
                Ok(self.done(rows))
            }
            Request::DowngradeInfoSet(request) => {
                let rows = self.cluster.apply_downgrade(request);
                Ok(self.done(rows))
            }
            _ => self.apply_auth(index, request),
        }
    }

    /// What alarms refuse on the whole cluster. Deletes, compactions and revocations pass when space is short, since
    /// they make room.
    fn check_alarms(&self, request: &Request, cost: u64) -> Result<(), Rejection> {
        if self.alarms.is_empty() {
            return Ok(());
        }
        let touches_keys = matches!(
            request,
            Request::Put(_)
                | Request::Range(_)
                | Request::DeleteRange(_)
                | Request::Txn(_)
                | Request::Compaction(_)
                | Request::LeaseGrant(_)
                | Request::LeaseRevoke(_)
        );
        if touches_keys && self.alarms.corrupt() {
            Err(Rejection::Corrupt)
        } else if cost > 0 && self.alarms.no_space() {
            Err(Rejection::NoSpace)
        } else {
            Ok(())
        }
    }

    /// Runs one write request. All its checks come before its first change, so that a refused one leaves nothing.
    fn write(&mut self, run: impl FnOnce(&mut Write<'_>) -> Result<Reply, Stop>) -> Result<Reply, Stop> {
        let mut write = Write::new(self.writer.begin(), &self.shared.lessor);
        let reply = run(&mut write)?;
        let (rows, work) = write.finish();
        self.work.add(work);
        let batch = self.writer.batch();
        for row in rows {
            match row {
                Op::Put(family, key, value) => batch.put(family, key, value),
                Op::Delete(family, key) => batch.delete(family, key),
                Op::DeleteRange(family, start, end) => batch.delete_range(family, start, end),
            }
        }
        Ok(reply)
    }

    fn range(&mut self, request: &pb::RangeRequest, answer: bool) -> Result<Reply, Stop> {
        if !answer {
            return Ok(Reply::Range(pb::RangeResponse::default()));
        }
        Ok(Reply::Range(self.writer.begin().range(request)?))
    }

    fn grant(&mut self, request: &pb::LeaseGrantRequest) -> Result<Reply, Stop> {
        let lease = self
            .shared
            .lessor
            .lock()
            .grant(LeaseId(request.id), request.ttl)?;
        let (key, value) = (rows::lease_key(lease.id), rows::lease_value(&lease));
        self.writer.batch().put(Family::Lease, key, value);
        self.work.leases_granted += 1;
        Ok(Reply::LeaseGrant(pb::LeaseGrantResponse {
            header: self.header(),
            id: lease.id.0,
            ttl: lease.ttl,
            error: String::new(),
        }))
    }

    fn revoke(&mut self, lease: LeaseId) -> Result<Reply, Stop> {
        let keys = self.shared.lessor.lock().revoke(lease)?;
        self.write(|write| {
            write.delete_revoked(lease, keys)?;
            Ok(Reply::Done)
        })?;
        Ok(Reply::LeaseRevoke(pb::LeaseRevokeResponse {
            header: self.header(),
        }))
    }

    fn checkpoint(&mut self, request: &pb::LeaseCheckpointRequest) -> Reply {
        let mut lessor = self.shared.lessor.lock();
        for checkpoint in &request.checkpoints {
            // A lease that was revoked meanwhile has nothing to remember.
            if let Some(lease) = lessor.checkpoint(LeaseId(checkpoint.id), checkpoint.remaining_ttl) {
                let (key, value) = (rows::lease_key(lease.id), rows::lease_value(&lease));
                self.writer.batch().put(Family::Lease, key, value);
            }
        }
        drop(lessor);
        Reply::LeaseCheckpoint(pb::LeaseCheckpointResponse {
            header: self.header(),
        })
    }

    fn alarm(&mut self, request: &pb::AlarmRequest) -> Reply {
        let member = MemberId(request.member_id);
        let this = pb::AlarmMember {
            member_id: member.0,
            alarm: request.alarm,
        };
        let alarms = match AlarmAction::try_from(request.action) {
            Ok(AlarmAction::Get) => self.alarms.list(request.alarm),
            Ok(AlarmAction::Activate) if request.alarm != pb::AlarmType::None as i32 => {
                if self.alarms.activate(request.alarm, member) {
                    let row = Alarms::row(request.alarm, member);
                    self.writer.batch().put(Family::Meta, row, Bytes::new());
                }
                vec![this]
            }
            Ok(AlarmAction::Deactivate) if self.alarms.deactivate(request.alarm, member) => {
                let row = Alarms::row(request.alarm, member);
                self.writer.batch().delete(Family::Meta, row);
                vec![this]
            }
            _ => Vec::new(),
        };
        Reply::Alarm(pb::AlarmResponse {
            header: self.header(),
            alarms,
        })
    }

    fn apply_auth(&mut self, index: LogIndex, request: &Request) -> Result<Reply, Stop> {
        let mut rows = Vec::new();
        let reply = self.auth.apply(request, index, &mut rows);
        let batch = self.writer.batch();
        for row in rows {
            match row.value {
                Some(value) => batch.put(Family::Auth, row.key, value),
                None => batch.delete(Family::Auth, row.key),
            }
        }
        let mut reply = reply.unwrap_or(Ok(Reply::Done))?;
        set_header(&mut reply, self.header());
        Ok(reply)
    }

    fn done(&mut self, rows: Vec<membership::Row>) -> Reply {
        self.add_rows(rows);
        Reply::Done
    }

    fn add_rows(&mut self, rows: Vec<membership::Row>) {
        let batch = self.writer.batch();
        for row in rows {
            let family = match row.family {
                RowFamily::Members => Family::Members,
                RowFamily::Meta => Family::Meta,
            };
            match row.value {
                Some(value) => batch.put(family, row.key, value),
                None => batch.delete(family, row.key),
            }
        }
    }

    fn header(&self) -> Option<pb::ResponseHeader> {
        header(self.writer.revision())
    }
}

fn load(rows: &dyn Snapshot, options: &Options) -> Result<Loaded, Error> {
    let attachments = family(rows, Family::LeaseKeys, &[])?
        .into_iter()
        .map(|(key, _)| key);
    let lessor = Lessor::load(
        options.lease.clone(),
        family(rows, Family::Lease, &[])?,
        attachments,
    )?;
    let auth = AuthStore::load(family(rows, Family::Auth, &[])?, options.tokens.clone())?;
    let cluster = Cluster::load(
        options.cluster,
        family(rows, Family::Members, &[])?,
        family(rows, Family::Meta, Cluster::META_PREFIX)?,
    )?;
    let mut alarms = Alarms::default();
    for (key, _) in family(rows, Family::Meta, alarms::PREFIX)? {
        if !alarms.load(&key) {
            return Err(Error::Meta("alarm"));
        }
    }
    Ok(Loaded {
        lessor,
        auth,
        cluster,
        alarms,
        applied: Applied::load(rows)?,
    })
}

/// All rows of a family whose key begins with `prefix`.
fn family(rows: &dyn Snapshot, family: Family, prefix: &[u8]) -> Result<Vec<(Bytes, Bytes)>, Error> {
    let mut found = Vec::new();
    let mut cursor = rows.scan(family, (Bound::Included(prefix), Bound::Unbounded))?;
    while let Some((key, value)) = cursor.next()? {
        if !key.starts_with(prefix) {
            break;
        }
        found.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
    }
    Ok(found)
}

/// Replies about users and roles come without a header: auth does not know of revisions.
fn set_header(reply: &mut Reply, header: Option<pb::ResponseHeader>) {
    let place = match reply {
        Reply::AuthEnable(reply) => &mut reply.header,
        Reply::AuthDisable(reply) => &mut reply.header,
        Reply::AuthStatus(reply) => &mut reply.header,
        Reply::Authenticate(reply) => &mut reply.header,
        Reply::AuthUserAdd(reply) => &mut reply.header,
        Reply::AuthUserDelete(reply) => &mut reply.header,
        Reply::AuthUserGet(reply) => &mut reply.header,
        Reply::AuthUserChangePassword(reply) => &mut reply.header,
        Reply::AuthUserGrantRole(reply) => &mut reply.header,
        Reply::AuthUserRevokeRole(reply) => &mut reply.header,
        Reply::AuthUserList(reply) => &mut reply.header,
        Reply::AuthRoleList(reply) => &mut reply.header,
        Reply::AuthRoleAdd(reply) => &mut reply.header,
        Reply::AuthRoleDelete(reply) => &mut reply.header,
        Reply::AuthRoleGet(reply) => &mut reply.header,
        Reply::AuthRoleGrantPermission(reply) => &mut reply.header,
        Reply::AuthRoleRevokePermission(reply) => &mut reply.header,
        _ => return,
    };
    *place = header;
}
