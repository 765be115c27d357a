//! Transactions.

use crate::grpc::method::TXN;
use crate::grpc::{self, Field, fields};
use crate::keys::Keys;
use crate::options::Options;
use crate::unary::{Answer, Plan};
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use model::pb::etcdserverpb::request_op::Request;
use model::pb::etcdserverpb::{Compare, PutRequest, RangeRequest, RequestOp, TxnRequest};
use prost::Message;
use std::collections::HashMap;

/// Compare-and-swap: every client writes its own key, on the condition that nobody else did. So nearly all succeed,
/// which is what locks, leader elections and Kubernetes' updates look like.
pub struct Swap {
    keys: Keys,
    thread: usize,
    /// Revision of each client's key, where it is known.
    revisions: HashMap<usize, i64>,
}

impl Swap {
    pub fn new(options: &Options, thread: usize) -> Swap {
        Swap {
            keys: Keys::new(options),
            thread,
            revisions: HashMap::new(),
        }
    }
}

/// "If `key` was last written at `revision`, put `value`, else get it."
pub fn swap(key: Vec<u8>, revision: i64, value: &[u8], body: &mut Vec<u8>) {
    let compare = Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.clone().into(),
        target_union: Some(TargetUnion::ModRevision(revision)),
        ..Compare::default()
    };
    let put = PutRequest {
        key: key.clone().into(),
        value: value.to_vec().into(),
        ..PutRequest::default()
    };
    let get = RangeRequest {
        key: key.into(),
        ..RangeRequest::default()
    };
    let request = TxnRequest {
        compare: vec![compare],
        success: vec![RequestOp {
            request: Some(Request::RequestPut(put)),
        }],
        failure: vec![RequestOp {
            request: Some(Request::RequestRange(get)),
        }],
    };
    // A vector grows as far as is needed.
    let _ = request.encode(body);
}

/// Whether a [`swap`] succeeded, and the revision of its key now.
pub fn swapped(message: &[u8]) -> (bool, i64) {
    if grpc::number(message, 2) == 1 {
        return (true, grpc::revision(message));
    }
    // responses -> response_range -> kvs -> mod_revision.
    let found = grpc::bytes(message, 3)
        .and_then(|response| grpc::bytes(response, 1))
        .and_then(|range| grpc::bytes(range, 2));
    (false, found.map_or(0, |key_value| grpc::number(key_value, 3)))
}

impl Plan for Swap {
    fn request(&mut self, number: u64, client: usize, body: &mut Vec<u8>) -> &'static str {
        let key = format!("swap/{:04}/{client:08}", self.thread).into_bytes();
        let revision = self.revisions.get(&client).copied().unwrap_or_default();
        swap(key, revision, self.keys.value(number), body);
        TXN
    }

    fn answer(&mut self, _: u64, client: usize, message: &[u8]) -> Answer {
        let (succeeded, revision) = swapped(message);
        self.revisions.insert(client, revision);
        Answer {
            items: u64::from(succeeded),
            // Only a client's first attempt, on a key that an earlier run left, is repeated.
            more: !succeeded,
            hash: 0,
        }
    }
}

/// Many operations in one transaction: gets of some keys, puts of others.
pub struct Many {
    keys: Keys,
    operations: u64,
}

impl Many {
    pub fn new(options: &Options) -> Many {
        Many {
            keys: Keys::new(options),
            operations: options.limit.unwrap_or(100).min(options.keys),
        }
    }
}

impl Plan for Many {
    fn request(&mut self, number: u64, _: usize, body: &mut Vec<u8>) -> &'static str {
        let first = self.keys.choose(number);
        let operations = (0..self.operations).map(|at| {
            let index = (first + at) % self.keys.count();
            let key = self.keys.key(index).into();
            let request = match at % 2 {
                0 => Request::RequestRange(RangeRequest {
                    key,
                    ..RangeRequest::default()
                }),
                _ => Request::RequestPut(PutRequest {
                    key,
                    value: self.keys.value(index).to_vec().into(),
                    ..PutRequest::default()
                }),
            };
            RequestOp {
                request: Some(request),
            }
        });
        let request = TxnRequest {
            success: operations.collect(),
            ..TxnRequest::default()
        };
        // A vector grows as far as is needed.
        let _ = request.encode(body);
        TXN
    }

    fn answer(&mut self, _: u64, _: usize, message: &[u8]) -> Answer {
        let responses = fields(message).filter(|field| matches!(field, Field::Bytes(3, _)));
        let items = responses.count() as u64;
        Answer {
            hash: items,
            items,
            more: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::pb::etcdserverpb::response_op::Response;
    use model::pb::etcdserverpb::{RangeResponse, ResponseHeader, ResponseOp, TxnResponse};
    use model::pb::mvccpb::KeyValue;

    #[test]
    fn a_client_takes_its_next_condition_from_the_answer() {
        let header = Some(ResponseHeader {
            revision: 40,
            ..ResponseHeader::default()
        });
        let won = TxnResponse {
            header,
            succeeded: true,
            responses: Vec::new(),
        };
        assert_eq!(swapped(&won.encode_to_vec()), (true, 40));

        let key_value = KeyValue {
            key: "k".into(),
            mod_revision: 7,
            ..KeyValue::default()
        };
        let lost = TxnResponse {
            header,
            succeeded: false,
            responses: vec![ResponseOp {
                response: Some(Response::ResponseRange(RangeResponse {
                    kvs: vec![key_value.encode_to_vec().into()],
                    ..RangeResponse::default()
                })),
            }],
        };
        assert_eq!(swapped(&lost.encode_to_vec()), (false, 7));
    }
}
