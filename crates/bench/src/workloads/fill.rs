//! Writes keys quickly.

use super::background;
use crate::caller::Caller;
use crate::director::{Director, Job, measure};
use crate::grpc::method::{RANGE, TXN};
use crate::keys::{END, Keys};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::unary::{Answer, Plan};
use crate::{Error, Result};
use model::pb::etcdserverpb::request_op::Request;
use model::pb::etcdserverpb::{PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest};
use prost::Message;

const KEYS_PER_TXN: u64 = 100;

/// Writes all keys, whether they exist or not.
pub fn run(options: &Options) -> Result<Outcome> {
    let options = Options {
        total: Some(options.keys.div_ceil(per_txn(options))),
        ..options.clone()
    };
    measure(&options, &|_| Box::new(Fill::new(&options)))
}

fn per_txn(options: &Options) -> u64 {
    options.limit.unwrap_or(KEYS_PER_TXN).max(1)
}

/// Writes the keys that reads expect, unless they are there.
pub fn filled(options: &Options) -> Result<()> {
    if count(options)? == options.keys as i64 {
        return Ok(());
    }
    again(options)?;
    match count(options)? {
        count if count == options.keys as i64 => Ok(()),
        count => Err(Error::Unmet(format!(
            "{count} keys are there instead of {}: begin with an empty server or the same --keys and --key-size",
            options.keys
        ))),
    }
}

/// Writes all keys once more.
pub fn again(options: &Options) -> Result<()> {
    let options = Options {
        limit: None,
        ..options.clone()
    };
    let job = Job {
        connections: 4,
        clients: 16,
        rate: None,
        total: Some(options.keys.div_ceil(KEYS_PER_TXN)),
        plan: &|_| Box::new(Fill::new(&options)),
    };
    let mut director = Director::start(&options, &job)?;
    director.phase("fill", 0.0)?;
    background::refuse_errors(director.finish()?).map(drop)
}

fn count(options: &Options) -> Result<i64> {
    let request = RangeRequest {
        key: Keys::new(options).key(0).into(),
        range_end: END.into(),
        count_only: true,
        ..RangeRequest::default()
    };
    let response: RangeResponse = Caller::connect(&options.endpoints[0])?.call(RANGE, &request)?;
    Ok(response.count)
}

/// Operation `number` writes the keys from `number` times the size of a transaction on.
pub struct Fill {
    keys: Keys,
    per_txn: u64,
}

impl Fill {
    pub fn new(options: &Options) -> Fill {
        Fill {
            keys: Keys::new(options),
            per_txn: per_txn(options),
        }
    }
}

impl Plan for Fill {
    fn request(&mut self, number: u64, _: usize, body: &mut Vec<u8>) -> &'static str {
        let first = number * self.per_txn;
        let last = (first + self.per_txn).min(self.keys.count());
        let puts = (first..last).map(|index| RequestOp {
            request: Some(Request::RequestPut(PutRequest {
                key: self.keys.key(index).into(),
                value: self.keys.value(index).to_vec().into(),
                ..PutRequest::default()
            })),
        });
        let request = TxnRequest {
            success: puts.collect(),
            ..TxnRequest::default()
        };
        // A vector grows as far as is needed.
        let _ = request.encode(body);
        TXN
    }

    fn answer(&mut self, _: u64, _: usize, _: &[u8]) -> Answer {
        Answer {
            items: self.per_txn,
            ..Answer::one(0)
        }
    }
}
