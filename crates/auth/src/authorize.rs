//! May this whole request be carried out? One walker for every kind of request.

use crate::{Principal, Rules};
use model::pb::etcdserverpb as pb;
use model::{LeaseId, Rejection, Request};

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
        let _ = (who, request, leases);
        todo!()
    }

    /// Whether a client's request may be proposed: as [`Rules::authorize`], and what only members may ask for is
    /// refused.
    pub fn admit(
        &self,
        who: Principal<'_>,
        request: &Request,
        leases: &dyn AttachedKeys,
    ) -> Result<(), Rejection> {
        let _ = (who, request, leases);
        todo!()
    }

    /// As [`Rules::authorize`], for a transaction that is executed without the log.
    pub fn authorize_txn(
        &self,
        who: Principal<'_>,
        txn: &pb::TxnRequest,
        leases: &dyn AttachedKeys,
    ) -> Result<(), Rejection> {
        let _ = (who, txn, leases);
        todo!()
    }

    /// Keep-alive: needs write permission on every key of the lease.
    pub fn authorize_keep_alive(
        &self,
        who: Principal<'_>,
        lease: LeaseId,
        leases: &dyn AttachedKeys,
    ) -> Result<(), Rejection> {
        let _ = (who, lease, leases);
        todo!()
    }

    /// TimeToLive with keys, and listing a lease: needs read permission on every key of the lease.
    pub fn authorize_lease_keys(
        &self,
        who: Principal<'_>,
        lease: LeaseId,
        leases: &dyn AttachedKeys,
    ) -> Result<(), Rejection> {
        let _ = (who, lease, leases);
        todo!()
    }
}
