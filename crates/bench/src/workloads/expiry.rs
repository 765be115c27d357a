//! Many leases that run out together.

use super::background;
use crate::caller::Caller;
use crate::clock::{self, SECOND};
use crate::director::{Director, Job};
use crate::grpc::method::{LEASE_GRANT, PUT, RANGE};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::unary::{Answer, Plan};
use crate::{Error, Result};
use model::pb::etcdserverpb::{LeaseGrantRequest, PutRequest, RangeRequest, RangeResponse};
use prost::Message;
use std::collections::HashSet;

/// How often it is looked whether keys are left.
const LOOK: u64 = SECOND / 20;

/// When waiting for the end has no sense any more, after the last lease should have gone.
const PATIENCE: u64 = 300 * SECOND;

/// Grants the leases with a key each, and measures puts while they live, and from the moment when the first runs out to
/// the one when all keys are gone.
pub fn run(options: &Options) -> Result<Outcome> {
    let job = Job {
        connections: 8,
        clients: 256,
        rate: None,
        total: Some(options.leases),
        plan: &|_| {
            Box::new(Attach {
                ttl: options.ttl,
                granted: HashSet::new(),
            })
        },
    };
    let start = clock::now();
    let mut grants = Director::start(options, &job)?;
    grants.phase("grant and put", 0.0)?;
    let granted = clock::now();
    let mut outcome = background::refuse_errors(grants.finish()?)?;
    outcome.hash = None;

    let ttl = clock::seconds(options.ttl as f64);
    if granted - start >= ttl {
        return Err(Error::Unmet(format!(
            "granting took {} s, longer than --ttl: the first leases are gone before the last",
            (granted - start) / SECOND
        )));
    }
    let mut puts = background::puts(options)?;
    puts.during("quiet", |puts| {
        puts.wait("leases live", Some(start + ttl - granted))
    })?;
    let mut caller = Caller::connect(&options.endpoints[0])?;
    let gone = puts.during("expiry", |puts| {
        loop {
            let now = clock::now();
            if count(&mut caller)? == 0 {
                return Ok(now);
            }
            if now > granted + ttl + PATIENCE {
                return Err(Error::Unmet(
                    "leases are left five minutes after the last should have gone".into(),
                ));
            }
            puts.wait("leases run out", Some(LOOK))?;
        }
    })?;
    outcome.phases.extend(puts.finish()?.phases);
    let seconds = |nanos: u64| nanos as f64 / SECOND as f64;
    let late = "seconds until all were gone after the last was due";
    outcome
        .figures
        .insert(late.into(), seconds(gone.saturating_sub(granted + ttl)));
    outcome
        .figures
        .insert("seconds of granting".into(), seconds(granted - start));
    Ok(outcome)
}

fn count(caller: &mut Caller) -> Result<i64> {
    let request = RangeRequest {
        key: "leased/".into(),
        range_end: "leased0".into(),
        count_only: true,
        ..RangeRequest::default()
    };
    Ok(caller.call::<RangeResponse>(RANGE, &request)?.count)
}

/// Grants lease `number`, then puts a key on it.
struct Attach {
    ttl: i64,
    /// Clients whose lease is granted and whose key is not put yet.
    granted: HashSet<usize>,
}

/// Far from what servers choose themselves.
fn id(number: u64) -> i64 {
    0x1ea5_0000_0000 + number as i64
}

impl Plan for Attach {
    fn request(&mut self, number: u64, client: usize, body: &mut Vec<u8>) -> &'static str {
        // A vector grows as far as is needed.
        if self.granted.contains(&client) {
            let request = PutRequest {
                key: format!("leased/{number:09}").into(),
                value: "leased".into(),
                lease: id(number),
                ..PutRequest::default()
            };
            let _ = request.encode(body);
            return PUT;
        }
        let request = LeaseGrantRequest {
            ttl: self.ttl,
            id: id(number),
        };
        let _ = request.encode(body);
        LEASE_GRANT
    }

    fn answer(&mut self, _: u64, client: usize, _: &[u8]) -> Answer {
        let put = self.granted.remove(&client);
        if !put {
            self.granted.insert(client);
        }
        Answer {
            hash: 0,
            items: u64::from(put),
            more: !put,
        }
    }
}
