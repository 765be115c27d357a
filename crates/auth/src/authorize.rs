//! May this whole request be carried out? One walker for every kind of request.

use crate::rules::Access;
use crate::{Principal, Rules};
use bytes::Bytes;
use model::pb::etcdserverpb::alarm_request::AlarmAction;
use model::pb::etcdserverpb::{self as pb, request_op};
use model::{KeyRange, LeaseId, Rejection, Request};

/// Which keys hang on a lease: who may not write them may neither revoke the lease nor hang more keys on it.
pub trait AttachedKeys {
    /// Whether `allowed` holds for every key of the lease; true for an unknown lease.
    fn all_keys(&self, lease: LeaseId, allowed: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// No key hangs on any lease: for requests that name none.
#[derive(Clone, Copy, Debug)]
pub struct NoLeases;

impl AttachedKeys for NoLeases {
    fn all_keys(&self, _: LeaseId, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        true
    }
}

impl Rules {
    /// Whether a request may be carried out, judged by every member when it is applied: the exact request that is
    /// executed, with all nested transactions, both branches, previous values and leases.
    ///
    /// What members themselves propose (compaction, alarms, checkpoints, cluster version, attributes, tokens) passes:
    /// where clients may ask for it too, [`Rules::admit`] has judged them before.
    pub fn authorize(
        &self,
        who: Principal<'_>,
        request: &Request,
        leases: &dyn AttachedKeys,
    ) -> Result<(), Rejection> {
        if !self.enabled {
            return Ok(());
        }
        match request {
            Request::Range(range) => self.authorize_range(who, range),
            Request::Put(put) => self.authorize_put(who, put, leases),
            Request::DeleteRange(delete) => self.authorize_delete(who, delete),
            Request::Txn(txn) => self.authorize_txn(who, txn, leases),
            Request::LeaseRevoke(revoke) => {
                self.authorize_lease(who, Access::Write, LeaseId(revoke.id), leases)
            }

            // A user may see his own roles, and what the roles he has allow.
            Request::AuthUserGet(get) => match self.require_root(who) {
                Err(_) if !who.user.is_empty() && who.user == get.name => Ok(()),
                judged => judged,
            },
            Request::AuthRoleGet(get) => match self.require_root(who) {
                Err(_) if self.has_role(who.user, &get.role) => Ok(()),
                judged => judged,
            },
            Request::AuthEnable(_)
            | Request::AuthDisable(_)
            | Request::AuthUserAdd(_)
            | Request::AuthUserDelete(_)
            | Request::AuthUserChangePassword(_)
            | Request::AuthUserGrantRole(_)
            | Request::AuthUserRevokeRole(_)
            | Request::AuthUserList(_)
            | Request::AuthRoleList(_)
            | Request::AuthRoleAdd(_)
            | Request::AuthRoleDelete(_)
            | Request::AuthRoleGrantPermission(_)
            | Request::AuthRoleRevokePermission(_) => self.require_root(who),

            // Needs no credentials: it is how one gets them, or learns that they are needed.
            Request::Authenticate(_) | Request::AuthStatus(_) => Ok(()),

            Request::Compaction(_)
            | Request::LeaseGrant(_)
            | Request::LeaseCheckpoint(_)
            | Request::Alarm(_)
            | Request::ClusterVersionSet(_)
            | Request::ClusterMemberAttrSet(_)
            | Request::DowngradeInfoSet(_) => Ok(()),
        }
    }

    /// Whether a client's request may be proposed. Not judged here is what [`Rules::authorize`] judges when the request
    /// is applied: this member may lag behind the others, and must not refuse what has just been granted.
    pub fn admit(&self, who: Principal<'_>, request: &Request) -> Result<(), Rejection> {
        match request {
            Request::Compaction(_) | Request::DowngradeInfoSet(_) => self.require_root(who),
            Request::Alarm(alarm) if alarm.action() == AlarmAction::Get => self.require_user(who),
            Request::Alarm(_) => self.require_root(who),
            Request::LeaseGrant(_) | Request::LeaseRevoke(_) => self.require_user(who),
            // Only members ask for these.
            Request::LeaseCheckpoint(_)
            | Request::ClusterVersionSet(_)
            | Request::ClusterMemberAttrSet(_) => self.require_root(who),
            _ => Ok(()),
        }
    }

    /// As [`Rules::authorize`], for a transaction that is executed without the log.
    pub fn authorize_txn(
        &self,
        who: Principal<'_>,
        txn: &pb::TxnRequest,
        leases: &dyn AttachedKeys,
    ) -> Result<(), Rejection> {
        if !self.enabled {
            return Ok(());
        }
        for compare in &txn.compare {
            self.require_read(who, &range(&compare.key, &compare.range_end))?;
        }
        // Both branches, whichever will be taken: the refusal must not tell what the compares found.
        for op in txn.success.iter().chain(&txn.failure) {
            match &op.request {
                Some(request_op::Request::RequestRange(range)) => self.authorize_range(who, range)?,
                Some(request_op::Request::RequestPut(put)) => self.authorize_put(who, put, leases)?,
                Some(request_op::Request::RequestDeleteRange(delete)) => {
                    self.authorize_delete(who, delete)?
                }
                Some(request_op::Request::RequestTxn(txn)) => self.authorize_txn(who, txn, leases)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Keep-alive: needs write permission on every key of the lease.
    pub fn authorize_keep_alive(
        &self,
        who: Principal<'_>,
        lease: LeaseId,
        leases: &dyn AttachedKeys,
    ) -> Result<(), Rejection> {
        self.require_user(who)?;
        self.authorize_lease(who, Access::Write, lease, leases)
    }

    /// TimeToLive with keys, and listing a lease: needs read permission on every key of the lease.
    pub fn authorize_lease_keys(
        &self,
        who: Principal<'_>,
        lease: LeaseId,
        leases: &dyn AttachedKeys,
    ) -> Result<(), Rejection> {
        self.require_user(who)?;
        self.authorize_lease(who, Access::Read, lease, leases)
    }

    /// As [`Rules::authorize`], for a range that is read without the log.
    pub fn authorize_range(&self, who: Principal<'_>, request: &pb::RangeRequest) -> Result<(), Rejection> {
        self.require_read(who, &range(&request.key, &request.range_end))
    }

    fn authorize_put(
        &self,
        who: Principal<'_>,
        put: &pb::PutRequest,
        leases: &dyn AttachedKeys,
    ) -> Result<(), Rejection> {
        self.require_key(who, Access::Write, &put.key)?;
        // Whoever hangs a key on a lease can neither revoke it nor keep it alive without write permission on all its
        // keys; and its end would take his key along.
        self.authorize_lease(who, Access::Write, LeaseId(put.lease), leases)?;
        if put.prev_kv {
            self.require_key(who, Access::Read, &put.key)?;
        }
        Ok(())
    }

    fn authorize_delete(&self, who: Principal<'_>, delete: &pb::DeleteRangeRequest) -> Result<(), Rejection> {
        let range = range(&delete.key, &delete.range_end);
        self.require_write(who, &range)?;
        if delete.prev_kv {
            self.require_read(who, &range)?;
        }
        Ok(())
    }

    fn authorize_lease(
        &self,
        who: Principal<'_>,
        access: Access,
        lease: LeaseId,
        leases: &dyn AttachedKeys,
    ) -> Result<(), Rejection> {
        if lease.0 == 0 || self.require_root(who).is_ok() {
            return Ok(());
        }
        let mut judged = Ok(());
        let all = leases.all_keys(lease, &mut |key| {
            judged = self.require_key(who, access, key);
            judged.is_ok()
        });
        if all {
            Ok(())
        } else {
            judged.and(Err(Rejection::PermissionDenied))
        }
    }

    fn has_role(&self, user: &str, role: &str) -> bool {
        self.users
            .get(user)
            .is_some_and(|account| account.user.roles.iter().any(|held| held == role))
    }
}

fn range(key: &Bytes, range_end: &Bytes) -> KeyRange {
    KeyRange::new(key.clone(), range_end.clone())
}
