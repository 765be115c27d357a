//! Random faults against raft's promises. Each seed is a run of its own; a failure prints it.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use raft_engine::consensus::{CoreOptions, Event};
use raft_engine::{Change, ChangeKind, ChangeStep, Role, Transition};

use crate::cluster::{Cluster, Note, options};

pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What must hold over all members and all time.
#[derive(Default)]
struct Promises {
    leaders: HashMap<u64, u64>,
    /// Every entry that was ever applied anywhere.
    applied: BTreeMap<u64, (u64, Bytes)>,
    /// Highest applied index when a read began.
    reads: HashMap<u64, u64>,
    confirmed: usize,
    installed: usize,
    changes: usize,
    elections: usize,
}

impl Promises {
    fn check(&mut self, notes: Vec<Note>) {
        for note in notes {
            match note {
                Note::Role(id, change) if change.role == Role::Leader => {
                    let leader = *self.leaders.entry(change.term).or_insert(id);
                    assert_eq!(leader, id, "two leaders in term {}", change.term);
                    self.elections += 1;
                }
                Note::Applied(id, entry) => {
                    let mine = (entry.term, entry.data.clone());
                    let first = self.applied.entry(entry.index).or_insert_with(|| mine.clone());
                    assert_eq!(
                        *first, mine,
                        "member {id} applied something else at {}",
                        entry.index
                    );
                }
                Note::Read(id, number, Ok(index)) => {
                    let floor = self.reads[&number];
                    assert!(
                        index >= floor,
                        "member {id} read at {index}, but {floor} was visible before"
                    );
                    self.confirmed += 1;
                }
                Note::Installed(..) => self.installed += 1,
                Note::Configuration(..) => self.changes += 1,
                _ => {}
            }
        }
    }

    fn visible(&self) -> u64 {
        self.applied.keys().last().copied().unwrap_or(0)
    }
}

struct Run {
    cluster: Cluster,
    chance: Chance,
    promises: Promises,
    /// Pairs that cannot talk, in one direction.
    cut: Vec<(u64, u64)>,
    numbers: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let members = [1, 3, 3, 3, 5][chance.below(5) as usize];
        let options = CoreOptions {
            seed,
            log_retain_entries: [3, 10, 5000][chance.below(3) as usize],
            fast_start: chance.percent(50),
            pre_vote: chance.percent(90),
            ..options()
        };
        let cluster = Cluster::new(members, 5 - members.min(4), options);
        Self {
            cluster,
            chance,
            promises: Promises::default(),
            cut: Vec::new(),
            numbers: 0,
        }
    }

    fn member(&mut self) -> u64 {
        1 + self.chance.below(self.cluster.nodes.len() as u64)
    }

    fn step(&mut self, faults: bool) {
        let id = self.member();
        match self.chance.below(100) {
            0..15 => self.cluster.event(id, Event::Tick),
            15..35 => {
                let group = self.chance.percent(50);
                self.cluster.persist(id, group);
            }
            35..50 => {
                self.cluster.apply(id);
            }
            50..80 => self.network(faults),
            80..86 => {
                let count = 1 + self.chance.below(3);
                let proposals = (0..count)
                    .map(|_| self.chance.next().to_be_bytes().to_vec().into())
                    .collect();
                self.cluster.event(id, Event::Propose(proposals));
            }
            86..90 => self.read(id),
            90..92 => self.cluster.flush(id),
            92 if faults => self.crash(id),
            93 if faults => self.partition(),
            94 if faults => self.change(id),
            95 if faults => {
                let (to, number) = (self.member(), self.number());
                self.cluster.event(id, Event::Transfer { to, number });
            }
            96 if faults && self.chance.percent(20) => {
                let stalled = self.chance.percent(50);
                self.cluster.event(id, Event::DiskStalled(stalled));
            }
            _ => {
                for id in 1..=self.cluster.nodes.len() as u64 {
                    self.cluster.event(id, Event::Tick);
                }
            }
        }
        let notes = std::mem::take(&mut self.cluster.notes);
        self.promises.check(notes);
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn network(&mut self, faults: bool) {
        for _ in 0..4 {
            let waiting = self.cluster.letters.len() as u64;
            if waiting == 0 {
                return;
            }
            // Mostly in order; sometimes late, twice, or never.
            let at = if faults && self.chance.percent(20) {
                self.chance.below(waiting)
            } else {
                0
            };
            let Some(letter) = self.cluster.letters.remove(at as usize) else {
                return;
            };
            let lost = self.cut.contains(&(letter.from, letter.to)) || (faults && self.chance.percent(5));
            if lost {
                if letter.files.is_some() {
                    self.cluster.event(
                        letter.from,
                        Event::SnapshotSent {
                            to: letter.to,
                            ok: false,
                        },
                    );
                } else if self.chance.percent(30) {
                    self.cluster.event(letter.from, Event::Unreachable(letter.to));
                }
                continue;
            }
            if faults && self.chance.percent(5) {
                let twin = crate::cluster::Letter {
                    bytes: letter.bytes.clone(),
                    files: letter.files.clone(),
                    ..letter
                };
                self.cluster.letters.push_back(twin);
            }
            self.cluster.deliver(letter);
        }
    }

    fn read(&mut self, id: u64) {
        let number = self.number();
        self.promises.reads.insert(number, self.promises.visible());
        self.cluster.event(id, Event::Read(number));
    }

    fn crash(&mut self, id: u64) {
        if self.cluster.nodes[&id].core.is_some() {
            let (torn, part) = (self.chance.below(3) as usize, self.chance.below(3) as usize);
            self.cluster.crash(id, torn, part);
        }
        if self.chance.percent(70) {
            self.cluster.start(id);
        }
    }

    fn partition(&mut self) {
        self.cut.clear();
        let one_way = self.chance.percent(30);
        let island = self.member();
        for other in self.cluster.nodes.keys() {
            if self.chance.percent(60) {
                self.cut.push((island, *other));
                if !one_way {
                    self.cut.push((*other, island));
                }
            }
        }
        if self.chance.percent(50) {
            self.cut.clear();
        }
    }

    fn change(&mut self, id: u64) {
        let kinds = [
            ChangeKind::AddVoter,
            ChangeKind::AddLearner,
            ChangeKind::Remove,
            ChangeKind::Update,
        ];
        let steps = if self.chance.percent(30) { 2 } else { 1 };
        let steps = (0..steps).map(|_| ChangeStep {
            kind: kinds[self.chance.below(4) as usize],
            member: self.member(),
        });
        let mut change = Change {
            id: 7,
            steps: steps.collect(),
            transition: Transition::Auto,
            context: Bytes::new(),
        };
        if self.chance.percent(20) {
            change.context = Bytes::from_static(b"refuse");
        }
        self.cluster.event(id, Event::ProposeChange(change));
    }

    /// All faults end; a quorum must find together again and bring everybody to the same state.
    fn heal(&mut self) {
        self.cut.clear();
        for id in 1..=self.cluster.nodes.len() as u64 {
            if self.cluster.nodes[&id].core.is_none() {
                self.cluster.start(id);
            }
            self.cluster.event(id, Event::DiskStalled(false));
        }
        for _ in 0..120 {
            for id in 1..=self.cluster.nodes.len() as u64 {
                self.cluster.event(id, Event::Tick);
                self.cluster.settle(|_| true);
            }
            let notes = std::mem::take(&mut self.cluster.notes);
            self.promises.check(notes);
        }
        let leader = self.cluster.leader().expect("a leader after healing");
        self.cluster
            .event(leader, Event::Propose(vec![Bytes::from_static(b"last")]));
        self.read(leader);
        let confirmed = self.promises.confirmed;
        for _ in 0..30 {
            for id in 1..=self.cluster.nodes.len() as u64 {
                self.cluster.event(id, Event::Tick);
            }
            self.cluster.settle(|_| true);
        }
        let notes = std::mem::take(&mut self.cluster.notes);
        self.promises.check(notes);
        assert!(self.promises.confirmed > confirmed, "a read after healing");
        let machine = &self.cluster.nodes[&leader].machine;
        let done = machine.history.iter().any(|(_, _, data)| data == "last");
        assert!(done, "a write after healing");
        for member in machine.applied.configuration.members() {
            let other = &self.cluster.nodes[&member].machine;
            assert_eq!(
                other.applied.index, machine.applied.index,
                "member {member} caught up"
            );
            assert_eq!(
                other.history, machine.history,
                "member {member} has the same state"
            );
        }
    }
}

fn run(seed: u64) -> Promises {
    let outcome = std::panic::catch_unwind(|| {
        let mut run = Run::new(seed);
        for step in 0..3000 {
            run.step(step % 1000 < 800);
        }
        run.heal();
        run.promises
    });
    outcome.unwrap_or_else(|panic| {
        eprintln!("failed with seed {seed}; run it alone in `one_seed`");
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn members_agree_whatever_the_network_and_the_disks_do() {
    let mut sum = [0; 5];
    let seeds = std::env::var("SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(300);
    for seed in 0..seeds {
        let promises = run(seed);
        let counts = [
            promises.elections,
            promises.applied.len(),
            promises.confirmed,
            promises.installed,
            promises.changes,
        ];
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    // Numbers of what happened, so that a change that lets the runs test nothing does not go unnoticed.
    let [elections, applied, confirmed, installed, changes] = sum;
    println!(
        "{elections} elections, {applied} entries, {confirmed} reads, {installed} snapshots, {changes} changes"
    );
    assert!(elections > 1000 && applied > 20_000 && confirmed > 5000 && installed > 100 && changes > 1000);
}

/// The place for a seed that failed.
#[test]
fn one_seed() {
    run(std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(0));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let trace = |seed| {
        let mut run = Run::new(seed);
        (0..1500).for_each(|_| run.step(true));
        let states = run.cluster.nodes.values().map(|node| {
            let core = node.core.as_ref().map(|core| format!("{:?}", core.status()));
            (core, node.machine.history.clone())
        });
        states.collect::<Vec<_>>()
    };
    for seed in 1000..1010 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
}
