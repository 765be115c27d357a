//! Keys: a store that takes the rows of a backup over has the same history.

use crate::database::{Database, back_up};
use bytes::Bytes;
use model::{EventKind, KeyRange, Revision, RevisionKey};
use mvcc::{Options, Progress, Read, Store, Writer};
use std::sync::Arc;
use storage::memory::MemoryBackend;

struct Fixture {
    store: Store,
    writer: Writer,
}

impl Fixture {
    fn new() -> Fixture {
        let (store, writer) = Store::open(Arc::new(MemoryBackend::new()), Options::default()).unwrap();
        Fixture { store, writer }
    }

    /// A put for each key with a value, a delete for each without, all in one revision.
    fn change(&mut self, changes: &[(&str, Option<&str>)]) {
        let mut tx = self.writer.begin();
        for (key, value) in changes {
            let key = Bytes::copy_from_slice(key.as_bytes());
            match value {
                Some(value) => drop(tx.put(key, Bytes::copy_from_slice(value.as_bytes()), 0).unwrap()),
                None => drop(tx.delete_range(&KeyRange::Single(key)).unwrap()),
            }
        }
        tx.finish();
        self.writer.commit().unwrap();
    }

    fn compact(&mut self, revision: i64) {
        self.writer.compact(Revision(revision)).unwrap();
        self.writer.commit().unwrap();
    }

    fn sweep(&self) {
        while matches!(self.store.compaction_step(2).unwrap(), Progress::More { .. }) {}
    }

    /// Backs up, restores, and compares; answers the backup.
    fn back_up(&self) -> Database {
        let view = self.store.view();
        let database = back_up(&view);
        let restored = restore(&database, view.compacted());
        restored.store.verify().unwrap();
        assert_eq!(restored.store.view().revision(), view.revision());
        for revision in view.compacted().0.max(1)..=view.revision().0 {
            assert_eq!(
                restored.store.hash_kv(Revision(revision)).unwrap(),
                self.store.hash_kv(Revision(revision)).unwrap()
            );
        }
        database
    }
}

/// A store made of the rows of a backup, as etcd reads them.
fn restore(database: &Database, compacted: Revision) -> Fixture {
    let mut fixture = Fixture::new();
    let mut newest = compacted.max(Revision::EMPTY_STORE);
    for (key, kv) in &database.buckets["key"] {
        let (main, rest) = key.split_first_chunk().unwrap();
        let (mark, rest) = rest.split_first().unwrap();
        let (sub, end) = rest.split_first_chunk().unwrap();
        let at = RevisionKey {
            main: Revision(i64::from_be_bytes(*main)),
            sub: i64::from_be_bytes(*sub),
        };
        let kind = match end {
            b"" => EventKind::Put,
            b"t" => EventKind::Delete,
            _ => panic!("row {}", key.escape_ascii()),
        };
        assert_eq!(*mark, b'_');
        newest = newest.max(at.main);
        if kv.is_empty() {
            assert_eq!(kind, EventKind::Delete);
        } else {
            fixture.writer.import(at, kind, kv).unwrap();
        }
    }
    fixture.writer.import_position(newest, compacted).unwrap();
    fixture.writer.commit().unwrap();
    fixture
}

#[test]
fn versions_are_stored_as_etcd_stores_them() {
    let mut fixture = Fixture::new();
    fixture.change(&[("a", Some("1")), ("b", Some("2"))]);
    fixture.change(&[("a", None)]);
    let database = fixture.back_up();
    let expected = [
        r"\x00\x00\x00\x00\x00\x00\x00\x02_\x00\x00\x00\x00\x00\x00\x00\x00 = \n\x01a\x10\x02\x18\x02 \x01*\x011",
        r"\x00\x00\x00\x00\x00\x00\x00\x02_\x00\x00\x00\x00\x00\x00\x00\x01 = \n\x01b\x10\x02\x18\x02 \x01*\x012",
        r"\x00\x00\x00\x00\x00\x00\x00\x03_\x00\x00\x00\x00\x00\x00\x00\x00t = \n\x01a",
    ];
    assert_eq!(database.text("key"), expected);
    let expected = [
        r"consistent_index = \x00\x00\x00\x00\x00\x00\x00F",
        r"storageVersion = 3.7.0",
        r"term = \x00\x00\x00\x00\x00\x00\x00\x03",
    ];
    assert_eq!(database.text("meta"), expected);
}

#[test]
fn history_survives_before_during_and_after_a_compaction() {
    let mut fixture = Fixture::new();
    for round in 0..20 {
        let value = round.to_string();
        let gone = format!("gone{}", round % 3);
        fixture.change(&[("a", Some(&value)), (&gone, Some(&value))]);
        fixture.change(&[(&gone, None), ("b", Some(&value))]);
    }
    fixture.back_up();
    fixture.compact(20);
    let scheduled =
        r"scheduledCompactRev = \x00\x00\x00\x00\x00\x00\x00\x14_\x00\x00\x00\x00\x00\x00\x00\x00";
    let finished = r"finishedCompactRev = \x00\x00\x00\x00\x00\x00\x00\x14_\x00\x00\x00\x00\x00\x00\x00\x00";
    let has = |database: &Database, row: &str| database.text("meta").iter().any(|found| found == row);
    let before = fixture.back_up();
    assert!(has(&before, scheduled) && !has(&before, finished));
    fixture.store.compaction_step(4).unwrap();
    // Readers see what a step removed with the next commit.
    fixture.change(&[("c", Some("1"))]);
    let during = fixture.back_up();
    assert!(during.buckets["key"].len() < before.buckets["key"].len());
    fixture.sweep();
    let after = fixture.back_up();
    assert!(has(&after, scheduled) && has(&after, finished));
    assert!(after.buckets["key"].len() < during.buckets["key"].len());
    fixture.change(&[("a", None), ("b", None), ("c", None)]);
    fixture.back_up();
    fixture.compact(43);
    fixture.sweep();
    fixture.back_up();
}

#[test]
fn fifty_thousand_keys_make_a_tree_of_three_levels() {
    let mut fixture = Fixture::new();
    for group in 0..50 {
        for number in 0..1000 {
            let key = Bytes::from(format!("/registry/pods/default/{group}-{number}"));
            let mut tx = fixture.writer.begin();
            tx.put(key, Bytes::from(vec![b'.'; number % 300]), 0).unwrap();
            tx.finish();
        }
        fixture.writer.commit().unwrap();
    }
    let view = fixture.store.view();
    let database = back_up(&view);
    assert_eq!(
        (database.buckets["key"].len(), database.levels["key"]),
        (50_000, 3)
    );
    let restored = restore(&database, view.compacted());
    let newest = Revision(0);
    assert_eq!(
        restored.store.hash_kv(newest).unwrap(),
        fixture.store.hash_kv(newest).unwrap()
    );
}

#[test]
fn a_revision_beyond_the_newest_version_is_kept() {
    let mut fixture = Fixture::new();
    fixture.change(&[("a", Some("1"))]);
    fixture
        .writer
        .import_position(Revision(900), Revision(2))
        .unwrap();
    fixture.writer.commit().unwrap();
    let database = back_up(&fixture.store.view());
    let restored = restore(&database, Revision(2));
    assert_eq!(restored.store.view().revision(), Revision(900));
}
