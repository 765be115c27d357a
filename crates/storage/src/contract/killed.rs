//! A process that is killed while it writes.

use super::Engine;
use crate::backend::Backend;
use crate::{Batch, Family};
use std::io::{BufRead, BufReader};
use std::ops::Bound::{Included, Unbounded};
use std::path::Path;
use std::process::{Command, Stdio};

/// Names the store to the process that is to be killed.
const STORE: &str = "QUORATE_KILLED_STORE";
const KILLS: usize = 3;
const FLUSHES_BEFORE_KILL: usize = 4;
const ROUNDS_PER_FLUSH: u32 = 40;
const ROWS_PER_ROUND: u32 = 60;

/// Kills a process several times while it writes to one store, and looks for half batches and lost flushes.
/// Memtables should be small in this engine, so that it writes files and compacts all the time.
///
/// The caller is the test named `test`, whole path, and does nothing else: it is run again as the other process.
///
/// # Panics
/// When the engine breaks the contract.
pub fn killed_while_writing(engine: &dyn Engine, scratch: &Path, test: &str) {
    if let Some(store) = std::env::var_os(STORE) {
        write_forever(&*engine.open(Path::new(&store)).unwrap());
    }
    let dir = scratch.join("store");
    for _ in 0..KILLS {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(STORE, &dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let flushed = lines.filter_map(|line| line.strip_prefix("flushed ")?.parse::<u32>().ok());
        let flushed = flushed
            .take(FLUSHES_BEFORE_KILL)
            .last()
            .expect("the writer flushes");
        writer.kill().unwrap();
        writer.wait().unwrap();
        let found = check(&*engine.open(&dir).unwrap());
        assert!(found >= flushed, "round {flushed} was flushed, {found} was found");
    }
}

fn write_forever(store: &dyn Backend) -> ! {
    for round in check(store) + 1.. {
        let mut batch = Batch::new();
        for family in Family::ALL {
            batch.put(family, "round", round.to_string());
        }
        for row in 0..ROWS_PER_ROUND {
            batch.put(Family::Log, log_key(round, row), vec![round as u8; 700]);
        }
        batch.delete_range(Family::Log, log_key(0, 0), log_key(round.saturating_sub(100), 0));
        store.write(batch).unwrap();
        if round % ROUNDS_PER_FLUSH == 0 {
            store.flush().unwrap();
            println!("flushed {round}");
        }
    }
    unreachable!("killed long before the numbers run out")
}

/// The log begins with a digit, to lie before "round".
fn log_key(round: u32, row: u32) -> String {
    format!("{round:010} {row:05}")
}

/// Checks that the store is as it was after one of the rounds, which it returns; 0 if it is empty.
fn check(store: &dyn Backend) -> u32 {
    let snapshot = store.snapshot().unwrap();
    let rounds = Family::ALL.map(|family| {
        let round = snapshot.get(family, b"round").unwrap();
        round.map_or(0, |round| {
            std::str::from_utf8(&round).unwrap().parse::<u32>().unwrap()
        })
    });
    assert!(
        rounds.iter().all(|round| *round == rounds[0]),
        "half a batch: {rounds:?}"
    );
    let mut log = snapshot.scan(Family::Log, (Included(b"0"), Unbounded)).unwrap();
    for round in rounds[0].saturating_sub(100).max(1)..=rounds[0] {
        for row in 0..ROWS_PER_ROUND {
            let (key, value) = log.next().unwrap().expect("a row for each that was written");
            assert_eq!(key, log_key(round, row).as_bytes());
            assert_eq!(value, vec![round as u8; 700]);
        }
    }
    let last = log.next().unwrap().map(|(key, _)| key.to_vec());
    assert_eq!(
        last.as_deref(),
        (rounds[0] > 0).then_some(&b"round"[..]),
        "nothing of a later round"
    );
    rounds[0]
}
