//! Compaction: what it keeps, and that nothing comes between it and the writer.

use crate::support::{Fixture, bytes};
use model::pb::etcdserverpb::RangeRequest;
use model::{EventKind, KeyRange, Rejection, Revision};
use mvcc::{ChangesLimit, Error, Progress, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::memory::MemoryBackend;

#[test]
fn every_revision_from_the_compacted_one_on_reads_as_before() {
    for target in 2..=9 {
        let mut fixture = Fixture::new();
        fixture.put("a", "1");
        fixture.put("a", "2");
        fixture.put("b", "1");
        fixture.delete("a");
        fixture.put("a", "3");
        fixture.delete("b");
        fixture.delete("a");
        fixture.put("c", "1");
        let before: Vec<_> = (target..=9)
            .map(|at| (fixture.value("a", at), fixture.value("b", at)))
            .collect();
        fixture.compact(Revision(target));
        let after: Vec<_> = (target..=9)
            .map(|at| (fixture.value("a", at), fixture.value("b", at)))
            .collect();
        assert_eq!(before, after, "compacted at {target}");
        fixture.store.verify().unwrap();
    }
}

#[test]
fn a_delete_at_the_compacted_revision_is_still_seen_by_watchers() {
    let mut fixture = Fixture::new();
    fixture.put("a", "1");
    let deleted = fixture.delete("a");
    fixture.put("b", "1");
    fixture.compact(deleted);
    fixture.crash(usize::MAX);
    let limit = ChangesLimit {
        revisions: 10,
        bytes: 1000,
    };
    let changes = fixture.view().changes(deleted, limit).unwrap();
    assert_eq!(changes[0].revision, deleted);
    assert_eq!(changes[0].changes[0].kind, EventKind::Delete);
    assert!(
        changes[0].changes[0].prev_kv.is_empty(),
        "the version before is compacted"
    );
    fixture.compact(Revision(deleted.0 + 1));
    assert!(matches!(
        fixture.view().changes(deleted, limit),
        Err(Error::Rejected(Rejection::Compacted))
    ));
    fixture.store.verify().unwrap();
}

#[test]
fn the_revision_survives_a_compaction_that_removes_everything() {
    let mut fixture = Fixture::new();
    fixture.put("a", "1");
    let last = fixture.delete("a");
    fixture.compact(last);
    fixture.crash(usize::MAX);
    assert_eq!(fixture.view().revision(), last);
    assert_eq!(fixture.put("b", "1"), last.next());
    fixture.compact(last.next());
    assert_eq!(fixture.store.view().count(&KeyRange::all(), 0).unwrap(), 1);
}

#[test]
fn a_key_put_again_in_the_group_that_is_open_during_the_step_stays() {
    for batches in [0, 1] {
        let mut fixture = Fixture::new();
        fixture.put("a", "1");
        fixture.delete("a");
        let last = fixture.put("b", "1");
        fixture.writer.compact(last).unwrap();
        fixture.writer.commit().unwrap();
        fixture.flush();
        let mut tx = fixture.writer.begin();
        tx.put(bytes("a"), bytes("2"), 0).unwrap();
        tx.finish();
        let step = fixture.store.compaction_step(100).unwrap();
        assert!(matches!(step, Progress::Finished(_)));
        fixture.writer.commit().unwrap();
        assert_eq!(fixture.value("a", 0).as_deref(), Some("2"));
        fixture.store.verify().unwrap();
        // Replayed after a crash, with or without the step, it comes out the same.
        fixture.crash(batches);
        fixture.put("a", "2");
        fixture.sweep();
        assert_eq!(fixture.value("a", 0).as_deref(), Some("2"));
        fixture.store.verify().unwrap();
    }
}

#[test]
fn writes_go_on_beside_the_compaction() {
    let mut fixture = Fixture::new();
    for round in 0..200 {
        fixture.put(&format!("key{}", round % 7), "before");
        fixture.delete(&format!("key{}", round % 5));
    }
    let target = fixture.view().revision();
    fixture.writer.compact(target).unwrap();
    fixture.writer.commit().unwrap();
    let store = fixture.store.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || while store.compaction_step(2).unwrap() != Progress::Idle {});
        for round in 0..200 {
            fixture.put(&format!("key{}", round % 7), "after");
            if round % 3 == 0 {
                fixture.delete(&format!("key{}", round % 5));
            }
        }
    });
    fixture.sweep();
    fixture.store.verify().unwrap();
    assert_eq!(fixture.store.swept(), target);
    assert_eq!(fixture.value("key6", 0).as_deref(), Some("after"));
}

#[test]
fn a_crash_in_the_middle_resumes_where_the_rows_stand() {
    for batches in 0..30 {
        let mut fixture = Fixture::new();
        for round in 0..20 {
            fixture.put("a", &round.to_string());
            fixture.delete("a");
        }
        fixture.flush();
        fixture.writer.compact(Revision(30)).unwrap();
        fixture.writer.commit().unwrap();
        while fixture.store.compaction_pending() {
            fixture.store.compaction_step(2).unwrap();
        }
        fixture.crash(batches);
        fixture.store.verify().unwrap();
        if batches == 0 {
            assert_eq!(fixture.view().compacted(), Revision::NEVER_COMPACTED);
            continue;
        }
        fixture.sweep();
        fixture.store.verify().unwrap();
        assert_eq!(
            (fixture.view().compacted(), fixture.store.swept()),
            (Revision(30), Revision(30))
        );
    }
}

#[test]
fn whoever_waits_for_the_removal_is_told_once() {
    let mut fixture = Fixture::new();
    for round in 0..10 {
        fixture.put("a", &round.to_string());
    }
    let told = Arc::new(AtomicUsize::new(0));
    let wait = |fixture: &Fixture, revision| {
        let told = told.clone();
        let then = Box::new(move || {
            told.fetch_add(1, Ordering::Relaxed);
        });
        fixture.store.when_swept(Revision(revision), then);
    };
    wait(&fixture, -1);
    assert_eq!(told.load(Ordering::Relaxed), 1, "nothing to wait for");
    fixture.writer.compact(Revision(5)).unwrap();
    fixture.writer.commit().unwrap();
    wait(&fixture, 5);
    wait(&fixture, 8);
    fixture.store.compaction_step(1).unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 1);
    fixture.sweep();
    assert_eq!(told.load(Ordering::Relaxed), 2);
    fixture.compact(Revision(9));
    assert_eq!(told.load(Ordering::Relaxed), 3);
}

#[test]
fn a_store_that_nobody_uses_lets_go_of_what_it_removed() {
    let mut fixture = Fixture::new();
    for round in 0..10 {
        fixture.put("a", &round.to_string());
    }
    fixture.writer.compact(Revision(5)).unwrap();
    fixture.writer.commit().unwrap();
    let before = Arc::downgrade(&fixture.view());
    assert!(before.upgrade().is_some());
    fixture.sweep();
    assert!(before.upgrade().is_none(), "its snapshot still sees all versions");
}

#[test]
fn compactions_in_a_row_are_done_as_one() {
    let mut fixture = Fixture::new();
    for round in 0..10 {
        fixture.put("a", &round.to_string());
    }
    for target in [3, 5, 7] {
        fixture.writer.compact(Revision(target)).unwrap();
    }
    fixture.writer.commit().unwrap();
    assert_eq!(fixture.sweep(), 5);
    assert_eq!(
        fixture.store.compaction_hashes(),
        [],
        "etcd's hash is not that of the whole"
    );
    assert_eq!(fixture.view().compacted(), Revision(7));
}

#[test]
fn sizes_grow_with_versions_and_shrink_when_they_go() {
    let mut fixture = Fixture::new();
    let empty = fixture.store.sizes();
    assert!(empty.allocated <= 20 << 10 && empty.in_use < empty.allocated);
    let value = "v".repeat(4096);
    for _ in 0..8 {
        fixture.put("a", &value);
    }
    let full = fixture.store.sizes();
    assert_eq!(fixture.writer.sizes(), full);
    assert!(
        full.allocated > 53_248,
        "etcd's tests fill a quota of 13 pages with one key"
    );
    let newest = fixture.view().revision();
    fixture.compact(newest);
    let compacted = fixture.store.sizes();
    assert_eq!(compacted.allocated, full.allocated);
    assert!(compacted.in_use < empty.in_use + 5000);
    fixture.store.defragmented().unwrap();
    fixture.crash(usize::MAX);
    let defragmented = fixture.store.sizes();
    assert!(defragmented.allocated < 30_000 && defragmented.in_use == compacted.in_use);
}

#[test]
fn a_step_that_began_before_a_restore_changes_nothing_after_it() {
    let mut fixture = Fixture::new();
    for round in 0..10 {
        fixture.put("a", &round.to_string());
    }
    fixture.writer.compact(Revision(8)).unwrap();
    fixture.writer.commit().unwrap();
    let mut other = Fixture::new();
    other.put("a", "other");
    let old = fixture.view();
    let told = Arc::new(AtomicUsize::new(0));
    let teller = told.clone();
    let then = Box::new(move || {
        teller.fetch_add(1, Ordering::Relaxed);
    });
    fixture.store.when_swept(Revision(8), then);
    fixture.writer.restore(other.backend.clone()).unwrap();
    assert_eq!(fixture.value("a", 0).as_deref(), Some("other"));
    assert_eq!(fixture.view().revision(), Revision(2));
    let newest = RangeRequest {
        key: bytes("a"),
        ..Default::default()
    };
    assert_eq!(old.range(&newest).unwrap().header.unwrap().revision, 11);
    assert_eq!(fixture.store.compaction_step(10).unwrap(), Progress::Idle);
    assert_eq!(fixture.put("a", "new"), Revision(3));
    fixture.store.verify().unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 0);
    fixture.writer.restore(Arc::new(MemoryBackend::new())).unwrap();
    assert_eq!(fixture.view().revision(), Revision::EMPTY_STORE);
}
