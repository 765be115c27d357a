//! A peer that says anything. Nothing it says may stop a member: no panic, no contradiction, no memory without bound.

use bytes::Bytes;
use raft_engine::consensus::{
    AppliedChange, Core, CoreOptions, Event, HardState, Output, Remembered, first_entries,
};
use raft_engine::{Applied, Change, Configuration, PeerMessage, Role, Verdict};
use wal::Entry;

use crate::cluster::options;
use crate::simulation::Chance;

/// One member among liars.
struct Victim {
    core: Core,
    configuration: Configuration,
    applied: u64,
    writes: Vec<u64>,
    work: Vec<Vec<Entry>>,
    installing: bool,
}

impl Victim {
    fn new(seed: u64) -> Self {
        let members: Vec<(u64, Bytes)> = (1..=3).map(|id| (id, Bytes::new())).collect();
        let (entries, hard_state) = first_entries(&members);
        let remembered = Remembered {
            entries,
            hard_state,
            ..Remembered::default()
        };
        let core = Core::new(
            CoreOptions {
                id: 1,
                seed,
                ..options()
            },
            remembered,
        )
        .unwrap();
        let mut victim = Self {
            core,
            configuration: Configuration::default(),
            applied: 0,
            writes: Vec::new(),
            work: Vec::new(),
            installing: false,
        };
        victim.poll();
        victim.catch_up();
        victim
    }

    fn event(&mut self, event: Event) {
        self.core.handle(event).unwrap();
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(output) = self.core.poll() {
            let Output {
                write,
                committed,
                install,
                make_snapshot,
                ..
            } = output;
            self.writes
                .extend(write.filter(|write| write.must_sync).map(|write| write.number));
            // A lie with files would fail to install and stop the member in a controlled way; here it just never ends.
            self.installing |= install.is_some();
            if !committed.is_empty() {
                self.work.push(committed);
            }
            if make_snapshot {
                let configuration = self.configuration.clone();
                let applied = Applied {
                    index: self.applied,
                    term: 1,
                    configuration,
                };
                self.core
                    .handle(Event::SnapshotMade { token: 1, applied })
                    .unwrap();
            }
        }
    }

    fn persist(&mut self) {
        let last = self.writes.pop();
        self.writes.clear();
        if let Some(number) = last {
            self.event(Event::Persisted(number));
        }
    }

    fn apply(&mut self) {
        if self.installing {
            return;
        }
        for entry in std::mem::take(&mut self.work).into_iter().flatten() {
            assert_eq!(entry.index, self.applied + 1);
            self.applied = entry.index;
            let mut changes = Vec::new();
            if entry.kind != 0
                && let Ok(change) = Change::decode(entry.kind, entry.data.clone())
            {
                let next = self.configuration.changed(&change).ok();
                let verdict = if next.is_some() {
                    Verdict::Accepted
                } else {
                    Verdict::Refused
                };
                self.configuration = next.unwrap_or(std::mem::take(&mut self.configuration));
                let configuration = self.configuration.clone();
                changes.push(AppliedChange {
                    index: entry.index,
                    change,
                    verdict,
                    configuration,
                });
            }
            self.event(Event::Applied {
                index: entry.index,
                changes,
            });
        }
    }

    fn catch_up(&mut self) {
        self.persist();
        self.apply();
    }
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    for mut rest in [field << 3, value] {
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    let mut length = value.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(value);
}

struct Liar {
    chance: Chance,
}

impl Liar {
    /// A number near something that matters, or far from everything.
    fn number(&mut self, near: u64) -> u64 {
        match self.chance.below(40) {
            0 => 0,
            1 => 1,
            2..=35 => near,
            36 => near.wrapping_add(1),
            37 => near.saturating_sub(1),
            38 => near.wrapping_add(self.chance.below(20)),
            _ => [u64::MAX, 1 << 62, (1 << 62) - 1, 1 << 32][self.chance.below(4) as usize],
        }
    }

    fn entry(&mut self, index: u64, term: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let kind = [0, 0, 0, 1, 2, 5][self.chance.below(6) as usize];
        number(&mut out, 1, kind);
        let term = if self.chance.percent(90) {
            term
        } else {
            self.number(term)
        };
        number(&mut out, 2, term);
        let index = if self.chance.percent(90) {
            index
        } else {
            self.number(index)
        };
        number(&mut out, 3, index);
        let mut data = Vec::new();
        if kind == 1 {
            number(&mut data, 2, self.chance.below(5));
            number(&mut data, 3, self.chance.below(5));
        } else if kind == 2 {
            if self.chance.percent(50) {
                number(&mut data, 1, self.chance.below(4));
            }
            for _ in 0..self.chance.below(4) {
                let mut step = Vec::new();
                number(&mut step, 1, self.chance.below(5));
                number(&mut step, 2, self.chance.below(5));
                bytes(&mut data, 2, &step);
            }
        } else if self.chance.percent(80) {
            data = self.chance.next().to_be_bytes().to_vec();
        }
        bytes(&mut out, 4, &data);
        out
    }

    fn snapshot(&mut self, index: u64, term: u64) -> Vec<u8> {
        let mut state = Vec::new();
        for _ in 0..1 + self.chance.below(6) {
            number(&mut state, 1 + self.chance.below(4), self.chance.below(6));
        }
        number(&mut state, 5, self.chance.below(2));
        let mut metadata = Vec::new();
        bytes(&mut metadata, 1, &state);
        let index = self.number(index);
        number(&mut metadata, 2, index);
        let term = self.number(term);
        number(&mut metadata, 3, term);
        let mut out = Vec::new();
        bytes(&mut out, 2, &metadata);
        out
    }

    fn message(&mut self, victim: &Core) -> Vec<u8> {
        let status = victim.status();
        let mut out = Vec::new();
        let kind = if self.chance.percent(95) {
            2 + self.chance.below(17)
        } else {
            self.number(7)
        };
        number(&mut out, 1, kind);
        number(
            &mut out,
            2,
            if self.chance.percent(98) {
                1
            } else {
                self.chance.below(5)
            },
        );
        let from = if self.chance.percent(90) {
            2 + self.chance.below(2)
        } else {
            self.chance.below(6)
        };
        number(&mut out, 3, from);
        let without_term = matches!(kind, 2 | 15) && self.chance.percent(95);
        let term = if without_term { 0 } else { self.number(status.term) };
        number(&mut out, 4, term);
        let index = if self.chance.percent(50) {
            status.last_index
        } else {
            self.number(status.committed)
        };
        let log_term = self.number(status.term);
        number(&mut out, 5, if index == 0 { 0 } else { log_term });
        number(&mut out, 6, index);
        if matches!(kind, 2 | 3) || self.chance.percent(5) {
            for at in 0..self.chance.below(4) {
                let entry = self.entry(index.wrapping_add(1 + at), term.max(log_term));
                bytes(&mut out, 7, &entry);
            }
        }
        if matches!(kind, 15 | 16) {
            let mut entry = Vec::new();
            let context = [from, self.chance.below(3), self.chance.below(9)]
                .map(u64::to_be_bytes)
                .concat();
            bytes(
                &mut entry,
                4,
                &context[..if self.chance.percent(90) { 24 } else { 5 }],
            );
            bytes(&mut out, 7, &entry);
        }
        for field in [8, 11, 15] {
            if self.chance.percent(60) {
                let value = self.number(status.committed);
                number(&mut out, field, value);
            }
        }
        if kind == 7 || self.chance.percent(2) {
            let snapshot = self.snapshot(status.last_index.wrapping_add(3), status.term);
            bytes(&mut out, 9, &snapshot);
        }
        if self.chance.percent(30) {
            number(&mut out, 10, 1);
        }
        if self.chance.percent(10) {
            bytes(&mut out, 12, b"CampaignTransfer");
        }
        if self.chance.percent(3) {
            number(&mut out, 13, 5);
        }
        if self.chance.percent(3) {
            let at = self.chance.below(out.len() as u64) as usize;
            out[at] ^= 1 << self.chance.below(8);
        }
        out
    }
}

/// Returns how many messages were let in, and as which roles the member went through it.
fn torment(seed: u64) -> (usize, usize) {
    let mut victim = Victim::new(seed);
    let mut liar = Liar { chance: Chance(seed) };
    let (mut taken, mut led) = (0, 0);
    for _ in 0..400 {
        match liar.chance.below(20) {
            0 => victim.persist(),
            1 => victim.apply(),
            2 => victim.catch_up(),
            3 => (0..liar.chance.below(25)).for_each(|_| victim.event(Event::Tick)),
            4 => victim.event(Event::Campaign),
            5 => victim.event(Event::Propose(vec![Bytes::from_static(b"honest")])),
            6 => victim.event(Event::Read(liar.chance.next())),
            7 => {
                let to = 1 + liar.chance.below(4);
                victim.event(Event::Transfer { to, number: 1 });
            }
            8 => {
                let (to, ok) = (1 + liar.chance.below(4), liar.chance.percent(50));
                victim.event(Event::SnapshotSent { to, ok });
                victim.event(Event::Unreachable(to));
            }
            9 => victim.event(Event::Durable(victim.applied)),
            _ => {
                let bytes = liar.message(&victim.core);
                if let Ok(message) = PeerMessage::decode(bytes.into()) {
                    taken += 1;
                    let files = liar.chance.percent(70).then_some(9);
                    victim.event(Event::Message(message, files));
                }
            }
        }
        led += usize::from(victim.core.status().role == Role::Leader);
    }
    (taken, led)
}

#[test]
fn no_message_stops_a_member() {
    let (mut taken, mut led) = (0, 0);
    let seeds = std::env::var("SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(500);
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(|| torment(seed));
        let Ok((now_taken, now_led)) = outcome else {
            panic!("seed {seed}")
        };
        taken += now_taken;
        led += now_led;
    }
    println!("{taken} messages taken, {led} steps as leader");
    assert!(
        taken > 10_000 && led > 1000,
        "{taken} messages taken, {led} steps as leader"
    );
}

#[test]
fn the_decoder_survives_random_bytes() {
    let mut chance = Chance(1);
    for _ in 0..100_000 {
        let length = chance.below(40) as usize;
        let bytes: Vec<u8> = (0..length).map(|_| chance.next() as u8 & 0x3f).collect();
        let _ = PeerMessage::decode(bytes.clone().into());
        let _ = Change::decode(1, bytes.clone().into());
        let _ = Change::decode(2, bytes.clone().into());
        let _ = Configuration::decode(&bytes);
        let _ = HardState::decode(bytes.into());
    }
}
