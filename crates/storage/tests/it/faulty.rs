use std::ops::Bound::Unbounded;
use std::sync::Arc;
use storage::faulty::{FaultyBackend, Operation};
use storage::memory::MemoryBackend;
use storage::{Backend, Batch, Family};

fn faulty() -> FaultyBackend {
    FaultyBackend::new(Arc::new(MemoryBackend::new()))
}

fn put(store: &dyn Backend, key: &'static str) -> bool {
    let mut batch = Batch::new();
    batch.put(Family::Meta, key, "value");
    store.write(batch).is_ok()
}

#[test]
fn nothing_is_written_after_a_failed_write() {
    let store = faulty();
    store.fail_nth(Operation::Write, 2);
    assert!(put(&store, "a"));
    assert!(!put(&store, "b"), "the second was chosen");
    assert!(!put(&store, "c"), "the store stays closed to writes");
    store.flush().expect_err("and is not flushed");
    assert!(
        store.get(Family::Meta, b"a").unwrap().is_some(),
        "but can be read"
    );
    assert!(store.get(Family::Meta, b"c").unwrap().is_none());
    assert_eq!(store.calls(Operation::Write), 2);
}

#[test]
fn one_read_fails_and_the_next_does_not() {
    let store = faulty();
    put(&store, "a");
    store.fail_nth(Operation::Get, 1);
    store.get(Family::Meta, b"a").expect_err("chosen");
    store.get(Family::Meta, b"a").unwrap();
    let snapshot = store.snapshot().unwrap();
    store.fail_nth(Operation::Get, 1);
    snapshot
        .get(Family::Meta, b"a")
        .expect_err("snapshots count as well");

    let mut cursor = snapshot.scan(Family::Meta, (Unbounded, Unbounded)).unwrap();
    store.fail_from(Operation::Scan, 2);
    assert!(cursor.next().unwrap().is_some());
    cursor.next().expect_err("from the second step on");
    cursor.next().expect_err("and all after it");
}
