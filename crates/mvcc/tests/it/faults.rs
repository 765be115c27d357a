//! An engine that fails: no group is half there, and nothing goes on after it.

use crate::support::{Fixture, OPTIONS, bytes};
use model::pb::etcdserverpb::RangeRequest;
use model::{KeyRange, Revision};
use mvcc::{ChangesLimit, Error, Read, Store, Writer};
use std::sync::Arc;
use storage::faulty::{FaultyBackend, Operation};
use storage::memory::MemoryBackend;

fn faulty() -> (Arc<MemoryBackend>, Arc<FaultyBackend>, Store, Writer) {
    let memory = Arc::new(MemoryBackend::new());
    let backend = Arc::new(FaultyBackend::new(memory.clone()));
    let (store, writer) = Store::open(backend.clone(), OPTIONS).unwrap();
    (memory, backend, store, writer)
}

fn put(writer: &mut Writer, key: &str) -> Result<(), Error> {
    let mut tx = writer.begin();
    tx.put(bytes(key), bytes("value"), 0)?;
    tx.finish();
    Ok(())
}

#[test]
fn after_a_failed_commit_the_writer_refuses_everything() {
    let (memory, backend, store, mut writer) = faulty();
    put(&mut writer, "a").unwrap();
    writer.commit().unwrap();
    backend.fail_nth(Operation::Write, 1);
    put(&mut writer, "b").unwrap();
    assert!(matches!(writer.commit(), Err(Error::Storage(_))));
    assert_eq!(store.view().revision(), Revision(2), "nothing is published");
    assert!(matches!(put(&mut writer, "c"), Err(Error::Failed)));
    assert!(matches!(writer.commit(), Err(Error::Failed)));
    let (store, _) = Store::open(memory, OPTIONS).unwrap();
    assert_eq!(store.view().revision(), Revision(2));
    store.verify().unwrap();
}

#[test]
fn a_group_with_a_failed_read_is_never_committed() {
    for read in [Operation::Get, Operation::Scan] {
        let (_, backend, store, mut writer) = faulty();
        put(&mut writer, "a").unwrap();
        put(&mut writer, "b").unwrap();
        writer.commit().unwrap();
        put(&mut writer, "c").unwrap();
        backend.fail_nth(read, 1);
        let mut tx = writer.begin();
        let result = match read {
            Operation::Get => tx.put(bytes("a"), bytes("2"), 0).map(drop),
            _ => tx.delete_range(&KeyRange::all()).map(drop),
        };
        assert!(matches!(result, Err(Error::Storage(_))));
        tx.finish();
        assert!(matches!(writer.commit(), Err(Error::Failed)));
        assert_eq!(store.view().revision(), Revision(3));
        store.verify().unwrap();
    }
}

#[test]
fn every_failing_read_is_an_error_and_no_wrong_answer() {
    let (memory, _, store, mut writer) = faulty();
    for round in 0..30 {
        put(&mut writer, &format!("key{}", round % 10)).unwrap();
    }
    writer.commit().unwrap();
    let view = store.view();
    let request = RangeRequest {
        key: bytes("key1"),
        range_end: bytes("key9"),
        revision: 15,
        limit: 3,
        ..Default::default()
    };
    let limit = ChangesLimit {
        revisions: 5,
        bytes: 10_000,
    };
    let expected = (
        view.range(&request).unwrap(),
        view.changes(Revision(20), limit).unwrap(),
    );
    for operation in [Operation::Get, Operation::Scan] {
        for nth in 1.. {
            let backend = Arc::new(FaultyBackend::new(memory.clone()));
            let fresh = Store::open(backend.clone(), OPTIONS).unwrap().0.view();
            backend.fail_nth(operation, nth);
            let before = backend.calls(operation);
            let answer = fresh
                .range(&request)
                .and_then(|range| Ok((range, fresh.changes(Revision(20), limit)?)));
            let done = backend.calls(operation) - before < nth;
            match answer {
                Ok(answer) => assert!(answer == expected && done),
                Err(error) => assert!(matches!(error, Error::Storage(_)) && !done),
            }
            if done {
                break;
            }
        }
    }
}

#[test]
fn a_failed_step_of_compaction_can_be_repeated() {
    let (memory, backend, store, mut writer) = faulty();
    for _ in 0..10 {
        put(&mut writer, "a").unwrap();
    }
    writer.compact(Revision(8)).unwrap();
    writer.commit().unwrap();
    backend.fail_nth(Operation::Scan, 2);
    assert!(matches!(store.compaction_step(100), Err(Error::Storage(_))));
    backend.fail_nth(Operation::Write, 1);
    assert!(matches!(store.compaction_step(100), Err(Error::Storage(_))));
    let (store, _) = Store::open(memory, OPTIONS).unwrap();
    while store.compaction_pending() {
        store.compaction_step(100).unwrap();
    }
    store.verify().unwrap();
}

#[test]
fn damage_is_found() {
    use storage::{Backend, Batch, Family};
    type Damage = fn(&mut Batch);
    let damages: [Damage; 6] = [
        |batch| batch.delete(Family::Current, "a"),
        |batch| batch.put(Family::Current, "b", bytes("nonsense")),
        |batch| {
            batch.delete(
                Family::Versions,
                &b"a\0\x01\xff\xff\xff\xff\xff\xff\xff\xfd\xff\xff\xff\xff\xff\xff\xff\xff"[..],
            )
        },
        |batch| batch.delete(Family::Log, &b"\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0"[..]),
        |batch| batch.put(Family::Counts, "f", &b"\0\0\0\0\0\0\0\x07"[..]),
        |batch| {
            batch.put(
                Family::Log,
                &b"\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0"[..],
                &b"\0"[..],
            )
        },
    ];
    for damage in damages {
        let mut fixture = Fixture::new();
        fixture.put("a", "1");
        fixture.put("a", "2");
        fixture.put("b", "1");
        let mut batch = Batch::new();
        damage(&mut batch);
        fixture.backend.write(batch).unwrap();
        assert!(matches!(fixture.store.verify(), Err(Error::Damaged(_))));
    }
}

/// Sums of numbers that are near the end of their type.
#[test]
fn counts_beyond_all_reason_are_damage() {
    use storage::{Backend, Batch, Family};
    const MOST: u64 = 1 << 62;
    for counts in [&[u64::MAX][..], &[MOST + 1], &[MOST, 1], &[MOST]] {
        let mut fixture = Fixture::new();
        fixture.put("a", "1");
        fixture.put("b", "1");
        let mut batch = Batch::new();
        for (fence, count) in ["f", "fb"].into_iter().zip(counts) {
            batch.put(Family::Counts, fence, count.to_be_bytes().to_vec());
        }
        fixture.backend.write(batch).unwrap();
        let opened = Store::open(fixture.backend.clone(), OPTIONS);
        if counts != [MOST] {
            assert!(matches!(opened, Err(Error::Damaged(_))));
            continue;
        }
        let (store, _writer) = opened.unwrap();
        let request = RangeRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            count_only: true,
            revision: 2,
            ..RangeRequest::default()
        };
        assert_eq!(store.view().range(&request).unwrap().count, MOST as i64 - 1);
    }
}
