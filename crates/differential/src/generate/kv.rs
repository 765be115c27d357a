//! Keys and values.

use super::dice::Dice;
use crate::step::{NOW, Step};
use bytes::Bytes;
use model::pb::etcdserverpb::compare::TargetUnion;
use model::pb::etcdserverpb::request_op::Request;
use model::pb::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, HashKvRequest, PutRequest, RangeRequest, RequestOp,
    TxnRequest,
};

/// Transactions within transactions.
const DEPTH_MAX: u32 = 3;

pub(super) fn range(dice: &mut Dice) -> Vec<Step> {
    let streamed = dice.one_in(8);
    let count = dice.below(12);
    let one = |_| {
        let mut request = range_request(dice);
        if !streamed {
            return Step::new("KV/Range", &request);
        }
        if !request.range_end.is_empty() {
            // etcd sorts the keys of each piece, and begins the next behind the last of them: nobody can want that.
            request.sort_target = 0;
        }
        Step::new("KV/RangeStream", &request)
    };
    (0..=count).map(one).collect()
}

fn range_request(dice: &mut Dice) -> RangeRequest {
    let (key, range_end) = dice.range();
    let mut request = RangeRequest {
        key,
        range_end,
        serializable: dice.one_in(3),
        keys_only: dice.one_in(6),
        count_only: dice.one_in(8),
        ..RangeRequest::default()
    };
    if dice.one_in(3) {
        request.limit = dice.pick(&[1, 1, 2, 3, 5, 100, 0, -1, i64::MAX, i64::MIN]);
    }
    if dice.one_in(3) {
        request.revision = dice.revision();
    }
    if dice.one_in(3) {
        request.sort_order = dice.variant(3);
        request.sort_target = dice.variant(5);
    }
    for bound in [
        &mut request.min_mod_revision,
        &mut request.max_mod_revision,
        &mut request.min_create_revision,
        &mut request.max_create_revision,
    ] {
        if dice.one_in(10) {
            *bound = dice.revision();
        }
    }
    request
}

pub(super) fn put(dice: &mut Dice) -> Vec<Step> {
    let mut request = put_request(dice);
    if dice.one_in(3000) {
        // Over what a request, or a message, may have.
        let size = dice.pick(&[1_572_864 - 512, 1_600_000, 2_200_000]);
        request.value = vec![b'v'; size].into();
    }
    vec![Step::new("KV/Put", &request)]
}

fn put_request(dice: &mut Dice) -> PutRequest {
    let mut request = PutRequest {
        key: dice.key(),
        value: dice.value(),
        prev_kv: dice.one_in(3),
        ignore_value: dice.one_in(12),
        ignore_lease: dice.one_in(12),
        ..PutRequest::default()
    };
    if request.ignore_value && !dice.one_in(10) {
        request.value = Bytes::new();
    }
    if dice.one_in(4) && (!request.ignore_lease || dice.one_in(10)) {
        request.lease = dice.lease();
    }
    request
}

pub(super) fn delete(dice: &mut Dice) -> Vec<Step> {
    vec![Step::new("KV/DeleteRange", &delete_request(dice))]
}

fn delete_request(dice: &mut Dice) -> DeleteRangeRequest {
    let (key, range_end) = dice.range();
    // Whole stores seldom go, or there would be nothing to read.
    let single = range_end.as_ref() == b"\0" && !dice.one_in(8);
    DeleteRangeRequest {
        key,
        range_end: if single { Bytes::new() } else { range_end },
        prev_kv: dice.one_in(3),
    }
}

pub(super) fn txn(dice: &mut Dice) -> Vec<Step> {
    let request = match dice.below(200) {
        0 => crowded(dice),
        _ => txn_request(dice, 0),
    };
    vec![Step::new("KV/Txn", &request)]
}

fn txn_request(dice: &mut Dice, depth: u32) -> TxnRequest {
    let compares = dice.pick(&[0, 1, 1, 2, 3]);
    let compare = (0..compares).map(|_| compare(dice)).collect();
    let mut branch = || {
        let count = dice.pick(&[0, 1, 1, 2, 3, 5]);
        (0..count).map(|_| operation(dice, depth)).collect()
    };
    let (success, failure) = (branch(), branch());
    TxnRequest {
        compare,
        success,
        failure,
    }
}

/// About as many operations as a transaction may have.
fn crowded(dice: &mut Dice) -> TxnRequest {
    let count = 127 + dice.below(3);
    let put = |n: i64| RequestOp {
        request: Some(Request::RequestPut(PutRequest {
            key: format!("many/{n}").into(),
            ..PutRequest::default()
        })),
    };
    TxnRequest {
        success: (0..count).map(put).collect(),
        ..TxnRequest::default()
    }
}

fn operation(dice: &mut Dice, depth: u32) -> RequestOp {
    let request = match dice.below(24) {
        0 => None,
        1..=7 => Some(Request::RequestRange(range_request(dice))),
        8..=15 => Some(Request::RequestPut(put_request(dice))),
        16..=20 => Some(Request::RequestDeleteRange(delete_request(dice))),
        _ if depth < DEPTH_MAX => Some(Request::RequestTxn(txn_request(dice, depth + 1))),
        _ => None,
    };
    // Absent requests are refused: seldom is enough.
    if request.is_none() && !dice.one_in(8) {
        return RequestOp {
            request: Some(Request::RequestPut(put_request(dice))),
        };
    }
    RequestOp { request }
}

fn compare(dice: &mut Dice) -> Compare {
    let (key, range_end) = dice.range();
    let target = dice.variant(5);
    // Seldom not the number that the target names.
    let given = if dice.one_in(30) {
        dice.below(6)
    } else {
        i64::from(target)
    };
    let target_union = match given {
        0 => Some(TargetUnion::Version(dice.below(6) - 1)),
        1 => Some(TargetUnion::CreateRevision(dice.revision())),
        2 => Some(TargetUnion::ModRevision(dice.revision())),
        3 => Some(TargetUnion::Value(dice.value())),
        4 => Some(TargetUnion::Lease(if dice.one_in(2) { 0 } else { dice.lease() })),
        _ => None,
    };
    Compare {
        result: dice.variant(4),
        target,
        key,
        range_end,
        target_union,
    }
}

pub(super) fn compact(dice: &mut Dice) -> Vec<Step> {
    let request = CompactionRequest {
        revision: dice.revision(),
        // etcd's HashKV says one thing before the files are compacted and another after: they must be when it is asked.
        physical: true,
    };
    vec![Step::new("KV/Compact", &request)]
}

pub(super) fn hash(dice: &mut Dice) -> Vec<Step> {
    let revision = if dice.one_in(3) { 0 } else { dice.revision() };
    vec![Step::new("Maintenance/HashKV", &HashKvRequest { revision })]
}

/// The hash of all that is left of the history.
pub(super) fn hash_now() -> Vec<Step> {
    let hashes = [0, NOW, NOW - 1, NOW - 10];
    let hashes = hashes.map(|revision| Step::new("Maintenance/HashKV", &HashKvRequest { revision }));
    hashes.to_vec()
}

/// Every key.
pub(super) fn everything() -> Vec<Step> {
    let request = RangeRequest {
        key: Bytes::from_static(b"\0"),
        range_end: Bytes::from_static(b"\0"),
        ..RangeRequest::default()
    };
    vec![Step::new("KV/Range", &request)]
}
