//! Seeds that are run on every change. A seed that fails is told with its story, and can be run alone:
//! `cargo run -p sim -- --seed N --trace`.

use sim::{SECOND, Totals, run_seed};

/// As many as take about a minute on two cores.
const SEEDS: u64 = 100;

fn run(seeds: std::ops::Range<u64>) -> Totals {
    let mut totals = Totals::default();
    for seed in seeds {
        match run_seed(seed, None, false) {
            Ok(report) => totals.add(&report.totals),
            Err(failure) => panic!("{failure}"),
        }
    }
    totals
}

#[test]
fn no_fault_breaks_a_promise() {
    let halves = [0..SEEDS / 2, SEEDS / 2..SEEDS].map(|seeds| std::thread::spawn(|| run(seeds)));
    let mut totals = Totals::default();
    for half in halves {
        match half.join() {
            Ok(found) => totals.add(&found),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    println!("{totals:#?}");
    // So that a change that lets the runs test nothing does not go unnoticed.
    assert!(totals.time > SEEDS * 20 * SECOND);
    assert!(totals.answered > 500 * SEEDS && totals.watch_events > 500 * SEEDS);
    assert!(totals.kills > SEEDS && totals.power > SEEDS && totals.partitions > SEEDS);
    assert!(totals.leaders > SEEDS && totals.snapshots > SEEDS / 4 && totals.expired > SEEDS);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 17, 10_000, 10_001, 10_002, 10_003] {
        let sum = |seed| match run_seed(seed, None, false) {
            Ok(report) => report.sum,
            Err(failure) => failure.sum,
        };
        assert_eq!(sum(seed), sum(seed), "seed {seed}");
    }
}
