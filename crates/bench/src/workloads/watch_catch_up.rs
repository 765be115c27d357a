//! Watchers that begin in the past.

use super::watch::{self, News, Target};
use crate::caller::Caller;
use crate::clock::{self, Nanos};
use crate::director::{Director, Job};
use crate::grpc::method::RANGE;
use crate::http2::{Failure, Windows};
use crate::keys::END;
use crate::options::Options;
use crate::outcome::{Outcome, Phase};
use crate::server::Server;
use crate::stats::Tally;
use crate::wire::{At, Load, Wire};
use crate::workloads::background::refuse_errors;
use crate::workloads::put::Put;
use crate::{Error, Result};
use model::pb::etcdserverpb::{RangeRequest, RangeResponse};

/// Nothing came for so long: nothing will.
const PATIENCE: Nanos = 60 * clock::SECOND;

/// Writes `--events` events, then lets `--watchers` watchers of all keys catch up with them.
pub fn run(options: &Options) -> Result<Outcome> {
    let mut caller = Caller::connect(&options.endpoints[0])?;
    let request = RangeRequest {
        key: END.into(),
        ..RangeRequest::default()
    };
    let now: RangeResponse = caller.call(RANGE, &request)?;
    let start_revision = now.header.unwrap_or_default().revision + 1;
    let job = Job {
        connections: 8,
        clients: 256,
        rate: None,
        total: Some(options.events),
        plan: &|_| Box::new(Put::new(options, Vec::new())),
    };
    let mut puts = Director::start(options, &job)?;
    puts.phase("write events", 0.0)?;
    let mut outcome = refuse_errors(puts.finish()?)?;

    let server = Server::new(options);
    let mut wire = Wire::connect(&options.endpoints, options.conns, Windows::WIDE)?;
    let mut load = CatchUp {
        watchers: options.watchers,
        start_revision,
        missing: options.events * options.watchers as u64,
        started: 0,
        news: 0,
        tally: Tally::default(),
        lost: None,
    };
    let before = server.books();
    let start = clock::now();
    wire.run(&mut load, || false)?;
    let length = clock::now() - start;
    if let Some(failure) = load.lost {
        return Err(Error::Unmet(format!(
            "a watch ended with {} events missing: {failure}",
            load.missing
        )));
    }
    let mut phase = Phase::new("catch up", length, load.tally).with_books(&before, &server.books());
    phase.rate = phase.items_rate;
    outcome.phases.push(phase);
    outcome.hash = None;
    Ok(outcome)
}

struct CatchUp {
    watchers: usize,
    start_revision: i64,
    missing: u64,
    started: Nanos,
    /// When something came last.
    news: Nanos,
    tally: Tally,
    lost: Option<Failure>,
}

impl Load for CatchUp {
    fn start(&mut self, wire: &mut Wire, now: Nanos) {
        self.started = now;
        self.news = now;
        let connections = wire.connections();
        for connection in 0..connections {
            let share = (connection..self.watchers).step_by(connections).count();
            let target = Target {
                key: b"b/".to_vec(),
                end: END.to_vec(),
                start_revision: self.start_revision,
            };
            watch::open(wire, connection, 0, std::iter::repeat_n(target, share));
        }
    }

    fn message(&mut self, _: u64, message: &[u8], now: Nanos) {
        self.news = now;
        let late = now - self.started;
        let tally = &mut self.tally;
        let news = watch::read(message, |_| tally.latencies.record(late));
        match news {
            News::Events(events) => {
                self.missing = self.missing.saturating_sub(events);
                tally.items += events;
                tally.bytes += message.len() as u64;
            }
            News::Canceled => {
                let failure = Failure {
                    code: 1,
                    message: "the server canceled a watcher".into(),
                };
                self.lost.get_or_insert(failure);
            }
            News::Created => {}
        }
    }

    fn proceed(&mut self, _: &mut Wire, _: At, end: Option<std::result::Result<(), Failure>>, _: Nanos) {
        if let Some(end) = end {
            let over = Failure {
                code: 0,
                message: "the server ended the stream".into(),
            };
            self.lost.get_or_insert(end.err().unwrap_or(over));
        }
    }

    fn due(&mut self, _: &mut Wire, now: Nanos) -> Option<Nanos> {
        if now > self.news + PATIENCE {
            let failure = Failure {
                code: 4,
                message: "no events for a minute".into(),
            };
            self.lost.get_or_insert(failure);
        }
        None
    }

    fn finished(&self) -> bool {
        self.missing == 0 || self.lost.is_some()
    }
}
