//! What a write is charged against the space quota: etcd's estimates, so that the same write is the one refused.

use model::Request;
use model::pb::etcdserverpb::request_op::Request as Op;
use model::pb::etcdserverpb::{PutRequest, RequestOp, TxnRequest};

/// Bytes a key costs beside its own and its value's.
const KEY_OVERHEAD: u64 = 256;
/// Bytes a lease costs.
const LEASE_OVERHEAD: u64 = 64;

/// Bytes charged for a request; 0 for one that the quota does not concern, such as a delete.
pub fn cost(request: &Request) -> u64 {
    match request {
        Request::Put(request) => put(request),
        Request::Txn(request) => txn(request),
        Request::LeaseGrant(_) => LEASE_OVERHEAD,
        _ => 0,
    }
}

/// Bytes charged for the more expensive branch of a transaction.
pub fn txn(request: &TxnRequest) -> u64 {
    let branch = |ops: &[RequestOp]| ops.iter().map(op).sum::<u64>();
    branch(&request.success).max(branch(&request.failure))
}

fn put(request: &PutRequest) -> u64 {
    KEY_OVERHEAD + (request.key.len() + request.value.len()) as u64
}

fn op(op: &RequestOp) -> u64 {
    match &op.request {
        Some(Op::RequestPut(request)) => put(request),
        Some(Op::RequestTxn(request)) => txn(request),
        _ => 0,
    }
}
