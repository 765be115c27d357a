//! Single puts.

use crate::Result;
use crate::caller::Caller;
use crate::director::measure;
use crate::grpc::method::{LEASE_GRANT, PUT};
use crate::keys::Keys;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::unary::{Answer, Plan};
use model::pb::etcdserverpb::{LeaseGrantRequest, LeaseGrantResponse, PutRequest};
use prost::Message;

/// Leases that puts share.
const LEASES: usize = 100;

/// They outlive every run.
const TTL: i64 = 24 * 3600;

pub fn run(options: &Options) -> Result<Outcome> {
    let mut leases = Vec::new();
    if options.lease {
        let mut caller = Caller::connect(&options.endpoints[0])?;
        for _ in 0..LEASES {
            let request = LeaseGrantRequest { ttl: TTL, id: 0 };
            let granted: LeaseGrantResponse = caller.call(LEASE_GRANT, &request)?;
            leases.push(granted.id);
        }
    }
    measure(options, &|_| Box::new(Put::new(options, leases.clone())))
}

/// Writes one key.
pub struct Put {
    keys: Keys,
    leases: Vec<i64>,
}

impl Put {
    /// The keys hang on these leases in turn, if there are any.
    pub fn new(options: &Options, leases: Vec<i64>) -> Put {
        Put {
            keys: Keys::new(options),
            leases,
        }
    }
}

impl Plan for Put {
    fn request(&mut self, number: u64, _: usize, body: &mut Vec<u8>) -> &'static str {
        let index = self.keys.choose(number);
        let lease = match self.leases.len() {
            0 => 0,
            count => self.leases[number as usize % count],
        };
        put(&self.keys, index, lease, body);
        PUT
    }

    fn answer(&mut self, _: u64, _: usize, _: &[u8]) -> Answer {
        Answer::one(0)
    }
}

/// Encodes a put of key `index`.
pub fn put(keys: &Keys, index: u64, lease: i64, body: &mut Vec<u8>) {
    let request = PutRequest {
        key: keys.key(index).into(),
        value: keys.value(index).to_vec().into(),
        lease,
        ..PutRequest::default()
    };
    // A vector grows as far as is needed.
    let _ = request.encode(body);
}
