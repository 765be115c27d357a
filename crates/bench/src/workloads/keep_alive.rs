//! Renewing leases.

use crate::caller::Caller;
use crate::clock::{self, Nanos};
use crate::grpc;
use crate::grpc::method::{LEASE_GRANT, LEASE_KEEP_ALIVE};
use crate::http2::{Failure, Windows};
use crate::options::Options;
use crate::outcome::{Outcome, Phase};
use crate::server::Server;
use crate::stats::Tally;
use crate::wire::{At, Load, Wire};
use crate::{Error, Result};
use model::pb::etcdserverpb::{LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest};
use prost::Message;

/// Outlives every run.
const TTL: i64 = 3600;

/// Each client has a lease and a stream, and renews as soon as its last renewal is answered.
pub fn run(options: &Options) -> Result<Outcome> {
    let mut caller = Caller::connect(&options.endpoints[0])?;
    let mut renewals = Vec::new();
    for _ in 0..options.clients {
        let granted: LeaseGrantResponse = caller.call(LEASE_GRANT, &LeaseGrantRequest { ttl: TTL, id: 0 })?;
        renewals.push(LeaseKeepAliveRequest { id: granted.id }.encode_to_vec());
    }
    let server = Server::new(options);
    let mut wire = Wire::connect(&options.endpoints, options.conns, Windows::WIDE)?;
    let mut load = KeepAlive {
        sent: vec![0; renewals.len()],
        renewals,
        tally: Tally::default(),
        ends: clock::now() + clock::seconds(options.warmup),
        over: false,
        lost: None,
    };
    wire.run(&mut load, || false)?;

    // The streams stay open; the second run goes on with new ones.
    load.tally = Tally::default();
    load.over = false;
    let before = server.books();
    let start = clock::now();
    load.ends = start + clock::seconds(options.seconds);
    wire.run(&mut load, || false)?;
    let length = clock::now() - start;
    if let Some(failure) = load.lost {
        return Err(Error::Refused {
            path: LEASE_KEEP_ALIVE,
            failure,
        });
    }
    Ok(Outcome {
        phases: vec![Phase::new("run", length, load.tally).with_books(&before, &server.books())],
        ..Outcome::default()
    })
}

struct KeepAlive {
    renewals: Vec<Vec<u8>>,
    sent: Vec<Nanos>,
    tally: Tally,
    ends: Nanos,
    over: bool,
    lost: Option<Failure>,
}

impl Load for KeepAlive {
    fn start(&mut self, wire: &mut Wire, now: Nanos) {
        for (client, renewal) in self.renewals.iter().enumerate() {
            let connection = client % wire.connections();
            wire.call(connection, LEASE_KEEP_ALIVE, client as u64, renewal, false);
            self.sent[client] = now;
        }
    }

    fn message(&mut self, tag: u64, message: &[u8], now: Nanos) {
        // A lease that is gone is answered with TTL 0.
        if grpc::number(message, 3) > 0 {
            self.tally.latencies.record(now - self.sent[tag as usize]);
            self.tally.items += 1;
        } else {
            self.tally.errors += 1;
        }
    }

    fn proceed(
        &mut self,
        wire: &mut Wire,
        at: At,
        end: Option<std::result::Result<(), Failure>>,
        now: Nanos,
    ) {
        match end {
            Some(Err(failure)) => {
                self.over = true;
                self.lost.get_or_insert(failure);
            }
            Some(Ok(())) => self.over = true,
            None if self.over => wire.cancel(at),
            None => {
                self.sent[at.tag as usize] = now;
                wire.send(at, &self.renewals[at.tag as usize]);
            }
        }
    }

    fn due(&mut self, _: &mut Wire, now: Nanos) -> Option<Nanos> {
        self.over |= now >= self.ends;
        Some(self.ends)
    }

    fn finished(&self) -> bool {
        self.over
    }
}
