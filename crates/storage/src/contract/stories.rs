//! One promise each.

use super::Engine;
use super::model::{Model, assert_same};
use crate::backend::Backend;
use crate::{Batch, Family};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

type Story = fn(&dyn Engine, &Path);

pub const ALL: [(&str, Story); 13] = [
    ("later_changes_of_a_batch_win", later_changes_of_a_batch_win),
    ("keys_and_values_are_any_bytes", keys_and_values_are_any_bytes),
    ("families_are_apart", families_are_apart),
    (
        "readers_see_a_batch_whole_or_not_at_all",
        readers_see_a_batch_whole_or_not_at_all,
    ),
    ("a_snapshot_stays_as_it_was", a_snapshot_stays_as_it_was),
    ("a_snapshot_outlives_the_store", a_snapshot_outlives_the_store),
    ("cursors_keep_to_their_bounds", cursors_keep_to_their_bounds),
    ("seek_stays_within_bounds", seek_stays_within_bounds),
    (
        "a_removed_range_ends_before_its_end",
        a_removed_range_ends_before_its_end,
    ),
    (
        "a_checkpoint_is_complete_and_on_its_own",
        a_checkpoint_is_complete_and_on_its_own,
    ),
    (
        "a_crash_loses_only_what_came_after_the_flush",
        a_crash_loses_only_what_came_after_the_flush,
    ),
    (
        "a_flushed_store_reopens_as_it_was",
        a_flushed_store_reopens_as_it_was,
    ),
    ("sizes_follow_the_data", sizes_follow_the_data),
];

fn put(store: &dyn Backend, family: Family, rows: &[(&str, &str)]) {
    let mut batch = Batch::new();
    for (key, value) in rows {
        batch.put(family, key.as_bytes().to_vec(), value.as_bytes().to_vec());
    }
    store.write(batch).unwrap();
}

fn get(store: &dyn Backend, family: Family, key: &str) -> Option<String> {
    let value = store.get(family, key.as_bytes()).unwrap();
    let in_snapshot = store.snapshot().unwrap().get(family, key.as_bytes()).unwrap();
    assert_eq!(value, in_snapshot, "a fresh snapshot shows what the store shows");
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn later_changes_of_a_batch_win(engine: &dyn Engine, scratch: &Path) {
    let store = engine.open(&scratch.join("store")).unwrap();
    let family = Family::Current;
    let mut batch = Batch::new();
    batch.put(family, "twice", "first");
    batch.put(family, "twice", "second");
    batch.put(family, "gone", "value");
    batch.delete(family, "gone");
    batch.put(family, "in range, before", "value");
    batch.delete_range(family, "in", "in s");
    batch.put(family, "in range, after", "value");
    batch.delete(family, "never there");
    store.write(batch).unwrap();
    assert_eq!(get(&*store, family, "twice").as_deref(), Some("second"));
    assert_eq!(get(&*store, family, "gone"), None);
    assert_eq!(get(&*store, family, "in range, before"), None);
    assert_eq!(get(&*store, family, "in range, after").as_deref(), Some("value"));

    store.write(Batch::new()).unwrap();
    assert_eq!(get(&*store, family, "twice").as_deref(), Some("second"));
}

fn keys_and_values_are_any_bytes(engine: &dyn Engine, scratch: &Path) {
    let store = engine.open(&scratch.join("store")).unwrap();
    let mut model = Model::default();
    let mut batch = Batch::new();
    for byte in 0..=255u8 {
        batch.put(Family::Log, vec![byte], vec![byte; 3]);
        batch.put(Family::Log, vec![byte, 0], vec![]);
        batch.put(Family::Log, vec![0xff, 0xff, byte], vec![0]);
    }
    batch.put(Family::Log, vec![], vec![1]);
    batch.put(
        Family::Log,
        vec![b'k'; store.key_bytes_max().min(100_000)],
        vec![b'v'; 1_600_000],
    );
    model.apply(&batch);
    store.write(batch).unwrap();
    assert_same(&*store.snapshot().unwrap(), &model);
    store.flush().unwrap();
    assert_same(&*store.snapshot().unwrap(), &model);
}

fn families_are_apart(engine: &dyn Engine, scratch: &Path) {
    let store = engine.open(&scratch.join("store")).unwrap();
    for family in Family::ALL {
        put(&*store, family, &[("a", family.name()), ("b", "")]);
    }
    let mut batch = Batch::new();
    batch.delete_range(Family::Log, "a", "z");
    batch.delete(Family::Auth, "a");
    store.write(batch).unwrap();
    for family in Family::ALL {
        let expected = Some(family.name()).filter(|_| !matches!(family, Family::Log | Family::Auth));
        assert_eq!(get(&*store, family, "a").as_deref(), expected, "{family:?}");
    }
}

fn readers_see_a_batch_whole_or_not_at_all(engine: &dyn Engine, scratch: &Path) {
    let store = engine.open(&scratch.join("store")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..400u32 {
                let mut batch = Batch::new();
                for family in Family::ALL {
                    batch.put(family, "round", round.to_string());
                    batch.put(family, format!("{round:04}"), vec![b'x'; 200]);
                }
                store.write(batch).unwrap();
                if round % 100 == 50 {
                    store.flush().unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
        let mut last = None;
        while !done.load(Ordering::Acquire) {
            let snapshot = store.snapshot().unwrap();
            let rounds = Family::ALL.map(|family| {
                let round = snapshot.get(family, b"round").unwrap()?;
                Some(std::str::from_utf8(&round).unwrap().parse::<u32>().unwrap())
            });
            assert!(
                rounds.iter().all(|round| *round == rounds[0]),
                "half a batch: {rounds:?}"
            );
            assert!(last <= rounds[0], "time ran backward");
            last = rounds[0];
            if let Some(round) = last {
                let mut cursor = snapshot.scan(Family::Log, (Unbounded, Excluded(b"r"))).unwrap();
                let mut rows = 0;
                while cursor.next().unwrap().is_some() {
                    rows += 1;
                }
                assert_eq!(rows, round + 1);
            }
        }
    });
}

fn a_snapshot_stays_as_it_was(engine: &dyn Engine, scratch: &Path) {
    let store = engine.open(&scratch.join("store")).unwrap();
    let mut model = Model::default();
    let mut kept = Vec::new();
    for round in 0..12u32 {
        let mut batch = Batch::new();
        for key in 0..40u32 {
            batch.put(
                Family::Current,
                format!("{:03}", key * 7 % 50),
                format!("{round}"),
            );
        }
        batch.delete(Family::Current, format!("{:03}", round * 3));
        batch.delete_range(
            Family::Current,
            format!("{:03}", round),
            format!("{:03}", round + 2),
        );
        model.apply(&batch);
        store.write(batch).unwrap();
        kept.push((store.snapshot().unwrap(), model.clone()));
        match round {
            5 => store.flush().unwrap(),
            8 => store.reclaim().unwrap(),
            _ => {}
        }
    }
    for (snapshot, model) in &kept {
        assert_same(&**snapshot, model);
    }
}

fn a_snapshot_outlives_the_store(engine: &dyn Engine, scratch: &Path) {
    let store = engine.open(&scratch.join("store")).unwrap();
    put(&*store, Family::Current, &[("a", "1"), ("b", "2")]);
    let snapshot = store.snapshot().unwrap();
    let mut cursor = snapshot.scan(Family::Current, (Unbounded, Unbounded)).unwrap();
    drop(store);
    assert_eq!(cursor.next().unwrap(), Some((&b"a"[..], &b"1"[..])));
    assert_eq!(
        snapshot.get(Family::Current, b"b").unwrap().as_deref(),
        Some(&b"2"[..])
    );
}

fn cursors_keep_to_their_bounds(engine: &dyn Engine, scratch: &Path) {
    let store = engine.open(&scratch.join("store")).unwrap();
    let mut model = Model::default();
    // Enough that memory, a flushed file and a removed stretch all take part.
    for part in 0..3u32 {
        let mut batch = Batch::new();
        for key in 0..300u32 {
            batch.put(
                Family::Versions,
                format!("{:04}", key * 3 + part),
                format!("value {key}"),
            );
        }
        batch.delete_range(
            Family::Versions,
            format!("{:04}", 300 * part),
            format!("{:04}", 300 * part + 40),
        );
        model.apply(&batch);
        store.write(batch).unwrap();
        if part < 2 {
            store.flush().unwrap();
        }
    }
    let snapshot = store.snapshot().unwrap();
    let keys = ["", "0", "0000", "0041", "00415", "0450", "0899", "1"];
    for low in keys {
        for high in keys {
            let (low, high) = (low.as_bytes(), high.as_bytes());
            for low in [Unbounded, Included(low), Excluded(low)] {
                for high in [Unbounded, Included(high), Excluded(high)] {
                    model.check_range(&*snapshot, Family::Versions, (low, high));
                }
            }
        }
    }
}

fn seek_stays_within_bounds(engine: &dyn Engine, scratch: &Path) {
    let store = engine.open(&scratch.join("store")).unwrap();
    put(
        &*store,
        Family::Log,
        &[("a", ""), ("c", ""), ("e", ""), ("g", ""), ("i", "")],
    );
    let snapshot = store.snapshot().unwrap();
    let mut cursor = snapshot
        .scan(Family::Log, (Excluded(b"a"), Excluded(b"i")))
        .unwrap();
    let mut seek = |key: &str| {
        cursor.seek(key.as_bytes()).unwrap();
        let first = cursor
            .next()
            .unwrap()
            .map(|(key, _)| String::from_utf8(key.to_vec()).unwrap());
        let second = cursor
            .next()
            .unwrap()
            .map(|(key, _)| String::from_utf8(key.to_vec()).unwrap());
        (first, second)
    };
    let keys = |first: &str, second: &str| {
        let some = |key: &str| Some(key.to_owned()).filter(|key| !key.is_empty());
        (some(first), some(second))
    };
    assert_eq!(seek("c"), keys("c", "e"));
    assert_eq!(seek("d"), keys("e", "g"));
    assert_eq!(seek("e"), keys("e", "g"), "the key last shown but one, again");
    assert_eq!(seek(""), keys("c", "e"), "before the range");
    assert_eq!(seek("a"), keys("c", "e"), "at the excluded start");
    assert_eq!(seek("g"), keys("g", ""));
    assert_eq!(seek("h"), keys("", ""));
    assert_eq!(seek("i"), keys("", ""), "at the excluded end");
    assert_eq!(seek("z"), keys("", ""), "behind the range");
    assert_eq!(seek("c"), keys("c", "e"), "after the end was reached");
}

fn a_removed_range_ends_before_its_end(engine: &dyn Engine, scratch: &Path) {
    let store = engine.open(&scratch.join("store")).unwrap();
    let mut model = Model::default();
    let change = |model: &mut Model, fill: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::new();
        fill(&mut batch);
        model.apply(&batch);
        store.write(batch).unwrap();
        assert_same(&*store.snapshot().unwrap(), model);
    };
    let key = |n: u32| format!("{n:05}");
    change(&mut model, &|batch| {
        for n in 0..3000 {
            batch.put(Family::Log, key(n), "x");
        }
    });
    change(&mut model, &|batch| {
        batch.delete_range(Family::Log, key(10), key(11))
    });
    change(&mut model, &|batch| {
        batch.delete_range(Family::Log, key(20), key(20))
    });
    change(&mut model, &|batch| {
        batch.delete_range(Family::Log, key(31), key(30))
    });
    change(&mut model, &|batch| batch.delete_range(Family::Log, "", key(100)));
    store.flush().unwrap();
    change(&mut model, &|batch| {
        batch.delete_range(Family::Log, key(50), key(2990))
    });
    change(&mut model, &|batch| batch.put(Family::Log, key(1000), "back"));
    store.reclaim().unwrap();
    assert_same(&*store.snapshot().unwrap(), &model);
    change(&mut model, &|batch| batch.delete_range(Family::Log, "", "z"));
    change(&mut model, &|batch| batch.put(Family::Log, key(7), "again"));
}

fn a_checkpoint_is_complete_and_on_its_own(engine: &dyn Engine, scratch: &Path) {
    let store = engine.open(&scratch.join("store")).unwrap();
    let mut before = Model::default();
    for (n, family) in Family::ALL.into_iter().enumerate() {
        let mut batch = Batch::new();
        for key in 0..200u32 {
            batch.put(family, format!("{key:04}"), format!("{n} {key}"));
        }
        batch.delete_range(family, "0050", "0060");
        before.apply(&batch);
        store.write(batch).unwrap();
        if n == 4 {
            store.flush().unwrap();
        }
    }
    let copy_dir = scratch.join("copy");
    store.checkpoint(&copy_dir).unwrap();
    store.checkpoint(&copy_dir).expect_err("the directory exists");
    put(&*store, Family::Current, &[("later", "")]);
    store.flush().unwrap();

    let copy = engine.open(&copy_dir).unwrap();
    assert_same(&*copy.snapshot().unwrap(), &before);
    put(&*copy, Family::Current, &[("only in the copy", "")]);
    copy.reclaim().unwrap();
    assert_eq!(get(&*copy, Family::Current, "later"), None);
    assert_eq!(get(&*store, Family::Current, "only in the copy"), None);
    assert_eq!(get(&*store, Family::Current, "later").as_deref(), Some(""));

    let copy_of_copy = scratch.join("copy of copy");
    copy.checkpoint(&copy_of_copy).unwrap();
    drop((copy, store));
    let copy = engine.open(&copy_of_copy).unwrap();
    assert_eq!(
        get(&*copy, Family::Current, "only in the copy").as_deref(),
        Some("")
    );
}

fn a_crash_loses_only_what_came_after_the_flush(engine: &dyn Engine, scratch: &Path) {
    let dir = scratch.join("store");
    let store = engine.open(&dir).unwrap();
    let mut models = vec![Model::default()];
    for n in 0..30u32 {
        let mut batch = Batch::new();
        for family in Family::ALL {
            batch.put(family, format!("{:02}", n % 7), n.to_string());
        }
        batch.put(Family::Log, format!("log {n:04}"), vec![b'x'; 300]);
        batch.delete_range(Family::Log, "log ", format!("log {:04}", n.saturating_sub(5)));
        let mut model = models[models.len() - 1].clone();
        model.apply(&batch);
        models.push(model);
        store.write(batch).unwrap();
        if n == 19 {
            store.flush().unwrap();
        }
    }
    let image = scratch.join("image");
    engine.crash(&dir, &image);
    let found = engine.open(&image).unwrap();
    let found = Model::read(&*found.snapshot().unwrap());
    let batches = models.iter().position(|model| *model == found);
    let batches = batches.expect("the state after one of the batches, each of them whole");
    assert!(batches >= 20, "only {batches} of 20 flushed batches were found");
}

fn a_flushed_store_reopens_as_it_was(engine: &dyn Engine, scratch: &Path) {
    let dir = scratch.join("store");
    let mut model = Model::default();
    for round in 0..3u32 {
        let store = engine.open(&dir).unwrap();
        assert_same(&*store.snapshot().unwrap(), &model);
        let mut batch = Batch::new();
        for family in Family::ALL {
            batch.put(family, format!("{round}"), vec![b'x'; 100]);
            batch.delete(family, format!("{}", round.wrapping_sub(2)));
        }
        model.apply(&batch);
        store.write(batch).unwrap();
        store.flush().unwrap();
        store.flush().unwrap();
    }
}

fn sizes_follow_the_data(engine: &dyn Engine, scratch: &Path) {
    let store = engine.open(&scratch.join("store")).unwrap();
    let empty = store.sizes().unwrap();
    let mut batch = Batch::new();
    let mut state = 1u64;
    for key in 0..2000u32 {
        // Bytes that do not compress.
        let value: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(1000)
        .collect();
        batch.put(Family::Current, key.to_be_bytes().to_vec(), value);
    }
    store.write(batch).unwrap();
    store.flush().unwrap();
    let full = store.sizes().unwrap();
    assert!(full.disk >= empty.disk + 1_500_000, "{empty:?} {full:?}");
    assert!(full.in_use <= full.disk && full.in_use >= 1_500_000, "{full:?}");
    let mut batch = Batch::new();
    batch.delete_range(
        Family::Current,
        100u32.to_be_bytes().to_vec(),
        u32::MAX.to_be_bytes().to_vec(),
    );
    store.write(batch).unwrap();
    store.flush().unwrap();
    store.reclaim().unwrap();
    let reclaimed = store.sizes().unwrap();
    assert!(reclaimed.in_use < full.in_use / 2, "{full:?} {reclaimed:?}");
}
