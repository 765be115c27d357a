//! HashKV: against etcd's own numbers, and against its rules written down naively.

use crate::model::Model;
use crate::support::{Fixture, bytes};
use bytes::Bytes;
use model::{EventKind, KeyRange, Rejection, Revision};
use mvcc::{Error, HashKv, Read, Store};

/// Keys of etcd's own test (tests/framework/testutils/hash.go picks them so).
fn key(number: i64) -> &'static str {
    if number % 142 == 30 {
        return "zenek";
    }
    if number % 71 == 30 {
        return "xavery";
    }
    ["alice", "bob", "celine", "dominik", "eve", "frederica", "gorge"][(number % 7) as usize]
}

fn put_numbers(fixture: &mut Fixture, from: i64, count: i64) {
    for number in from..=from + count {
        fixture.put(key(number), &number.to_string());
    }
}

fn hash(hash: u32, compacted: i64, revision: i64) -> HashKv {
    HashKv {
        hash,
        compact_revision: Revision(compacted),
        hash_revision: Revision(revision),
    }
}

/// Hashes, compacts there, and finds the compaction to have computed the same.
fn hash_and_compact(fixture: &mut Fixture, revision: i64) -> HashKv {
    let hash = fixture.store.hash_kv(Revision(revision)).unwrap();
    fixture.compact(hash.hash_revision);
    assert_eq!(fixture.store.compaction_hashes().last(), Some(&hash));
    assert_eq!(fixture.store.hash_kv(hash.hash_revision).unwrap(), hash);
    fixture.store.verify().unwrap();
    hash
}

#[test]
fn hash_in_the_middle_of_the_history_is_etcds() {
    let mut fixture = Fixture::new();
    let mut found = Vec::new();
    for from in (0..1210).step_by(71) {
        put_numbers(&mut fixture, from, 71);
        found.push(hash_and_compact(&mut fixture, from + 35));
    }
    put_numbers(&mut fixture, 1278, 1210);
    found.push(hash_and_compact(&mut fixture, 1278 + 605));
    let expected = [
        hash(4082599214, -1, 35),
        hash(2279933401, 35, 106),
        hash(3284231217, 106, 177),
        hash(126286495, 177, 248),
        hash(900108730, 248, 319),
        hash(2475485232, 319, 390),
        hash(1226296507, 390, 461),
        hash(2503661030, 461, 532),
        hash(4155130747, 532, 603),
        hash(106915399, 603, 674),
        hash(406914006, 674, 745),
        hash(1882211381, 745, 816),
        hash(806177088, 816, 887),
        hash(664311366, 887, 958),
        hash(1496914449, 958, 1029),
        hash(2434525091, 1029, 1100),
        hash(3988652253, 1100, 1171),
        hash(1122462288, 1171, 1242),
        hash(724436716, 1242, 1883),
    ];
    assert_eq!(found, expected);
    assert_eq!(fixture.store.compaction_hashes(), expected[9..]);
}

#[test]
fn hash_of_the_newest_revision_is_etcds() {
    let mut fixture = Fixture::new();
    let mut found = Vec::new();
    for from in (0..1210).step_by(71) {
        put_numbers(&mut fixture, from, 71);
        found.push(hash_and_compact(&mut fixture, 0));
    }
    put_numbers(&mut fixture, 1278, 1210);
    found.push(hash_and_compact(&mut fixture, 0));
    let expected = [
        hash(1913897190, -1, 73),
        hash(224860069, 73, 145),
        hash(1565167519, 145, 217),
        hash(1566261620, 217, 289),
        hash(2037173024, 289, 361),
        hash(691659396, 361, 433),
        hash(2713730748, 433, 505),
        hash(3919322507, 505, 577),
        hash(769967540, 577, 649),
        hash(2909194793, 649, 721),
        hash(1576921157, 721, 793),
        hash(4067701532, 793, 865),
        hash(2226384237, 865, 937),
        hash(2923408134, 937, 1009),
        hash(2680329256, 1009, 1081),
        hash(1546717673, 1081, 1153),
        hash(2713657846, 1153, 1225),
        hash(1046575299, 1225, 1297),
        hash(2017735779, 1297, 2508),
    ];
    assert_eq!(found, expected);
}

#[test]
fn hash_does_not_depend_on_how_far_the_removal_is() {
    let mut fixture = Fixture::new();
    for number in 0..40 {
        fixture.put(key(number), &number.to_string());
        if number % 3 == 0 {
            fixture.delete(key(number + 2));
        }
    }
    let middle = fixture.view().revision().0 / 2;
    fixture.writer.compact(Revision(middle)).unwrap();
    fixture.writer.commit().unwrap();
    let expected = fixture.store.hash_kv(Revision(0)).unwrap();
    while fixture.store.compaction_pending() {
        fixture.store.compaction_step(1).unwrap();
        assert_eq!(fixture.store.hash_kv(Revision(0)).unwrap(), expected);
    }
}

/// The newest hash would be that of the empty store for ever, and a comparison of members would find them corrupt.
#[test]
fn a_compaction_to_nothing_is_not_taken_for_the_newest_revision() {
    let mut fixture = Fixture::new();
    fixture.compact(Revision(0));
    put_numbers(&mut fixture, 0, 3);
    let newest = fixture.store.hash_kv(Revision(0)).unwrap();
    assert_eq!(newest.hash_revision, fixture.view().revision());
    assert_eq!(newest.compact_revision, Revision(0));
}

#[test]
fn an_interrupted_compaction_stores_no_hash() {
    let mut fixture = Fixture::new();
    put_numbers(&mut fixture, 0, 20);
    fixture.writer.compact(Revision(10)).unwrap();
    fixture.writer.commit().unwrap();
    fixture.store.compaction_step(2).unwrap();
    fixture.crash(usize::MAX);
    fixture.sweep();
    assert_eq!(fixture.store.swept(), Revision(10));
    assert_eq!(fixture.store.compaction_hashes(), []);
    fixture.compact(Revision(15));
    assert_eq!(fixture.store.compaction_hashes().len(), 1);
}

/// The fault: members before and after the compaction answer differently, and one is taken for corrupt.
#[test]
fn a_compaction_to_where_the_last_keys_were_deleted_stores_no_hash() {
    let mut fixture = Fixture::new();
    fixture.put("a", "1");
    let emptied = fixture.delete("a");
    fixture.put("c", "1");
    fixture.compact(emptied);
    assert_eq!(fixture.store.compaction_hashes(), []);
    let later = fixture.put("d", "1");
    fixture.compact(later);
    assert_eq!(fixture.store.compaction_hashes().len(), 1);
}

/// The fault: whoever asks before and after a compaction is told that it has changed what was kept.
#[test]
fn what_was_answered_before_a_compaction_is_answered_after_it() {
    let mut fixture = Fixture::new();
    fixture.put("a", "1");
    let emptied = fixture.delete("a");
    put_numbers(&mut fixture, 0, 5);
    let as_told = |fixture: &Fixture, revision| fixture.store.hash_kv_as_told(revision).unwrap();
    let before = as_told(&fixture, emptied);
    fixture.compact(emptied);
    assert_eq!(as_told(&fixture, emptied), before);
    let checked = fixture.store.hash_kv(emptied).unwrap();
    assert_ne!(
        checked.hash, before.hash,
        "members that were not asked before would not agree"
    );
    // Another compaction between the two has removed more than the answer knew of.
    let [between, last] = [(); 2].map(|()| fixture.put("a", "2"));
    as_told(&fixture, last);
    fixture.compact(between);
    fixture.compact(last);
    assert_eq!(as_told(&fixture, last), fixture.store.hash_kv(last).unwrap());
    assert!(fixture.store.hash_kv_as_told(emptied).is_err());
}

#[test]
fn hash_rejects_what_cannot_be_read() {
    let mut fixture = Fixture::new();
    put_numbers(&mut fixture, 0, 20);
    fixture.compact(Revision(10));
    let reason = |revision| match fixture.store.hash_kv(Revision(revision)) {
        Err(Error::Rejected(rejection)) => Some(rejection),
        _ => None,
    };
    assert_eq!(reason(9), Some(Rejection::Compacted));
    assert_eq!(reason(10), None);
    assert_eq!(reason(-5), None);
    assert_eq!(reason(100), Some(Rejection::FutureRevision));
}

#[test]
fn the_state_hash_shows_any_difference_but_history() {
    let mut fixture = Fixture::new();
    let mut other = Fixture::new();
    put_numbers(&mut fixture, 0, 20);
    put_numbers(&mut other, 0, 20);
    fixture.compact(Revision(10));
    assert_eq!(fixture.store.hash().unwrap(), other.store.hash().unwrap());
    other
        .writer
        .batch()
        .put(storage::Family::Lease, bytes("lease"), bytes("ttl"));
    other.writer.commit().unwrap();
    assert_ne!(fixture.store.hash().unwrap(), other.store.hash().unwrap());
}

/// Compares HashKV with the rules of etcd, applied to all that ever happened.
pub fn compare(store: &Store, model: &Model, revision: Revision) {
    let asked = if revision.0 == 0 {
        model.revision
    } else {
        revision.0
    };
    if store
        .compaction_hashes()
        .iter()
        .any(|stored| stored.hash_revision == revision)
    {
        return;
    }
    let found = store.hash_kv(revision);
    if asked > model.revision || asked < model.compacted {
        assert!(matches!(found, Err(Error::Rejected(_))));
        return;
    }
    let expected = hash(naive(model, asked), model.compacted, asked);
    assert_eq!(found.unwrap(), expected);
}

fn naive(model: &Model, revision: i64) -> u32 {
    let needed_by = if model.state(revision).is_empty() {
        model.compacted
    } else {
        revision
    };
    let mut sum = crc32c::crc32c(b"key");
    for (place, event) in model.events.iter().enumerate() {
        let replaced = model.events[place + 1..]
            .iter()
            .any(|later| later.key == event.key && later.revision <= needed_by);
        let old = event.revision <= model.compacted;
        if event.revision > revision || old && (replaced || event.kind == EventKind::Delete) {
            continue;
        }
        let mut row = event.revision.to_be_bytes().to_vec();
        row.push(b'_');
        row.extend(event.sub.to_be_bytes());
        match event.kind {
            EventKind::Put => row.extend(&event.kv[..]),
            EventKind::Delete => {
                row.push(b't');
                row.extend(model::encode_key_value(&event.key, 0, 0, 0, b"", 0));
            }
        }
        sum = crc32c::crc32c_append(sum, &row);
    }
    sum
}

#[test]
fn hash_of_a_store_whose_keys_are_all_deleted() {
    let mut fixture = Fixture::new();
    let mut model = Model::new();
    for name in ["a", "b", "c"] {
        fixture.put(name, "1");
        model.put(&bytes(name), &Bytes::from_static(b"1"), 0);
        model.finish();
    }
    for (name, compact) in [("a", 4), ("b", 6), ("c", 7)] {
        fixture.delete(name);
        model.delete_range(&KeyRange::Single(bytes(name)));
        model.finish();
        for revision in 1..=model.revision + 1 {
            compare(&fixture.store, &model, Revision(revision));
        }
        if compact <= model.revision {
            fixture.compact(Revision(compact));
            model.compact(compact).unwrap();
        }
        for revision in 1..=model.revision + 1 {
            compare(&fixture.store, &model, Revision(revision));
        }
    }
}
