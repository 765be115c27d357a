//! Random things that happen to a hub.

use crate::world::Op;
use model::KeyRange;
use proptest::prelude::*;
use std::time::Duration;
use watch::Options;

#[derive(Clone, Debug)]
pub enum Step {
    Write {
        groups: Vec<Vec<Op>>,
        heard: bool,
    },
    Compact {
        back: i64,
    },
    Open,
    /// As many watchers that ask for the same.
    Create {
        stream: usize,
        watch: Watch,
        count: usize,
    },
    Cancel {
        stream: usize,
        watcher: usize,
    },
    Progress {
        stream: usize,
    },
    Read {
        stream: usize,
        count: usize,
    },
    Close {
        stream: usize,
    },
    Tick {
        count: usize,
    },
}

#[derive(Clone, Debug)]
pub struct Watch {
    pub range: KeyRange,
    /// Relative to the current revision; `None` for "from now on".
    pub start: Option<i64>,
    pub prev_kv: bool,
    pub fragment: bool,
    pub report: bool,
    pub filters: Vec<i32>,
}

const KEYS: &[u8] = b"abcdefgh";

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(KEYS).prop_map(|key| char::from(key).to_string())
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        key().prop_map(|key| KeyRange::Single(key.into())),
        (key(), key()).prop_map(|(one, other)| {
            let (start, end) = (one.clone().min(other.clone()), one.max(other));
            KeyRange::Interval(start.into(), (end + "z").into())
        }),
        key().prop_map(|key| KeyRange::From(key.into())),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (key(), 0..100usize).prop_map(|(key, len)| Op::Put(key, "v".repeat(len))),
        1 => range().prop_map(Op::Delete),
    ]
}

/// Operations of one request. No key is touched twice: requests that do are refused before they come here, and
/// compaction at exactly their revision would drop the earlier change, here as in etcd.
fn request() -> impl Strategy<Value = Vec<Op>> {
    let touches = |op: &Op, key: u8| match op {
        Op::Put(put, _) => put.as_bytes() == [key],
        Op::Delete(range) => range.contains(&[key]),
    };
    prop::collection::vec(op(), 1..4).prop_map(move |ops| {
        let mut kept: Vec<Op> = Vec::new();
        for op in ops {
            let again = |other: &Op| KEYS.iter().any(|key| touches(&op, *key) && touches(other, *key));
            if !kept.iter().any(again) {
                kept.push(op);
            }
        }
        kept
    })
}

fn watch() -> impl Strategy<Value = Watch> {
    let filters = prop_oneof![
        4 => Just(vec![]),
        1 => Just(vec![0]),
        1 => Just(vec![1]),
    ];
    (
        range(),
        prop::option::of(-30..10i64),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        filters,
    )
        .prop_map(|(range, start, prev_kv, fragment, report, filters)| Watch {
            range,
            start,
            prev_kv,
            fragment,
            report,
            filters,
        })
}

pub fn step() -> impl Strategy<Value = Step> {
    let groups = prop::collection::vec(request(), 1..4);
    prop_oneof![
        12 => (groups, prop::bool::weighted(0.97)).prop_map(|(groups, heard)| Step::Write { groups, heard }),
        1 => (0..20i64).prop_map(|back| Step::Compact { back }),
        1 => Just(Step::Open),
        4 => (0..4usize, watch(), prop_oneof![2 => Just(1), 1 => 2..4usize])
            .prop_map(|(stream, watch, count)| Step::Create { stream, watch, count }),
        1 => (0..4usize, 0..8usize).prop_map(|(stream, watcher)| Step::Cancel { stream, watcher }),
        2 => (0..4usize).prop_map(|stream| Step::Progress { stream }),
        6 => (0..4usize, 1..6usize).prop_map(|(stream, count)| Step::Read { stream, count }),
        1 => (0..4usize).prop_map(|stream| Step::Close { stream }),
        6 => (1..4usize).prop_map(|count| Step::Tick { count }),
    ]
}

pub fn options() -> impl Strategy<Value = Options> {
    (1..20usize, 0..3usize, 100..2000usize).prop_map(|(ring, queue, bytes)| Options {
        ring_revisions_max: ring,
        queue_responses_max: queue,
        queue_bytes_max: bytes,
        progress_interval: Duration::from_secs(100),
        ..Options::default()
    })
}
