//! Granting leases.

use crate::grpc;
use crate::grpc::method::LEASE_GRANT;
use crate::options::Options;
use crate::unary::{Answer, Plan};
use model::pb::etcdserverpb::LeaseGrantRequest;
use prost::Message;

/// Grants leases of `--ttl`.
pub struct Grant {
    ttl: i64,
}

impl Grant {
    pub fn new(options: &Options) -> Grant {
        Grant { ttl: options.ttl }
    }
}

impl Plan for Grant {
    fn request(&mut self, _: u64, _: usize, body: &mut Vec<u8>) -> &'static str {
        let request = LeaseGrantRequest { ttl: self.ttl, id: 0 };
        // A vector grows as far as is needed.
        let _ = request.encode(body);
        LEASE_GRANT
    }

    fn answer(&mut self, _: u64, _: usize, message: &[u8]) -> Answer {
        Answer::one(grpc::number(message, 3) as u64)
    }
}
