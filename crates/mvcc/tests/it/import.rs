//! History taken over from a store that has compacted some of it.

use crate::hashes;
use crate::model::{Event, Model};
use crate::support::{Fixture, Random, bytes};
use bytes::Bytes;
use model::pb::etcdserverpb::RangeRequest;
use model::{EventKind, KeyRange, Revision, RevisionKey};
use mvcc::{Error, Read};

#[test]
fn an_imported_history_answers_and_hashes_as_its_original() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut model = history(&mut random);
        let compacted = random.below(model.revision as u64) as i64 + 1;
        model.compact(compacted).unwrap();
        let mut fixture = Fixture::new();
        for event in model.events.iter().filter(|event| is_kept(&model, event)) {
            import(&mut fixture, event).unwrap();
            if random.chance(20) {
                assert!(fixture.writer.commit().unwrap().is_empty());
            }
        }
        fixture
            .writer
            .import_position(Revision(model.revision), Revision(compacted))
            .unwrap();
        fixture.writer.commit().unwrap();
        fixture.store.verify().unwrap();
        for swept in [false, true] {
            if swept {
                assert_eq!(fixture.sweep(), 0, "seed {seed}");
                fixture.store.verify().unwrap();
            }
            for revision in compacted..=model.revision {
                let request = RangeRequest {
                    key: Bytes::from_static(b"\0"),
                    range_end: Bytes::from_static(b"\0"),
                    revision,
                    ..Default::default()
                };
                let answer = fixture.view().range(&request).unwrap();
                assert_eq!(answer, model.range(&request).unwrap());
                hashes::compare(&fixture.store, &model, Revision(revision));
            }
        }
        assert_eq!(fixture.put("new", "1").0, model.revision + 1);
        fixture.store.verify().unwrap();
    }
}

#[test]
fn a_revision_can_be_left_out() {
    let mut fixture = Fixture::new();
    let mut model = Model::new();
    model.put(&bytes("a"), &bytes("1"), 0);
    import(&mut fixture, &model.events[0]).unwrap();
    fixture
        .writer
        .import_position(Revision(1_000_000), Revision(1_000_000))
        .unwrap();
    fixture.writer.commit().unwrap();
    assert_eq!(fixture.put("b", "1"), Revision(1_000_001));
    assert_eq!(fixture.value("a", 1_000_000).as_deref(), Some("1"));
    fixture.sweep();
    fixture.store.verify().unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    let event = |revision, kv: &[u8]| Event {
        revision,
        sub: 0,
        key: bytes("a"),
        kind: EventKind::Put,
        kv: Bytes::copy_from_slice(kv),
        prev_kv: Bytes::new(),
    };
    let kv = |revision| model::encode_key_value(b"a", revision, revision, 1, b"", 0);
    for bad in [
        event(1, &kv(2)),
        event(2, b"\xff"),
        event(2, b""),
        event(4, &kv(4)),
        event(5, &kv(5)),
    ] {
        let mut fixture = Fixture::new();
        import(&mut fixture, &event(5, &kv(5))).unwrap();
        assert!(matches!(import(&mut fixture, &bad), Err(Error::Import(_))));
        assert!(matches!(fixture.writer.commit(), Err(Error::Failed)));
    }
    let mut fixture = Fixture::new();
    fixture.put("a", "1");
    for (revision, compacted) in [(1, -1), (5, 6), (5, -2)] {
        let result = fixture
            .writer
            .import_position(Revision(revision), Revision(compacted));
        assert!(matches!(result, Err(Error::Import(_))));
    }
}

/// Found by mutations of a backup: the store was made, and damaged.
#[test]
fn a_deletion_of_what_was_not_there_is_right_only_where_history_was_compacted_away() {
    let delete = Event {
        revision: 5,
        sub: 0,
        key: bytes("a"),
        kind: EventKind::Delete,
        kv: model::encode_key_value(b"a", 0, 5, 0, b"", 0),
        prev_kv: Bytes::new(),
    };
    for (compacted, is_right) in [(-1, false), (4, false), (5, true)] {
        let mut fixture = Fixture::new();
        import(&mut fixture, &delete).unwrap();
        let positioned = fixture.writer.import_position(Revision(7), Revision(compacted));
        assert_eq!(positioned.is_ok(), is_right, "{compacted}: {positioned:?}");
        if is_right {
            fixture.writer.commit().unwrap();
            fixture.store.verify().unwrap();
        }
    }
}

fn history(random: &mut Random) -> Model {
    let mut model = Model::new();
    for round in 0..40 {
        let key = bytes(&format!("key{}", random.below(8)));
        if random.chance(60) {
            model.put(&key, &bytes(&round.to_string()), round % 3);
        } else {
            model.delete_range(&KeyRange::Interval(key, bytes("key6")));
        }
        model.finish();
    }
    model
}

/// What etcd's compaction leaves.
fn is_kept(model: &Model, event: &Event) -> bool {
    let newest = model
        .events
        .iter()
        .rfind(|other| other.key == event.key && other.revision <= model.compacted);
    event.revision > model.compacted
        || newest == Some(event) && (event.kind == EventKind::Put || event.revision == model.compacted)
}

fn import(fixture: &mut Fixture, event: &Event) -> Result<(), Error> {
    let at = RevisionKey {
        main: Revision(event.revision),
        sub: event.sub,
    };
    fixture.writer.import(at, event.kind, &event.kv)
}
