//! A lock as etcd's clients build it: a key that lives as long as its owner's lease. Who holds it counts a number up,
//! and guards each step by the lock's creation revision; two holders at a time would lose a step.

use super::{Client, Outcome};
use crate::call::{Call, Done};
use bytes::Bytes;
use model::LeaseId;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use model::pb::etcdserverpb::request_op::Request as Op;
use model::pb::etcdserverpb::response_op::Response;

const LOCK: Bytes = Bytes::from_static(b"klock");
const COUNTER: Bytes = Bytes::from_static(b"kounter");

/// A client that takes the lock again and again.
pub async fn run(mut client: Client) {
    while !client.is_over() {
        let id = (client.rng.next() >> 16) as i64 | 1;
        let ttl = client.rng.within(1, 3) as i64;
        let grant = Call::Grant(pb::LeaseGrantRequest { ttl, id });
        if !matches!(client.call(grant).await, Outcome::Done(_)) {
            client.sleep(50, 500).await;
            continue;
        }
        if let Some(token) = take(&mut client, id).await {
            client.desk.lock().locks += 1;
            work(&mut client, token).await;
        }
        client.call(Call::Revoke(LeaseId(id))).await;
        client.sleep(10, 500).await;
    }
}

/// Tries to create the lock's key; its creation revision is the fencing token.
async fn take(client: &mut Client, lease: i64) -> Option<i64> {
    let value = client.fresh_value();
    let request = pb::TxnRequest {
        compare: vec![created(LOCK, 0)],
        success: vec![op(Op::RequestPut(pb::PutRequest {
            key: LOCK,
            value,
            lease,
            ..Default::default()
        }))],
        failure: Vec::new(),
    };
    match client.call(Call::Txn(request)).await {
        Outcome::Done(Done::Txn(response)) if response.succeeded => {
            Some(response.header.map_or(0, |header| header.revision))
        }
        _ => None,
    }
}

/// Counts up, each step as long as the lock is ours.
async fn work(client: &mut Client, token: i64) {
    for _ in 0..client.rng.within(1, 5) {
        let read = pb::TxnRequest {
            compare: vec![created(LOCK, token)],
            success: vec![op(Op::RequestRange(pb::RangeRequest {
                key: COUNTER,
                ..Default::default()
            }))],
            failure: Vec::new(),
        };
        let Outcome::Done(Done::Txn(response)) = client.call(Call::Txn(read)).await else {
            return;
        };
        if !response.succeeded {
            return;
        }
        let modified = match response.responses.first().and_then(|op| op.response.as_ref()) {
            Some(Response::ResponseRange(range)) => range
                .kvs
                .first()
                .and_then(|kv| mvcc::Kv::decode(kv.clone()).ok())
                .map_or(0, |kv| kv.modified),
            _ => 0,
        };
        client.sleep(0, 200).await;
        let value = client.fresh_value();
        let step = pb::TxnRequest {
            compare: vec![created(LOCK, token)],
            // Nobody else may have counted since: the guard alone has to see to that.
            success: vec![op(Op::RequestPut(pb::PutRequest {
                key: COUNTER,
                value,
                prev_kv: true,
                ..Default::default()
            }))],
            failure: Vec::new(),
        };
        let Outcome::Done(Done::Txn(response)) = client.call(Call::Txn(step)).await else {
            return;
        };
        if !response.succeeded {
            return;
        }
        let before = match response.responses.first().and_then(|op| op.response.as_ref()) {
            Some(Response::ResponsePut(put)) if !put.prev_kv.is_empty() => {
                mvcc::Kv::decode(put.prev_kv.clone()).map_or(0, |kv| kv.modified)
            }
            _ => 0,
        };
        if before != modified {
            let mut desk = client.desk.lock();
            let text = format!(
                "two holders of a lock: {} read the counter of {modified} under token {token}, and {before} was there when it wrote",
                client.name
            );
            desk.check(Err(text));
            return;
        }
    }
}

fn created(key: Bytes, revision: i64) -> pb::Compare {
    pb::Compare {
        result: CompareResult::Equal as i32,
        target: CompareTarget::Create as i32,
        key,
        range_end: Bytes::new(),
        target_union: Some(TargetUnion::CreateRevision(revision)),
    }
}

fn op(request: Op) -> pb::RequestOp {
    pb::RequestOp {
        request: Some(request),
    }
}
