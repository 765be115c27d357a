//! Watchers of keys that are being written.

use super::watch::{self, News, Target};
use crate::clock::{self, Nanos};
use crate::grpc::method::PUT;
use crate::http2::{Failure, Windows};
use crate::keys::Keys;
use crate::options::Options;
use crate::outcome::{Outcome, Phase};
use crate::pace::Pace;
use crate::server::Server;
use crate::stats::Tally;
use crate::wire::{At, Load, Wire};
use crate::{Error, Result};
use model::pb::etcdserverpb::PutRequest;
use prost::Message;
use std::collections::HashMap;

/// In a closed loop, a put waits until all but so many earlier ones have reached every watcher: what is measured is what
/// the server delivers, and not how much it buffers.
const OUTSTANDING: u64 = 8;

/// Watchers to a prefix.
const PER_PREFIX: usize = 100;

/// How long watchers may take to come into being.
const PATIENCE: Nanos = 60 * clock::SECOND;

const WATCH_TAG: u64 = u64::MAX;

/// All watch one key.
pub fn run(options: &Options) -> Result<Outcome> {
    fan_out(options, Shape::OneKey)
}

/// A hundred to a prefix, which are written in turn.
pub fn prefixes(options: &Options) -> Result<Outcome> {
    fan_out(options, Shape::Prefixes)
}

/// One key, and as many watchers again on connections that nobody reads from.
pub fn slow(options: &Options) -> Result<Outcome> {
    fan_out(options, Shape::HalfSlow)
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    OneKey,
    Prefixes,
    HalfSlow,
}

fn fan_out(options: &Options, shape: Shape) -> Result<Outcome> {
    let server = Server::new(options);
    let mut wire = Wire::connect(&options.endpoints, options.conns.max(1), Windows::WIDE)?;
    let readers = wire.connections();
    let mut deaf = 0;
    if shape == Shape::HalfSlow {
        for endpoint in options.endpoints.iter().cycle().take(readers) {
            wire.add(endpoint, Windows::NARROW)?;
            deaf += 1;
        }
    }
    let writer = wire.add(&options.endpoints[0], Windows::WIDE)?;
    let mut load = FanOut {
        keys: Keys::new(options),
        shape,
        watchers: options.watchers,
        readers,
        deaf,
        writer,
        created: 0,
        stage: Stage::Opening {
            until: clock::now() + PATIENCE,
        },
        pace: Pace::Closed,
        rate: options.rate,
        warmup: clock::seconds(options.warmup),
        length: clock::seconds(options.seconds),
        written: 0,
        delivered: 0,
        under_way: HashMap::new(),
        events: Tally::default(),
        puts: Tally::default(),
        server,
        phases: Vec::new(),
        books: Default::default(),
        started: 0,
        lost: None,
    };
    wire.run(&mut load, || false)?;
    if let Some(reason) = load.lost {
        return Err(Error::Unmet(reason));
    }
    Ok(Outcome {
        phases: load.phases,
        ..Outcome::default()
    })
}

enum Stage {
    /// Waiting for the watchers.
    Opening {
        until: Nanos,
    },
    WarmUp {
        until: Nanos,
    },
    Measuring {
        until: Nanos,
    },
    Over,
}

struct FanOut {
    keys: Keys,
    shape: Shape,
    /// On connections that are read.
    watchers: usize,
    readers: usize,
    deaf: usize,
    writer: usize,
    created: usize,
    stage: Stage,
    pace: Pace,
    rate: Option<f64>,
    warmup: Nanos,
    length: Nanos,
    written: u64,
    delivered: u64,
    /// When the puts that are not answered were due.
    under_way: HashMap<u64, Nanos>,
    events: Tally,
    puts: Tally,
    server: Server,
    phases: Vec<Phase>,
    books: crate::server::Books,
    started: Nanos,
    lost: Option<String>,
}

impl FanOut {
    fn groups(&self) -> usize {
        match self.shape {
            Shape::Prefixes => self.watchers.div_ceil(PER_PREFIX),
            Shape::OneKey | Shape::HalfSlow => 1,
        }
    }

    fn target(&self, watcher: usize) -> Target {
        let group = watcher % self.groups();
        let (key, end) = match self.shape {
            Shape::Prefixes => (format!("watched/{group:06}/"), format!("watched/{group:06}0")),
            Shape::OneKey | Shape::HalfSlow => (format!("watched/{group:06}/key"), String::new()),
        };
        Target {
            key: key.into_bytes(),
            end: end.into_bytes(),
            start_revision: 0,
        }
    }

    /// Events that each put causes, on average over the groups.
    fn per_put(&self) -> u64 {
        (self.watchers / self.groups()).max(1) as u64
    }

    fn put(&mut self, wire: &mut Wire, due: Nanos) {
        let group = self.written as usize % self.groups();
        // The value begins with the time when the put was due, which is all that an event's latency needs.
        let mut value = due.to_le_bytes().to_vec();
        let filling = self.keys.value(self.written);
        value.extend_from_slice(filling.get(8..).unwrap_or_default());
        let request = PutRequest {
            key: format!("watched/{group:06}/key").into(),
            value: value.into(),
            ..PutRequest::default()
        };
        wire.call(self.writer, PUT, self.written, &request.encode_to_vec(), true);
        self.under_way.insert(self.written, due);
        self.written += 1;
    }

    fn write(&mut self, wire: &mut Wire, now: Nanos) -> Option<Nanos> {
        loop {
            let due = match &mut self.pace {
                Pace::Closed => (self.written * self.per_put()
                    < self.delivered + OUTSTANDING * self.per_put())
                .then_some(now),
                Pace::Open(schedule) => schedule.take(now),
            };
            match (due, &self.pace) {
                (Some(due), _) => self.put(wire, due),
                (None, Pace::Open(schedule)) => return Some(schedule.next()),
                (None, Pace::Closed) => return None,
            }
        }
    }
}

impl Load for FanOut {
    fn start(&mut self, wire: &mut Wire, _: Nanos) {
        for connection in 0..self.readers + self.deaf {
            let reader = connection % self.readers;
            let share = (reader..self.watchers).step_by(self.readers);
            let targets: Vec<_> = share.map(|watcher| self.target(watcher)).collect();
            watch::open(wire, connection, WATCH_TAG, targets.into_iter());
            if connection >= self.readers {
                wire.stop_reading(connection);
            }
        }
    }

    fn message(&mut self, tag: u64, message: &[u8], now: Nanos) {
        if tag != WATCH_TAG {
            return;
        }
        let events = &mut self.events;
        let news = watch::read(message, |value| {
            let sent = value
                .first_chunk()
                .map_or(now, |sent| Nanos::from_le_bytes(*sent));
            events.latencies.record(now.saturating_sub(sent));
        });
        match news {
            News::Created => self.created += 1,
            News::Events(count) => {
                self.delivered += count;
                events.items += count;
                events.bytes += message.len() as u64;
            }
            News::Canceled => self.lost = Some("the server canceled a watcher".into()),
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
            Some(Err(failure)) if at.tag == WATCH_TAG => self.lost = Some(failure.to_string()),
            Some(result) => {
                let due = self.under_way.remove(&at.tag).unwrap_or(now);
                match result {
                    Ok(()) => self.puts.latencies.record(now - due),
                    Err(failure) => self.puts.fail(failure),
                }
            }
            None if matches!(self.pace, Pace::Closed) && !matches!(self.stage, Stage::Opening { .. }) => {
                self.write(wire, now);
            }
            None => {}
        }
    }

    fn due(&mut self, wire: &mut Wire, now: Nanos) -> Option<Nanos> {
        match self.stage {
            Stage::Opening { until } if self.created < self.watchers => {
                if now > until {
                    self.lost = Some(format!(
                        "only {} of {} watchers came into being",
                        self.created, self.watchers
                    ));
                }
                return None;
            }
            Stage::Opening { .. } => {
                self.pace = Pace::new(self.rate, 0, 1, now);
                self.stage = Stage::WarmUp {
                    until: now + self.warmup,
                };
            }
            Stage::WarmUp { until } if now >= until => {
                self.events = Tally::default();
                self.puts = Tally::default();
                self.books = self.server.books();
                self.started = clock::now();
                self.stage = Stage::Measuring {
                    until: self.started + self.length,
                };
            }
            Stage::Measuring { until } if now >= until => {
                let length = clock::now() - self.started;
                let books = self.server.books();
                let phase = |name, tally| Phase::new(name, length, tally).with_books(&self.books, &books);
                let puts = Phase::new("puts", length, std::mem::take(&mut self.puts));
                self.phases = vec![phase("events", std::mem::take(&mut self.events)), puts];
                self.stage = Stage::Over;
            }
            _ => {}
        }
        self.write(wire, now)
    }

    fn finished(&self) -> bool {
        matches!(self.stage, Stage::Over) || self.lost.is_some()
    }
}
