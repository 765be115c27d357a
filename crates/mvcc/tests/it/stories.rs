//! Short stories about groups, requests and counting.

use crate::support::{Fixture, bytes};
use model::pb::etcdserverpb::RangeRequest;
use model::{KeyRange, Revision};
use mvcc::{Kv, Options, Read, Store};
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::memory::MemoryBackend;
use storage::{Backend, Family};

#[test]
fn nobody_sees_a_group_before_it_is_committed() {
    let mut fixture = Fixture::new();
    let mut tx = fixture.writer.begin();
    tx.put(bytes("a"), bytes("1"), 0).unwrap();
    assert_eq!(tx.get(b"a").unwrap().unwrap().version, 1);
    assert_eq!(tx.revision(), Revision(2));
    tx.finish();
    assert_eq!(fixture.writer.revision(), Revision(2));
    assert_eq!(fixture.value("a", 0), None);
    let before = fixture.view();
    fixture.writer.commit().unwrap();
    assert_eq!(fixture.value("a", 0).as_deref(), Some("1"));
    assert_eq!(before.get(b"a").unwrap(), None);
}

#[test]
fn a_request_without_effect_takes_no_revision() {
    let mut fixture = Fixture::new();
    let mut tx = fixture.writer.begin();
    assert!(tx.delete_range(&KeyRange::all()).unwrap().is_empty());
    assert!(!tx.changed());
    assert_eq!(tx.finish(), Revision(1));
    assert!(fixture.writer.commit().unwrap().is_empty());
    assert_eq!(fixture.put("a", "1"), Revision(2));
}

#[test]
fn rows_of_others_share_the_batch() {
    let mut fixture = Fixture::new();
    fixture.writer.batch().put(Family::Meta, "applied", "7");
    fixture.writer.commit().unwrap();
    let view = fixture.view();
    assert_eq!(view.revision(), Revision(1));
    assert_eq!(
        view.snapshot().get(Family::Meta, b"applied").unwrap().unwrap(),
        "7"
    );
    let mut tx = fixture.writer.begin();
    tx.put(bytes("a"), bytes("1"), 0).unwrap();
    tx.finish();
    fixture.writer.batch().put(Family::Meta, "applied", "8");
    fixture.writer.commit().unwrap();
    fixture.flush();
    fixture.crash(0);
    assert_eq!(
        fixture.backend.get(Family::Meta, b"applied").unwrap().unwrap(),
        "8"
    );
    assert_eq!(fixture.value("a", 0).as_deref(), Some("1"));
}

#[test]
fn a_request_reads_at_revisions_of_its_own_group() {
    let mut fixture = Fixture::new();
    for value in ["1", "2", "3"] {
        let mut tx = fixture.writer.begin();
        tx.put(bytes("a"), bytes(value), 0).unwrap();
        tx.finish();
    }
    let tx = fixture.writer.begin();
    for (revision, value) in [(2, "1"), (3, "2"), (4, "3"), (0, "3")] {
        let request = RangeRequest {
            key: bytes("a"),
            revision,
            ..Default::default()
        };
        let kvs = tx.range(&request).unwrap().kvs;
        assert_eq!(Kv::decode(kvs[0].clone()).unwrap().value, value);
    }
}

#[test]
fn scans_stop_when_told() {
    let mut fixture = Fixture::new();
    for key in ["a", "b", "c"] {
        fixture.put(key, "1");
    }
    let mut seen = Vec::new();
    let mut visit = |kv: Kv| {
        seen.push(kv.key);
        if seen.len() == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    fixture.view().scan(&KeyRange::all(), &mut visit).unwrap();
    fixture
        .view()
        .scan(&KeyRange::Single(bytes("c")), &mut visit)
        .unwrap();
    assert_eq!(seen, ["a", "b", "c"]);
}

#[test]
fn a_sorted_and_limited_answer_from_many_keys_is_that_of_a_full_sort() {
    let (store, mut writer) = Store::open(Arc::new(MemoryBackend::new()), Options::default()).unwrap();
    let mut tx = writer.begin();
    for number in 0..5000_u32 {
        let value = number.wrapping_mul(2_654_435_761) % 997;
        tx.put(bytes(&format!("{number:05}")), bytes(&format!("{value:04}")), 0)
            .unwrap();
    }
    tx.finish();
    writer.commit().unwrap();
    let mut request = RangeRequest {
        key: bytes("\0"),
        range_end: bytes("\0"),
        sort_target: 4,
        sort_order: 2,
        ..Default::default()
    };
    let all = store.view().range(&request).unwrap();
    request.limit = 10;
    let limited = store.view().range(&request).unwrap();
    assert_eq!((limited.count, limited.more), (5000, true));
    assert_eq!(limited.kvs, all.kvs[..10]);
}

/// Fault: what an older build, or another limit, has written is read wrongly once large values are kept in the log.
#[test]
fn what_is_large_may_change_from_one_opening_to_the_next() {
    let backend = Arc::new(MemoryBackend::new());
    let limits = [None, Some(1), Some(4), None];
    let mut expected = std::collections::BTreeMap::new();
    for (life, large_value_bytes) in limits.into_iter().enumerate() {
        let options = Options {
            large_value_bytes,
            ..Options::default()
        };
        let (store, mut writer) = Store::open(backend.clone(), options).unwrap();
        for (key, value) in [
            ("rewritten", "four"),
            ("empty", ""),
            ("grows", &"12345"[..life + 1]),
        ] {
            let mut tx = writer.begin();
            let before = tx.put(bytes(key), bytes(value), 0).unwrap();
            tx.finish();
            let was = expected.insert(key.to_owned(), value.to_owned());
            assert_eq!(before.map(|kv| kv.value), was.as_deref().map(bytes));
        }
        let once = format!("of life {life}");
        let mut tx = writer.begin();
        tx.put(bytes(&once), bytes(&once), 0).unwrap();
        tx.finish();
        expected.insert(once.clone(), once);
        writer.commit().unwrap();
        store.verify().unwrap();

        let view = store.view();
        let all = RangeRequest {
            key: bytes("\0"),
            range_end: bytes("\0"),
            ..Default::default()
        };
        for revision in [0, view.revision().0, view.revision().0 - 2] {
            let answer = view
                .range(&RangeRequest {
                    revision,
                    ..all.clone()
                })
                .unwrap();
            assert_eq!(answer.count, answer.kvs.len() as i64);
            let wire = view
                .range_wire(&RangeRequest {
                    revision,
                    ..all.clone()
                })
                .unwrap();
            let fields = answer.kvs.iter().map(|kv| {
                let mut field = vec![0x12];
                prost::encoding::encode_varint(kv.len() as u64, &mut field);
                [&field[..], kv].concat()
            });
            assert_eq!(wire.kvs.concat(), fields.collect::<Vec<_>>().concat());
        }
        let mut found = std::collections::BTreeMap::new();
        let mut visit = |kv: Kv| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            found.insert(text(&kv.key), text(&kv.value));
            ControlFlow::Continue(())
        };
        view.scan(&KeyRange::all(), &mut visit).unwrap();
        assert_eq!(found, expected);
    }
}

#[test]
fn counts_are_those_of_a_scan_at_every_size() {
    let (store, mut writer) = Store::open(
        Arc::new(MemoryBackend::new()),
        Options {
            chunk_keys: Some(8),
            ..Options::default()
        },
    )
    .unwrap();
    let key = |number: u32| bytes(&format!("{:05}", number.wrapping_mul(7919) % 20_000));
    let range =
        |from: u32, to: u32| KeyRange::Interval(bytes(&format!("{from:05}")), bytes(&format!("{to:05}")));
    let mut living = std::collections::BTreeSet::new();
    for step in 0..40 {
        let mut tx = writer.begin();
        for number in step * 100..step * 100 + 300 {
            if step % 4 == 3 {
                tx.delete_range(&KeyRange::Single(key(number - 150))).unwrap();
                living.remove(&key(number - 150));
            } else {
                tx.put(key(number), bytes("v"), 0).unwrap();
                living.insert(key(number));
            }
        }
        if step == 30 {
            tx.delete_range(&range(2000, 19_000)).unwrap();
            living.retain(|key| !range(2000, 19_000).contains(key));
        }
        for (from, to) in [(0, 20_000), (3, 4), (500, 7500), (1999, 19_001), (9000, 9000)] {
            let expected = living.iter().filter(|key| range(from, to).contains(key)).count();
            assert_eq!(tx.count(&range(from, to), 0).unwrap(), expected as u64);
        }
        tx.finish();
        writer.commit().unwrap();
        store.verify().unwrap();
        assert_eq!(
            store.view().count(&KeyRange::all(), 0).unwrap(),
            living.len() as u64
        );
    }
}

#[test]
fn a_page_of_many_keys_reads_a_page() {
    let backend = Arc::new(MemoryBackend::new());
    let counting = Arc::new(storage::faulty::FaultyBackend::new(backend));
    let (store, mut writer) = Store::open(counting.clone(), Options::default()).unwrap();
    for block in 0..20 {
        let mut tx = writer.begin();
        for number in 0..1000 {
            tx.put(
                bytes(&format!("key{:06}", block * 1000 + number)),
                bytes("value"),
                0,
            )
            .unwrap();
        }
        tx.finish();
        writer.commit().unwrap();
    }
    let steps = |request: &RangeRequest| {
        let before = counting.calls(storage::faulty::Operation::Scan);
        let response = store.view().range(request).unwrap();
        (
            counting.calls(storage::faulty::Operation::Scan) - before,
            response,
        )
    };
    let mut request = RangeRequest {
        key: bytes("key"),
        range_end: bytes("kez"),
        limit: 100,
        ..Default::default()
    };
    let (cost, page) = steps(&request);
    assert_eq!((page.count, page.more), (20_000, true));
    assert!(cost < 1000, "{cost} rows for 100");
    request.count_only = true;
    let (cost, count) = steps(&request);
    assert_eq!(count.count, 20_000);
    assert!(cost < 1000, "{cost} rows for a count");

    // The pages after it, at the same revision, while others write: the count of the rest is known.
    let revision = store.view().revision().0;
    for round in 0..200 {
        let mut tx = writer.begin();
        tx.put(bytes(&format!("key{round:06}x")), bytes("new"), 0)
            .unwrap();
        tx.finish();
    }
    writer.commit().unwrap();
    request.count_only = false;
    request.revision = revision;
    let last = Kv::decode(page.kvs.last().unwrap().clone()).unwrap().key;
    request.key = [&last[..], &[0]].concat().into();
    let (cost, page) = steps(&request);
    assert_eq!((page.count, page.kvs.len()), (19_900, 100));
    assert!(cost < 500, "{cost} rows for the second page");
}
