//! One lock that everybody wants.

use crate::Result;
use crate::director::measure;
use crate::grpc::method::{LEASE_GRANT, LOCK, UNLOCK};
use crate::grpc::{self};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::unary::{Answer, Plan};
use bytes::Bytes;
use model::pb::etcdserverpb::LeaseGrantRequest;
use model::pb::v3lockpb::{LockRequest, UnlockRequest};
use prost::Message;
use std::collections::HashMap;

/// Outlives every run, so that nobody loses the lock by waiting.
const TTL: i64 = 3600;

pub fn run(options: &Options) -> Result<Outcome> {
    measure(options, &|_| Box::new(Contender::default()))
}

/// An operation is to take the lock and to release it; a client's first one gets it a lease too.
#[derive(Default)]
struct Contender {
    clients: HashMap<usize, Client>,
}

#[derive(Default)]
struct Client {
    lease: i64,
    /// The key that proves that the lock is held.
    held: Option<Bytes>,
}

impl Plan for Contender {
    fn request(&mut self, _: u64, client: usize, body: &mut Vec<u8>) -> &'static str {
        let state = self.clients.entry(client).or_default();
        // A vector grows as far as is needed.
        if state.lease == 0 {
            let _ = LeaseGrantRequest { ttl: TTL, id: 0 }.encode(body);
            return LEASE_GRANT;
        }
        match &state.held {
            None => {
                let request = LockRequest {
                    name: "contended".into(),
                    lease: state.lease,
                };
                let _ = request.encode(body);
                LOCK
            }
            Some(key) => {
                let _ = UnlockRequest { key: key.clone() }.encode(body);
                UNLOCK
            }
        }
    }

    fn answer(&mut self, _: u64, client: usize, message: &[u8]) -> Answer {
        let state = self.clients.entry(client).or_default();
        let released = state.held.take().is_some();
        if state.lease == 0 {
            state.lease = grpc::number(message, 2);
        } else if !released {
            state.held = grpc::bytes(message, 2).map(Bytes::copy_from_slice);
        }
        Answer {
            hash: 0,
            items: u64::from(released),
            more: !released,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::pb::etcdserverpb::LeaseGrantResponse;
    use model::pb::v3lockpb::{LockResponse, UnlockResponse};

    #[test]
    fn a_client_gets_a_lease_then_takes_then_releases() {
        let mut contender = Contender::default();
        let mut body = Vec::new();
        assert_eq!(contender.request(0, 3, &mut body), LEASE_GRANT);
        let granted = LeaseGrantResponse {
            id: 5,
            ..LeaseGrantResponse::default()
        };
        assert!(contender.answer(0, 3, &granted.encode_to_vec()).more);
        assert_eq!(contender.request(0, 3, &mut body), LOCK);
        let locked = LockResponse {
            key: "contended/5".into(),
            ..LockResponse::default()
        };
        assert!(contender.answer(0, 3, &locked.encode_to_vec()).more);
        assert_eq!(contender.request(0, 3, &mut body), UNLOCK);
        assert!(
            !contender
                .answer(0, 3, &UnlockResponse::default().encode_to_vec())
                .more
        );
        assert_eq!(contender.request(1, 3, &mut body), LOCK);
    }
}
