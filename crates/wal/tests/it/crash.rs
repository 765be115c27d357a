//! Random lives that end in a power failure, again and again: what was synced is recovered, and of what was not a
//! prefix. A failing seed is printed; put it into `SEED` to look at it alone.

use crate::util::{METADATA, Random, entry, marker, options, record};
use std::sync::Arc;
use wal::{Entry, MemoryDir, Record, Recovered, Wal};

const SEED: Option<u64> = None;

/// What the log must hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Model {
    marker: (u64, u64),
    entries: Vec<Entry>,
    state: Vec<u8>,
}

impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = String::from_utf8_lossy(&self.state);
        let terms: Vec<u64> = self.entries.iter().map(|entry| entry.term).collect();
        write!(f, "{:?} then terms {terms:?} state {state:?}", self.marker)
    }
}

impl Model {
    /// What was recovered.
    pub fn of(recovered: &Recovered) -> Model {
        Model {
            marker: (recovered.marker.index, recovered.marker.term),
            entries: recovered.entries.clone(),
            state: recovered.hard_state.to_vec(),
        }
    }

    fn last(&self) -> u64 {
        self.entries.last().map_or(self.marker.0, |entry| entry.index)
    }

    fn push(&mut self, entry: Entry) {
        self.entries.retain(|old| old.index < entry.index);
        self.entries.push(entry);
    }

    /// Whether this is what was recovered.
    pub fn fits(&self, recovered: &Recovered) -> bool {
        *self == Model::of(recovered)
    }

    fn mark(&mut self, index: u64, term: u64) {
        self.marker = (index, term);
        self.entries.retain(|entry| entry.index > index);
    }
}

pub struct Life {
    random: Random,
    term: u64,
    /// After every record since the last sync, what the log would be if it ended there; the first is what is durable.
    prefixes: Vec<Model>,
}

impl Life {
    pub fn new(seed: u64) -> Life {
        Life {
            random: Random(seed),
            term: 1,
            prefixes: vec![Model::default()],
        }
    }

    pub fn prefixes(&self) -> &[Model] {
        &self.prefixes
    }

    fn now(&self) -> Model {
        self.prefixes.last().cloned().unwrap_or_default()
    }

    fn synced(&mut self, model: Model) {
        self.prefixes = vec![model];
    }

    pub fn step(&mut self, wal: &mut Wal) {
        let mut model = self.now();
        match self.random.below(20) {
            0..=11 => self.append(wal),
            12..=15 => {
                wal.sync().expect("sync");
                self.synced(model);
            }
            16..=17 if model.last() > model.marker.0 => {
                let at = self.random.below(model.entries.len() as u64) as usize;
                let (index, term) = (model.entries[at].index, model.entries[at].term);
                wal.save_snapshot_marker(marker(index, term)).expect("marker");
                model.mark(index, term);
                self.synced(model);
            }
            18 => wal.release(self.random.below(model.last() + 1)).expect("release"),
            19 if self.random.one_in(4) => {
                self.term += 1;
                let index = model.marker.0 + 1 + self.random.below(30);
                model = Model {
                    marker: (index, self.term),
                    entries: vec![],
                    state: format!("reset {index}").into(),
                };
                wal.reset_to_snapshot(marker(index, self.term), &model.state)
                    .expect("reset");
                self.synced(model);
            }
            _ => {}
        }
    }

    fn append(&mut self, wal: &mut Wal) {
        let mut model = self.now();
        let mut group = Vec::new();
        if self.random.one_in(8) {
            self.term += 1;
        }
        let mut next = model.last() + 1;
        if self.random.one_in(6) {
            // A new leader replaces a suffix.
            self.term += 1;
            next = model.marker.0 + 1 + self.random.below(next - model.marker.0);
        }
        for index in next..next + self.random.below(6) {
            let bytes = match self.random.below(20) {
                0 => self.random.below(9000),
                _ => self.random.below(300),
            };
            let data: Vec<u8> = (0..bytes).map(|_| self.random.next() as u8).collect();
            group.push(entry(index, self.term, &data));
        }
        let state = format!("term {} commit {}", self.term, next);
        let mut records: Vec<_> = group.iter().map(record).collect();
        let with_state = self.random.one_in(3);
        if with_state {
            records.push(Record::State(state.as_bytes()));
        }
        let rotations = wal.stats().rotations;
        wal.append(&records).expect("append");
        if wal.stats().rotations != rotations {
            // The old segment was synced before the new one began.
            self.synced(model.clone());
        }
        for entry in &group {
            model.push(entry.clone());
            self.prefixes.push(model.clone());
        }
        if with_state {
            model.state = state.into_bytes();
            self.prefixes.push(model);
        }
    }
}

fn live(seed: u64) {
    let mut dir = MemoryDir::new();
    let mut wal = Wal::create_in(Arc::new(dir.clone()), METADATA, options()).expect("create");
    let mut life = Life::new(seed);
    for _ in 0..6 {
        for _ in 0..life.random.below(60) {
            life.step(&mut wal);
        }
        let power_failure = life.random.one_in(2);
        if power_failure {
            dir = dir.crash(life.random.next());
        }
        drop(wal);
        let (reopened, recovered) = Wal::open_in(Arc::new(dir.clone()), options()).expect("open");
        wal = reopened;
        let found = life.prefixes.iter().rposition(|model| model.fits(&recovered));
        let found = found.unwrap_or_else(|| {
            panic!(
                "recovered {recovered:?}, which is none of {} prefixes",
                life.prefixes.len()
            );
        });
        if !power_failure {
            assert_eq!(
                found,
                life.prefixes.len() - 1,
                "the process died, not the machine"
            );
        }
        let model = life.prefixes.swap_remove(found);
        life.synced(model);
    }
}

#[test]
fn what_was_synced_survives_and_the_rest_is_a_prefix() {
    for seed in SEED.map_or(0..400, |seed| seed..seed + 1) {
        if let Err(panic) = std::panic::catch_unwind(|| live(seed)) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
