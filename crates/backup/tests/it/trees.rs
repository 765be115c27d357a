//! Pages: what fits, what overflows, how high trees grow. Rows of users stand for any rows: only their prefix is taken
//! away.

use crate::database::{Database, Rows, back_up};
use bytes::Bytes;
use mvcc::{Options, Store};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::sync::Arc;
use storage::memory::MemoryBackend;
use storage::{Backend, Batch, Family};

fn users(rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Database {
    let backend = MemoryBackend::new();
    let mut batch = Batch::new();
    for (key, value) in rows {
        batch.put(Family::Auth, [b"user/", &key[..]].concat(), value);
    }
    backend.write(batch).unwrap();
    let (store, _) = Store::open(Arc::new(backend), Options::default()).unwrap();
    back_up(&store.view())
}

/// As many rows, with keys and values of these lengths.
fn many(count: u32, key_len: usize, value_len: usize) -> Rows {
    let key = |number: u32| {
        let mut key = number.to_be_bytes().to_vec();
        key.resize(key_len, b'.');
        key
    };
    (0..count)
        .map(|number| (key(number), vec![number as u8; value_len]))
        .collect()
}

#[test]
fn an_empty_store_has_every_bucket() {
    let database = users([]);
    let names: Vec<&str> = database.buckets.keys().map(String::as_str).collect();
    let expected = [
        "alarm",
        "auth",
        "authRoles",
        "authUsers",
        "cluster",
        "key",
        "lease",
        "members",
        "members_removed",
        "meta",
    ];
    assert_eq!(names, expected);
    assert_eq!(database.levels["key"], 1);
    // Two meta pages, the free list, ten buckets, the root.
    assert_eq!(database.bytes.len(), 14 * 4096);
}

#[test]
fn a_page_is_filled_to_the_last_byte() {
    // A header of 16 bytes, and 16 bytes for each row besides key and value.
    for (last, pages) in [
        (4096 - 16 - 16 - 100 - 16 - 4, 14),
        (4096 - 16 - 16 - 100 - 16 - 3, 16),
    ] {
        let rows = [(vec![0; 20], vec![1; 80]), (vec![1; 4], vec![2; last])];
        let database = users(rows.clone());
        assert_eq!(database.buckets["authUsers"], rows);
        assert_eq!(database.bytes.len() / 4096, pages);
    }
}

#[test]
fn large_values_overflow_into_pages_of_their_own() {
    let mut rows = many(4, 10, 10);
    rows[1].1 = vec![7; 3 << 20];
    rows[2].1 = vec![8; 4096];
    let database = users(rows.clone());
    assert_eq!(database.buckets["authUsers"], rows);
    assert_eq!(database.levels["authUsers"], 2);
}

#[test]
fn branches_of_large_keys_overflow() {
    let rows = many(40, 5000, 0);
    let database = users(rows.clone());
    assert_eq!(database.buckets["authUsers"], rows);
    assert!(database.levels["authUsers"] > 3);
}

#[test]
fn trees_grow_without_lonely_children() {
    // A leaf holds 60 of these rows, a branch 127 leaves: all counts around the first leaves and branches.
    let around = |count: u32| count - 2..count + 3;
    let counts = (0..200)
        .chain(around(60 * 126))
        .chain(around(60 * 127))
        .chain(around(60 * 253));
    for count in counts {
        let rows = many(count, 16, 36);
        assert_eq!(users(rows.clone()).buckets["authUsers"], rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_come_back(rows in btree_map(vec(any::<u8>(), 1..300), vec(any::<u8>(), 0..6000), 0..200)) {
        let rows: Rows = rows.into_iter().collect();
        prop_assert_eq!(&users(rows.clone()).buckets["authUsers"], &rows);
    }
}

#[test]
fn a_row_without_a_name_is_an_error() {
    let backend = MemoryBackend::new();
    let mut batch = Batch::new();
    batch.put(Family::Auth, "user/", Bytes::new());
    backend.write(batch).unwrap();
    let (store, _) = Store::open(Arc::new(backend), Options::default()).unwrap();
    let source = backup::Source {
        view: &store.view(),
        applied: Default::default(),
        configuration: &[],
        version: "",
    };
    let result = backup::plan(&source);
    assert!(matches!(result, Err(backup::Error::Damaged(_))));
}

/// A backup whose first pages do not fit the others would be opened, and found broken only when it is needed.
#[test]
fn the_plan_of_another_store_is_an_error() {
    let plan_of = |rows: Rows, plan: Option<backup::Plan>| {
        let backend = MemoryBackend::new();
        let mut batch = Batch::new();
        for (key, value) in rows {
            batch.put(Family::Auth, [b"user/", &key[..]].concat(), value);
        }
        backend.write(batch).unwrap();
        let (store, _) = Store::open(Arc::new(backend), Options::default()).unwrap();
        let source = backup::Source {
            view: &store.view(),
            applied: Default::default(),
            configuration: &[],
            version: "",
        };
        let own = backup::plan(&source).unwrap();
        (
            own,
            backup::write(&source, plan.unwrap_or(own), &mut std::io::sink()),
        )
    };
    let (plan, result) = plan_of(many(500, 10, 10), None);
    result.unwrap();
    let (_, result) = plan_of(many(1000, 10, 10), Some(plan));
    assert!(matches!(result, Err(backup::Error::Damaged(_))));
}
