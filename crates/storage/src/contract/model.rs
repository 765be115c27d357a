//! The store as it should be, and random histories compared with it.

use super::Engine;
use crate::backend::{Backend, Snapshot};
use crate::{Batch, Family, Op};
use std::collections::BTreeMap;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::path::Path;
use std::sync::Arc;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A map per family.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Model(BTreeMap<Family, Rows>);

impl Model {
    pub fn apply(&mut self, batch: &Batch) {
        for op in batch.ops() {
            match op {
                Op::Put(family, key, value) => {
                    self.0
                        .entry(*family)
                        .or_default()
                        .insert(key.to_vec(), value.to_vec());
                }
                Op::Delete(family, key) => {
                    self.0.entry(*family).or_default().remove(&key[..]);
                }
                Op::DeleteRange(family, start, end) => {
                    let rows = self.0.entry(*family).or_default();
                    rows.retain(|key, _| key[..] < start[..] || key[..] >= end[..]);
                }
            }
            self.0.retain(|_, rows| !rows.is_empty());
        }
    }

    /// Everything a snapshot holds.
    pub fn read(snapshot: &dyn Snapshot) -> Model {
        let mut model = Model::default();
        for family in Family::ALL {
            let rows = forward(snapshot, family, (Unbounded, Unbounded));
            if !rows.is_empty() {
                model.0.insert(family, rows.into_iter().collect());
            }
        }
        model
    }

    /// Rows within bounds that may be upside down.
    fn range(&self, family: Family, (low, high): Bounds<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let within = |key: &[u8]| {
            let above = match low {
                Unbounded => true,
                Included(low) => key >= low,
                Excluded(low) => key > low,
            };
            let below = match high {
                Unbounded => true,
                Included(high) => key <= high,
                Excluded(high) => key < high,
            };
            above && below
        };
        let rows = self.0.get(&family).into_iter().flatten();
        rows.filter(|(key, _)| within(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    /// Compares a range of a snapshot, read in both directions.
    pub fn check_range(&self, snapshot: &dyn Snapshot, family: Family, bounds: Bounds<'_>) {
        let mut expected = self.range(family, bounds);
        assert!(
            forward(snapshot, family, bounds) == expected,
            "{family:?} {bounds:?} forward"
        );
        expected.reverse();
        assert!(
            backward(snapshot, family, bounds) == expected,
            "{family:?} {bounds:?} backward"
        );
    }

    /// Compares where a seek in a range leads.
    fn check_seek(&self, snapshot: &dyn Snapshot, family: Family, bounds: Bounds<'_>, to: &[u8]) {
        let expected = self
            .range(family, bounds)
            .into_iter()
            .find(|(key, _)| key[..] >= *to);
        let mut cursor = snapshot.scan(family, bounds).unwrap();
        cursor.seek(to).unwrap();
        assert_eq!(
            own(cursor.next().unwrap()),
            expected,
            "{family:?} {bounds:?} seek {to:?}"
        );
    }
}

fn own(row: Option<(&[u8], &[u8])>) -> Option<(Vec<u8>, Vec<u8>)> {
    row.map(|(key, value)| (key.to_vec(), value.to_vec()))
}

fn forward(snapshot: &dyn Snapshot, family: Family, bounds: Bounds<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut cursor = snapshot.scan(family, bounds).unwrap();
    let rows = std::iter::from_fn(|| own(cursor.next().unwrap())).collect();
    assert!(cursor.next().unwrap().is_none(), "the end stays the end");
    rows
}

fn backward(snapshot: &dyn Snapshot, family: Family, bounds: Bounds<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut cursor = snapshot.scan(family, bounds).unwrap();
    let rows = std::iter::from_fn(|| own(cursor.prev().unwrap())).collect();
    assert!(cursor.prev().unwrap().is_none(), "the start stays the start");
    rows
}

/// Compares a whole snapshot, by scans in both directions and point reads.
pub fn assert_same(snapshot: &dyn Snapshot, model: &Model) {
    for family in Family::ALL {
        model.check_range(snapshot, family, (Unbounded, Unbounded));
        for (key, value) in model.0.get(&family).into_iter().flatten() {
            assert_eq!(
                snapshot.get(family, key).unwrap().as_deref(),
                Some(&value[..]),
                "{family:?} {key:?}"
            );
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): enough for tests, and no dependency.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn family(&mut self) -> Family {
        Family::ALL[self.below(Family::ALL.len() as u64) as usize]
    }

    /// Mostly keys that collide, of several lengths, with bytes at both ends of their range.
    fn key(&mut self) -> Vec<u8> {
        let alphabet = [0, 1, b'a', b'b', b'm', 0xfe, 0xff];
        (0..1 + self.below(4))
            .map(|_| alphabet[self.below(alphabet.len() as u64) as usize])
            .collect()
    }

    fn bound(&mut self) -> Bound<Vec<u8>> {
        match self.below(4) {
            0 => Unbounded,
            1 => Excluded(self.key()),
            _ => Included(self.key()),
        }
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Batch::new();
        for _ in 0..self.below(40) {
            let family = self.family();
            match self.below(20) {
                0 => batch.delete_range(family, self.key(), self.key()),
                1..=4 => batch.delete(family, self.key()),
                _ => {
                    let len = self.below(120) as usize;
                    batch.put(family, self.key(), vec![self.next() as u8; len]);
                }
            }
        }
        batch
    }
}

/// Writes, snapshots, scans, flushes, reopens and copies by chance, compared with a model after each step.
pub fn random_history(engine: &dyn Engine, scratch: &Path, seed: u64) {
    let mut chance = Chance(seed);
    let mut dir = scratch.join("store");
    let mut store = engine.open(&dir).unwrap();
    let mut model = Model::default();
    let mut kept: Vec<(Arc<dyn Snapshot>, Model)> = Vec::new();
    for step in 0..250 {
        match chance.below(40) {
            0..=19 => {
                let batch = chance.batch();
                model.apply(&batch);
                store.write(batch).unwrap();
            }
            20..=23 => kept.push((store.snapshot().unwrap(), model.clone())),
            24..=25 if !kept.is_empty() => {
                let at = chance.below(kept.len() as u64) as usize;
                let (snapshot, model) = kept.swap_remove(at);
                assert_same(&*snapshot, &model);
            }
            26..=34 => {
                let at = chance.below(kept.len() as u64 + 1) as usize;
                let now = (store.snapshot().unwrap(), model.clone());
                let (snapshot, model) = kept.get(at).unwrap_or(&now);
                let (family, low, high) = (chance.family(), chance.bound(), chance.bound());
                let bounds = (low.as_ref().map(Vec::as_slice), high.as_ref().map(Vec::as_slice));
                model.check_range(&**snapshot, family, bounds);
                model.check_seek(&**snapshot, family, bounds, &chance.key());
            }
            35..=36 => store.flush().unwrap(),
            37 if step % 3 == 0 => store.reclaim().unwrap(),
            38 if step % 2 == 0 => {
                kept.clear();
                store.flush().unwrap();
                store = reopen(engine, store, &dir);
                assert_same(&*store.snapshot().unwrap(), &model);
            }
            39 if step % 3 == 0 => {
                kept.clear();
                dir = scratch.join(format!("copy-{step}"));
                store.checkpoint(&dir).unwrap();
                store = engine.open(&dir).unwrap();
                assert_same(&*store.snapshot().unwrap(), &model);
            }
            _ => {
                let (family, key) = (chance.family(), chance.key());
                let expected = model.0.get(&family).and_then(|rows| rows.get(&key));
                let found = store.get(family, &key).unwrap();
                assert_eq!(
                    found.as_deref(),
                    expected.map(Vec::as_slice),
                    "{family:?} {key:?}"
                );
            }
        }
    }
    for (snapshot, model) in &kept {
        assert_same(&**snapshot, model);
    }
    assert_same(&*store.snapshot().unwrap(), &model);
}

/// An engine refuses a directory that is open, so the old store goes first.
fn reopen(engine: &dyn Engine, store: Arc<dyn Backend>, dir: &Path) -> Arc<dyn Backend> {
    drop(store);
    engine.open(dir).unwrap()
}
