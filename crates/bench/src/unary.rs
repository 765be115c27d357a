//! Many clients that each send one request after another: the load of most workloads.

use crate::clock::Nanos;
use crate::http2::Failure;
use crate::pace::Pace;
use crate::stage::Stage;
use crate::stats::{Digest, Tally};
use crate::wire::{At, Load, Wire};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What the clients of one thread ask. Operation `number` of a run is the same in every run with the same seed, whatever
/// the server answers and whichever client sends it; what a plan keeps per client may differ.
pub trait Plan: Send {
    /// Writes the next request of an operation into `body`; returns its method.
    fn request(&mut self, number: u64, client: usize, body: &mut Vec<u8>) -> &'static str;
    /// Reads the answer to it.
    fn answer(&mut self, number: u64, client: usize, message: &[u8]) -> Answer;
}

/// What an answer means.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Of what must be the same on every server.
    pub hash: u64,
    /// Things it held: keys, leases.
    pub items: u64,
    /// Whether the operation needs another request, which this client sends at once.
    pub more: bool,
}

impl Answer {
    /// One thing, the operation is over.
    pub fn one(hash: u64) -> Answer {
        Answer {
            hash,
            items: 1,
            more: false,
        }
    }
}

/// A client: what it does at present.
struct Client {
    number: u64,
    due: Nanos,
    hash: u64,
    more: bool,
}

/// The clients of one thread.
pub struct Unary {
    plan: Box<dyn Plan>,
    pace: Pace,
    clients: Vec<Client>,
    idle: Vec<usize>,
    /// Number of the next operation, and the step to the one after it.
    next: u64,
    step: u64,
    /// How many operations this thread may begin; `None` for as many as the time allows.
    left: Option<u64>,
    under_way: usize,
    body: Vec<u8>,
    stage: Arc<Stage>,
    seen: Seen,
}

/// What a thread has to report.
#[derive(Default)]
pub struct Seen {
    /// By phase.
    pub tallies: Vec<Tally>,
    /// Over all phases.
    pub digest: Digest,
}

impl Unary {
    /// `clients` of thread `thread` of `threads`; `total` operations over all threads, if bounded.
    pub fn new(
        plan: Box<dyn Plan>,
        pace: Pace,
        clients: usize,
        (thread, threads): (usize, usize),
        total: Option<u64>,
        stage: Arc<Stage>,
    ) -> Unary {
        let (thread, threads) = (thread as u64, threads as u64);
        let client = |_| Client {
            number: 0,
            due: 0,
            hash: 0,
            more: false,
        };
        Unary {
            plan,
            pace,
            clients: (0..clients).map(client).collect(),
            idle: (0..clients).rev().collect(),
            next: thread,
            step: threads,
            left: total.map(|total| (total + threads - 1 - thread) / threads),
            under_way: 0,
            body: Vec::new(),
            stage,
            seen: Seen::default(),
        }
    }

    /// What was seen.
    pub fn seen(self) -> Seen {
        self.seen
    }

    fn begin(&mut self, wire: &mut Wire, client: usize, due: Nanos) {
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        let state = &mut self.clients[client];
        state.number = self.next;
        state.due = due;
        state.hash = 0;
        self.next += self.step;
        self.under_way += 1;
        self.request(wire, client);
    }

    fn request(&mut self, wire: &mut Wire, client: usize) {
        self.body.clear();
        let state = &mut self.clients[client];
        state.more = false;
        let path = self.plan.request(state.number, client, &mut self.body);
        wire.call(client % wire.connections(), path, client as u64, &self.body, true);
    }

    fn may_begin(&self) -> bool {
        self.left != Some(0) && !self.stage.is_over()
    }

    /// Counted where the operation ends.
    fn tally(&mut self) -> &mut Tally {
        let phase = self.stage.phase();
        if self.seen.tallies.len() <= phase {
            self.seen.tallies.resize(phase + 1, Tally::default());
        }
        &mut self.seen.tallies[phase]
    }
}

impl Load for Unary {
    fn start(&mut self, wire: &mut Wire, now: Nanos) {
        if matches!(self.pace, Pace::Closed) {
            while self.may_begin()
                && let Some(client) = self.idle.pop()
            {
                self.begin(wire, client, now);
            }
        }
    }

    fn message(&mut self, tag: u64, message: &[u8], _: Nanos) {
        let client = tag as usize;
        let state = &mut self.clients[client];
        let answer = self.plan.answer(state.number, client, message);
        // A sum: servers may cut the same answer into different messages.
        state.hash = state.hash.wrapping_add(answer.hash);
        state.more = answer.more;
        let tally = self.tally();
        tally.items += answer.items;
        tally.bytes += message.len() as u64;
    }

    fn proceed(&mut self, wire: &mut Wire, at: At, end: Option<Result<(), Failure>>, now: Nanos) {
        let Some(result) = end else { return };
        let client = at.tag as usize;
        if result.is_ok() && self.clients[client].more {
            return self.request(wire, client);
        }
        self.under_way -= 1;
        let Client {
            due, number, hash, ..
        } = self.clients[client];
        let tally = self.tally();
        match result {
            Ok(()) => {
                tally.latencies.record(now.saturating_sub(due));
                if Digest::covers(number) {
                    self.seen.digest.add(number, hash);
                }
            }
            Err(failure) => tally.fail(failure),
        }
        self.stage.completed.fetch_add(1, Relaxed);
        let next = match &mut self.pace {
            Pace::Closed => Some(now),
            Pace::Open(schedule) => schedule.take(now),
        };
        match next {
            Some(due) if self.may_begin() => self.begin(wire, client, due),
            _ => self.idle.push(client),
        }
    }

    fn due(&mut self, wire: &mut Wire, now: Nanos) -> Option<Nanos> {
        while self.may_begin()
            && let Some(&client) = self.idle.last()
            && let Pace::Open(schedule) = &mut self.pace
        {
            let Some(due) = schedule.take(now) else {
                return Some(schedule.next());
            };
            self.idle.pop();
            self.begin(wire, client, due);
        }
        None
    }

    fn finished(&self) -> bool {
        self.under_way == 0 && (self.left == Some(0) || self.stage.is_over())
    }
}
