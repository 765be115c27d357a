use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::contract::{Engine, suite};
use storage::memory::MemoryBackend;
use storage::{Backend, Batch, Error, Family, Result};

/// Plays the disk: remembers what is open where.
#[derive(Default)]
struct Memory {
    open: Mutex<HashMap<PathBuf, Arc<MemoryBackend>>>,
}

impl Engine for Memory {
    fn open(&self, dir: &Path) -> Result<Arc<dyn Backend>> {
        let store = match self.open.lock().get(dir) {
            Some(store) => Arc::new(store.crash()),
            None => Arc::new(MemoryBackend::open(dir)?),
        };
        self.open.lock().insert(dir.to_owned(), store.clone());
        Ok(store)
    }

    fn crash(&self, dir: &Path, image: &Path) {
        let left = self.open.lock()[dir].crash();
        self.open.lock().insert(image.to_owned(), Arc::new(left));
    }
}

#[test]
fn memory_keeps_the_contract() {
    let scratch = tempfile::tempdir().unwrap();
    suite(&Memory::default(), scratch.path());
}

fn put(store: &MemoryBackend, value: u32) {
    let mut batch = Batch::new();
    batch.put(Family::Meta, "value", value.to_string());
    store.write(batch).unwrap();
}

fn value(store: &MemoryBackend) -> Option<u32> {
    let value = store.get(Family::Meta, b"value").unwrap()?;
    Some(std::str::from_utf8(&value).unwrap().parse().unwrap())
}

#[test]
fn a_crash_can_fall_behind_any_remembered_batch() {
    let store = MemoryBackend::with_crash_points(3);
    put(&store, 1);
    store.flush().unwrap();
    for n in 2..=9 {
        put(&store, n);
    }
    assert_eq!(value(&store.crash()), Some(1));
    assert_eq!(value(&store.crash_after(1)), Some(2));
    assert_eq!(value(&store.crash_after(3)), Some(4));
    assert_eq!(value(&store.crash_after(8)), Some(4), "no more are remembered");
    assert_eq!(value(&store), Some(9), "the store itself goes on");
    assert_eq!(value(&MemoryBackend::new().crash()), None);
}

#[test]
fn a_damaged_copy_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("copy");
    let store = MemoryBackend::new();
    put(&store, 7);
    store.checkpoint(&dir).unwrap();
    assert_eq!(value(&MemoryBackend::open(&dir).unwrap()), Some(7));

    let file = dir.join("rows");
    let good = std::fs::read(&file).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&file, bad).unwrap();
        assert!(
            matches!(
                MemoryBackend::open(&dir),
                Err(Error::Corrupt(_) | Error::Open { .. })
            ),
            "byte {at}"
        );
        std::fs::write(&file, &good[..at]).unwrap();
        assert!(
            matches!(
                MemoryBackend::open(&dir),
                Err(Error::Corrupt(_) | Error::Open { .. })
            ),
            "cut at {at}"
        );
    }

    std::fs::rename(&file, dir.join("photos")).unwrap();
    assert!(matches!(MemoryBackend::open(&dir), Err(Error::Open { .. })));
}

/// Large enough for several levels of the tree, in orders that split and join its nodes on every side.
#[test]
fn a_tree_of_many_rows_stays_in_order() {
    const ROWS: u32 = 20_000;
    let store = MemoryBackend::new();
    let key = |n: u32| n.to_be_bytes().to_vec();
    let orders: [fn(u32) -> u32; 3] = [|n| n, |n| ROWS - 1 - n, |n| (n * 7919) % ROWS];
    for (round, insert) in orders.iter().enumerate() {
        for (other, remove) in orders.iter().enumerate() {
            for chunk in 0..ROWS / 100 {
                let mut batch = Batch::new();
                for n in 100 * chunk..100 * (chunk + 1) {
                    batch.put(Family::Current, key(insert(n)), "value");
                }
                store.write(batch).unwrap();
            }
            assert_eq!(store.sizes().unwrap().memory, u64::from(ROWS) * 9);
            let full = store.snapshot().unwrap();
            let mut batch = Batch::new();
            for n in 0..ROWS - 10 {
                batch.delete(Family::Current, key(remove(n)));
            }
            store.write(batch).unwrap();
            let left: Vec<u32> = rows(&*store.snapshot().unwrap());
            let mut expected: Vec<u32> = (ROWS - 10..ROWS).map(remove).collect();
            expected.sort_unstable();
            assert_eq!(
                left, expected,
                "inserted in order {round}, removed in order {other}"
            );
            assert!(rows(&*full).into_iter().eq(0..ROWS), "the snapshot of before");
        }
    }
}

fn rows(snapshot: &dyn storage::Snapshot) -> Vec<u32> {
    let bounds = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let mut cursor = snapshot.scan(Family::Current, bounds).unwrap();
    let mut rows = Vec::new();
    while let Some((key, _)) = cursor.next().unwrap() {
        rows.push(u32::from_be_bytes(key.try_into().unwrap()));
    }
    rows
}
