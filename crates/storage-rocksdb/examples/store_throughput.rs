//! Nanoseconds per row through the storage trait, with batches shaped like those of mvcc: for each put a row in
//! `current`, `log` and `versions`, one row in `meta` and one snapshot per batch.
//!
//! For comparing settings of this crate on one machine. It is no benchmark of a server: there is no raft log, no
//! network, one thread, and the values compress to nothing in particular.
//!
//! ```text
//! cargo run --release -p storage-rocksdb --example store_throughput -- DIR [PUTS] [PUTS_PER_BATCH]
//! ```

use std::hint::black_box;
use std::ops::Bound::{Included, Unbounded};
use std::path::Path;
use std::time::{Duration, Instant};
use storage::{Backend, Batch, Family};
use storage_rocksdb::{Options, open};

const VALUE_BYTES: usize = 300;
const KEYS: u64 = 400_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args
        .next()
        .expect("usage: throughput DIR [PUTS] [PUTS_PER_BATCH]");
    let mut number = |default: u64| args.next().map_or(default, |n| n.parse().expect("a number"));
    let (puts, per_batch) = (number(1_000_000), number(100));
    let store = open(Path::new(&dir), Options::default()).expect("the store opens");
    let store = &*store;

    let mut pages = Vec::new();
    let (elapsed, ()) = timed(|| {
        let mut put = 0;
        while put < puts {
            let began = clock();
            write_batch(store, put, per_batch);
            black_box(store.snapshot().unwrap());
            pages.push(began.elapsed());
            put += per_batch;
        }
    });
    report("put (three rows)", elapsed, puts);
    pages.sort_unstable();
    let at = |per_mille: usize| pages[(pages.len() - 1) * per_mille / 1000];
    println!(
        "batch of {per_batch}: p50 {:?}, p99 {:?}, p999 {:?}, max {:?}",
        at(500),
        at(990),
        at(999),
        at(1000)
    );

    let sizes = store.sizes().unwrap();
    report(
        "get, half in memtables",
        timed(|| gets(store, |n| key(n * 7919 % KEYS))).0,
        GETS,
    );
    report("flush", timed(|| store.flush().unwrap()).0, 1);
    report(
        "get, from files",
        timed(|| gets(store, |n| key(n * 7919 % KEYS))).0,
        GETS,
    );
    report(
        "get of a missing key",
        timed(|| gets(store, |n| [&key(n)[..], b"x"].concat())).0,
        GETS,
    );
    report(
        "snapshot",
        timed(|| (0..GETS).for_each(|_| drop(black_box(store.snapshot().unwrap())))).0,
        GETS,
    );
    let scans = 2000;
    let (elapsed, rows) = timed(|| {
        (0..scans)
            .map(|n| scan(store, &key(n * 7919 % KEYS), 1))
            .sum::<u64>()
    });
    report("scan of one row", elapsed, rows);
    let (elapsed, rows) = timed(|| scan(store, b"", u64::MAX));
    report("row of a long scan", elapsed, rows);
    println!("{sizes:?}");
}

const GETS: u64 = 200_000;

fn write_batch(store: &dyn Backend, from: u64, puts: u64) {
    let mut batch = Batch::new();
    for put in from..from + puts {
        let key = key(put.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS);
        let mut value = vec![0u8; VALUE_BYTES];
        for (at, byte) in value.iter_mut().enumerate() {
            *byte = (put.wrapping_mul(at as u64 | 1) >> 7) as u8;
        }
        let value = bytes::Bytes::from(value);
        let revision = put.to_be_bytes();
        batch.put(Family::Versions, [&key[..], &[0, 1], &revision].concat(), vec![0]);
        batch.put(Family::Log, [&revision[..], &[0; 8]].concat(), value.clone());
        batch.put(Family::Current, key, value);
    }
    batch.put(Family::Meta, "applied", from.to_be_bytes().to_vec());
    store.write(batch).unwrap();
}

fn key(n: u64) -> Vec<u8> {
    format!("/registry/pods/default/{n:016x}").into_bytes()
}

fn gets(store: &dyn Backend, key: impl Fn(u64) -> Vec<u8>) {
    let snapshot = store.snapshot().unwrap();
    for n in 0..GETS {
        black_box(snapshot.get(Family::Current, &key(n)).unwrap());
    }
}

fn scan(store: &dyn Backend, from: &[u8], rows_max: u64) -> u64 {
    let snapshot = store.snapshot().unwrap();
    let mut cursor = snapshot
        .scan(Family::Current, (Included(from), Unbounded))
        .unwrap();
    let mut rows = 0;
    while rows < rows_max && black_box(cursor.next().unwrap()).is_some() {
        rows += 1;
    }
    rows
}

/// Wall time, and time of this thread on a processor: the second is less disturbed by what else runs, and leaves out
/// what RocksDB does in its own threads.
type Elapsed = (Duration, Duration);

fn timed<T>(run: impl FnOnce() -> T) -> (Elapsed, T) {
    let (began, began_cpu) = (clock(), cpu());
    let value = run();
    ((began.elapsed(), cpu() - began_cpu), value)
}

fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn clock() -> Instant {
    Instant::now()
}

fn report(what: &str, (wall, cpu): Elapsed, count: u64) {
    let each = |time: Duration| time.as_nanos() / u128::from(count.max(1));
    println!(
        "{what:25} {:>7} ns of wall time, {:>7} ns of this thread; {count} in {wall:.2?}",
        each(wall),
        each(cpu)
    );
}
