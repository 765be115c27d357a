//! What the log costs besides the disk: groups written to files of a real file system whose syncs are left out, and read
//! back.
//!
//! `cargo bench -p wal --bench log`; under `cargo test` each runs once, to show that it works.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use tempfile::TempDir;
use wal::{Options, Record, Wal};

/// Entries of a log that is read.
const ENTRIES: u64 = 5_000;

fn main() {
    divan::main();
}

fn options() -> Options {
    Options {
        background: false,
        fsync: false,
        ..Options::default()
    }
}

struct Log {
    wal: Wal,
    data: Vec<u8>,
    last: u64,
    dir: TempDir,
}

impl Log {
    fn new() -> Log {
        let dir = tempfile::tempdir().expect("a directory");
        let wal = Wal::create(&dir.path().join("wal"), b"bench", options()).expect("a new log");
        Log {
            wal,
            data: vec![b'd'; 300],
            last: 0,
            dir,
        }
    }

    fn filled() -> Log {
        let mut log = Log::new();
        while log.last < ENTRIES {
            log.append(100);
        }
        log
    }

    /// What one turn of a busy member's log does.
    fn append(&mut self, group: u64) {
        let entry = |index| Record::Entry {
            kind: 0,
            index,
            term: 1,
            data: &self.data,
        };
        let records: Vec<Record<'_>> = (self.last + 1..=self.last + group).map(entry).collect();
        self.wal.append(&records).expect("a writable log");
        self.wal.sync().expect("a writable log");
        self.last += group;
    }
}

#[divan::bench(args = [1, 100])]
fn append(bencher: Bencher<'_, '_>, group: u64) {
    let mut log = Log::new();
    bencher
        .counter(ItemsCount::new(group))
        .bench_local(|| log.append(group));
}

/// What a follower is sent that is behind what is held in memory.
#[divan::bench(args = [100])]
fn read(bencher: Bencher<'_, '_>, group: u64) {
    let log = Log::filled();
    let reader = log.wal.reader();
    let mut from = 1;
    bencher.counter(ItemsCount::new(group)).bench_local(|| {
        let entries = reader.entries(from, from + group, u64::MAX);
        from = (from + group) % (ENTRIES - group) + 1;
        entries.expect("a readable log")
    });
}

/// By entry.
#[divan::bench(sample_count = 20)]
fn recovery(bencher: Bencher<'_, '_>) {
    let Log { wal, dir, .. } = Log::filled();
    drop(wal);
    let path = dir.path().join("wal");
    // Dropped at once: an open log is locked.
    bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| {
        black_box(Wal::open(&path, options()).expect("a readable log"));
    });
}
