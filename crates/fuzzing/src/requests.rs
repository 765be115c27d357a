//! Requests as they come off the wire, through the checks that come before a proposal; and entries of the log.

use apply::validate;
use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use prost::Message;
use std::fmt::Debug;

/// The first byte says which message.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((kind, body)) = data.split_first() else {
        return false;
    };
    let body = Bytes::copy_from_slice(body);
    match kind % 16 {
        0 => check::<pb::RangeRequest>(body, |request| {
            validate::range(request).is_ok() | validate::range_stream(request).is_ok()
        }),
        1 => check::<pb::PutRequest>(body, |request| validate::put(request).is_ok()),
        2 => check::<pb::DeleteRangeRequest>(body, |request| validate::delete_range(request).is_ok()),
        3 => check::<pb::TxnRequest>(body, |request| {
            validate::txn(request, validate::TXN_OPS_MAX).is_ok()
        }),
        4 => check::<pb::WatchRequest>(body, |_| true),
        5 => check::<pb::LeaseGrantRequest>(body, |_| true),
        6 => check::<pb::AuthRoleGrantPermissionRequest>(body, |_| true),
        7 => check::<pb::AuthUserAddRequest>(body, |_| true),
        8 => check::<pb::MemberAddRequest>(body, |request| {
            membership::Member::new("", &request.peer_urls, "", Some(1), request.is_learner).is_ok()
        }),
        9 => check::<pb::AlarmRequest>(body, |_| true),
        10 => check::<pb::CompactionRequest>(body, |_| true),
        11 => check::<pb::DowngradeRequest>(body, |request| {
            request.version.parse::<membership::Version>().is_ok()
        }),
        _ => entry(body),
    }
}

/// What is let in can be proposed, and means the same to who reads it.
fn check<M: Message + Default + PartialEq + Debug>(body: Bytes, look: impl FnOnce(&M) -> bool) -> bool {
    let Ok(request) = M::decode(body) else {
        return false;
    };
    let sound = look(&request);
    let again = M::decode(&request.encode_to_vec()[..]).expect("what was encoded is decoded");
    assert!(again == request, "{request:?} becomes {again:?}");
    sound
}

fn entry(body: Bytes) -> bool {
    let Ok(command) = model::Command::decode(body) else {
        return false;
    };
    let again = model::Command::decode(command.encode()).expect("what was encoded is decoded");
    assert_eq!(again.encode(), command.encode());
    let _ = apply::quota::cost(&command.request);
    true
}
