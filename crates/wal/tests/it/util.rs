//! What the tests share.

use bytes::Bytes;
use std::sync::Arc;
use wal::{Entry, Marker, MemoryDir, Options, Record, Recovered, Result, Wal};

pub const METADATA: &[u8] = b"member 1 of cluster 2";

/// Small segments, and everything done in the calls.
pub fn options() -> Options {
    Options {
        segment_bytes: 8192,
        background: false,
        fsync: true,
    }
}

pub fn create(dir: &MemoryDir) -> Wal {
    Wal::create_in(Arc::new(dir.clone()), METADATA, options()).expect("create")
}

pub fn open(dir: &MemoryDir) -> Result<(Wal, Recovered)> {
    Wal::open_in(Arc::new(dir.clone()), options())
}

pub fn recover(dir: &MemoryDir) -> Recovered {
    open(dir).expect("open").1
}

pub fn entry(index: u64, term: u64, data: &[u8]) -> Entry {
    Entry {
        kind: 0,
        index,
        term,
        data: Bytes::copy_from_slice(data),
    }
}

pub fn record(entry: &Entry) -> Record<'_> {
    Record::Entry {
        kind: entry.kind,
        index: entry.index,
        term: entry.term,
        data: &entry.data,
    }
}

/// Entries `from..=to` of a term, with 100 bytes of data that tell them apart.
pub fn entries(from: u64, to: u64, term: u64) -> Vec<Entry> {
    (from..=to)
        .map(|index| entry(index, term, format!("{index:0>50}{term:0>50}").as_bytes()))
        .collect()
}

/// Appends entries and a hard state as one group and syncs it.
pub fn commit(wal: &mut Wal, entries: &[Entry], state: &[u8]) -> Result<()> {
    let mut group: Vec<_> = entries.iter().map(record).collect();
    if !state.is_empty() {
        group.push(Record::State(state));
    }
    wal.append(&group)?;
    wal.sync()
}

pub fn marker(index: u64, term: u64) -> Marker {
    Marker {
        index,
        term,
        conf_state: Bytes::from_static(b"\x08\x01"),
    }
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}
