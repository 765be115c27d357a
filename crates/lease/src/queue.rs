//! Locks and elections: keys on leases that queue by create revision (etcd client/v3/concurrency). The functions build
//! the requests and read the answers; carrying them out, and waiting, is the caller's part.
//!
//! Every contender owns the key `name/lease`. Whoever has the lowest create revision holds the lock. The others wait
//! until each key before theirs is gone, the newest first, and then look whether their own key is still there: its
//! lease may have run out while they waited.

use bytes::{Bytes, BytesMut};
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use model::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use model::pb::etcdserverpb::{self as pb, request_op, response_op};
use model::pb::mvccpb;
use model::{LeaseId, Revision};
use prost::Message;
use std::fmt::Write;

/// TTL in seconds of the lease that a lock gets where the caller brings none.
pub const SESSION_TTL: i64 = 60;

/// What a txn of [`enter`] found.
#[derive(Clone, PartialEq, Debug)]
pub struct Entered {
    /// Create revision of the own key: the place in the queue, and the fencing token.
    pub place: Revision,
    /// The own key as it was before, where it existed already.
    pub existing: Option<mvccpb::KeyValue>,
    /// Whether nobody is before.
    pub owner: bool,
}

/// `name/`: every contender's key begins with it.
pub fn prefix(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

/// The contender's key: name, slash, lease in lower case hex without padding.
pub fn key(name: &[u8], lease: LeaseId) -> Bytes {
    let mut key = BytesMut::from(name);
    // A BytesMut grows as needed: writing to it cannot fail.
    let _ = write!(key, "/{:x}", lease.0);
    key.freeze()
}

/// Puts the contender's key with `value` unless it exists, else reads it, and looks who is first.
pub fn enter(name: &[u8], lease: LeaseId, value: Bytes) -> pb::TxnRequest {
    let key = key(name, lease);
    let read = pb::RangeRequest {
        key: key.clone(),
        ..Default::default()
    };
    pb::TxnRequest {
        compare: vec![created_at(key.clone(), Revision(0))],
        success: vec![put(key, lease, value), range(holder(name))],
        failure: vec![range(read), range(holder(name))],
    }
}

/// Reads the answer to [`enter`]; `None` if it is no such answer.
pub fn entered(response: &pb::TxnResponse) -> Option<Entered> {
    let first = response.responses.first()?.response.as_ref()?;
    let (place, existing) = match first {
        response_op::Response::ResponsePut(_) => (Revision(response.header.as_ref()?.revision), None),
        response_op::Response::ResponseRange(found) => {
            let own = first_key(found)?;
            (Revision(own.create_revision), Some(own))
        }
        _ => return None,
    };
    let second = response.responses.get(1)?.response.as_ref()?;
    let response_op::Response::ResponseRange(holder) = second else {
        return None;
    };
    // Within the transaction the own key is there already: nobody at all cannot be, but would mean nobody before.
    let owner = first_key(holder).is_none_or(|holder| holder.create_revision == place.0);
    Some(Entered {
        place,
        existing,
        owner,
    })
}

/// The newest key before `place`; no key in the answer means that it is the contender's turn.
pub fn before(name: &[u8], place: Revision) -> pb::RangeRequest {
    let mut request = contenders(name);
    request.max_create_revision = place.0 - 1;
    request.sort_order = SortOrder::Descend.into();
    request
}

/// The holder: the key with the lowest create revision.
pub fn holder(name: &[u8]) -> pb::RangeRequest {
    contenders(name)
}

/// Puts a new value under a leader's key if it is still the one created at `place`.
pub fn proclaim(key: Bytes, lease: LeaseId, place: Revision, value: Bytes) -> pb::TxnRequest {
    pb::TxnRequest {
        compare: vec![created_at(key.clone(), place)],
        success: vec![put(key, lease, value)],
        failure: Vec::new(),
    }
}

/// Deletes a contender's key if it is still the one created at `place`: never a later contender's.
pub fn leave(key: Bytes, place: Revision) -> pb::TxnRequest {
    let delete = pb::DeleteRangeRequest {
        key: key.clone(),
        ..Default::default()
    };
    pb::TxnRequest {
        compare: vec![created_at(key, place)],
        success: vec![op(request_op::Request::RequestDeleteRange(delete))],
        failure: Vec::new(),
    }
}

/// The oldest of all contenders' keys.
fn contenders(name: &[u8]) -> pb::RangeRequest {
    let start = prefix(name);
    // The prefix ends in a slash, so the end of its range is the byte after that.
    let end = [name, b"0"].concat();
    pb::RangeRequest {
        key: start,
        range_end: end.into(),
        limit: 1,
        sort_order: SortOrder::Ascend.into(),
        sort_target: SortTarget::Create.into(),
        ..Default::default()
    }
}

fn created_at(key: Bytes, revision: Revision) -> pb::Compare {
    pb::Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Create.into(),
        key,
        range_end: Bytes::new(),
        target_union: Some(TargetUnion::CreateRevision(revision.0)),
    }
}

fn put(key: Bytes, lease: LeaseId, value: Bytes) -> pb::RequestOp {
    op(request_op::Request::RequestPut(pb::PutRequest {
        key,
        value,
        lease: lease.0,
        ..Default::default()
    }))
}

fn range(request: pb::RangeRequest) -> pb::RequestOp {
    op(request_op::Request::RequestRange(request))
}

fn op(request: request_op::Request) -> pb::RequestOp {
    pb::RequestOp {
        request: Some(request),
    }
}

fn first_key(response: &pb::RangeResponse) -> Option<mvccpb::KeyValue> {
    mvccpb::KeyValue::decode(response.kvs.first()?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(key: &'static str, created: i64) -> pb::ResponseOp {
        let kv = mvccpb::KeyValue {
            key: key.into(),
            create_revision: created,
            ..Default::default()
        };
        let response = pb::RangeResponse {
            kvs: vec![kv.encode_to_vec().into()],
            ..Default::default()
        };
        pb::ResponseOp {
            response: Some(response_op::Response::ResponseRange(response)),
        }
    }

    fn answer(revision: i64, responses: Vec<pb::ResponseOp>) -> pb::TxnResponse {
        pb::TxnResponse {
            header: Some(pb::ResponseHeader {
                revision,
                ..Default::default()
            }),
            responses,
            ..Default::default()
        }
    }

    fn stored() -> pb::ResponseOp {
        pb::ResponseOp {
            response: Some(response_op::Response::ResponsePut(Default::default())),
        }
    }

    #[test]
    fn keys_are_named_as_go_clients_name_them() {
        assert_eq!(key(b"lock", LeaseId(0x694d81417acdbf2f)), "lock/694d81417acdbf2f");
        assert_eq!(key(b"lock", LeaseId(5)), "lock/5");
        assert_eq!(key(b"", LeaseId(-1)), "/ffffffffffffffff");
        let all = holder(b"a");
        assert_eq!((&all.key[..], &all.range_end[..]), (&b"a/"[..], &b"a0"[..]));
    }

    #[test]
    fn the_first_to_come_owns_the_lock() {
        let entered = entered(&answer(7, vec![stored(), found("l/1", 7)])).unwrap();
        assert_eq!((entered.place, entered.owner), (Revision(7), true));
    }

    #[test]
    fn who_comes_later_waits_for_the_newest_before_it() {
        let entered = entered(&answer(9, vec![stored(), found("l/1", 7)])).unwrap();
        assert!(!entered.owner);
        let wait_for = before(b"l", entered.place);
        assert_eq!((wait_for.max_create_revision, wait_for.limit), (8, 1));
        assert_eq!(wait_for.sort_order(), SortOrder::Descend);
    }

    #[test]
    fn the_same_lease_enters_the_same_place_again() {
        let entered = entered(&answer(12, vec![found("l/2", 9), found("l/1", 7)])).unwrap();
        assert_eq!(entered.place, Revision(9));
        assert_eq!(entered.existing.map(|kv| kv.key), Some("l/2".into()));
        assert!(!entered.owner);
    }

    #[test]
    fn other_answers_are_recognized() {
        assert_eq!(entered(&pb::TxnResponse::default()), None);
        assert_eq!(entered(&answer(1, vec![stored()])), None);
        assert_eq!(entered(&answer(1, vec![stored(), stored()])), None);
    }
}
