//! Locks and elections: keys on leases that queue by create revision (etcd client/v3/concurrency). The functions build
//! the requests and read the answers; carrying them out, and waiting, is the caller's part.
//!
//! Every contender owns the key `name/lease`. Whoever has the lowest create revision holds the lock. The others wait
//! until each key before theirs is gone, the newest first, and then look whether their own key is still there.

use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use model::pb::mvccpb;
use model::{LeaseId, Revision};

/// TTL in seconds of the lease that a lock gets where the caller brings none.
pub const SESSION_TTL: i64 = 60;

/// What a txn of [`enter`] found.
#[derive(Clone, PartialEq, Debug)]
pub struct Entered {
    /// Create revision of the own key: the place in the queue, and the fencing token.
    pub place: Revision,
    /// The own key with its value as it was before, where it existed already.
    pub existing: Option<mvccpb::KeyValue>,
    /// Whether nobody is before.
    pub owner: bool,
}

/// `name/`: every contender's key begins with it.
pub fn prefix(name: &[u8]) -> Bytes {
    let _ = name;
    todo!()
}

/// The contender's key: name, slash, lease in lower case hex without padding.
pub fn key(name: &[u8], lease: LeaseId) -> Bytes {
    let _ = (name, lease);
    todo!()
}

/// Puts the contender's key with `value` unless it exists, else reads it, and looks who is first.
pub fn enter(name: &[u8], lease: LeaseId, value: Bytes) -> pb::TxnRequest {
    let _ = (name, lease, value);
    todo!()
}

/// Reads the answer to [`enter`]; `None` if it is no such answer.
pub fn entered(response: &pb::TxnResponse) -> Option<Entered> {
    let _ = response;
    todo!()
}

/// The newest key before `place`; no key in the answer means that it is the contender's turn.
pub fn before(name: &[u8], place: Revision) -> pb::RangeRequest {
    let _ = (name, place);
    todo!()
}

/// The holder: the key with the lowest create revision.
pub fn holder(name: &[u8]) -> pb::RangeRequest {
    let _ = name;
    todo!()
}

/// Puts a new value under a leader's key if it is still the one created at `place`.
pub fn proclaim(key: Bytes, lease: LeaseId, place: Revision, value: Bytes) -> pb::TxnRequest {
    let _ = (key, lease, place, value);
    todo!()
}

/// Deletes a contender's key if it is still the one created at `place`: never a later contender's.
pub fn leave(key: Bytes, place: Revision) -> pb::TxnRequest {
    let _ = (key, place);
    todo!()
}
