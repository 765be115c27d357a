//! Seeds that are run on every change. A seed that fails is told with its story, and can be run alone:
//! `cargo run -p sim -- --seed N --trace`. `SIM_SEEDS=A..B,C..D` says which; `scripts/test` asks for thousands.

use sim::{Failure, SECOND, Totals, run_seed, run_seeds, threads};
use std::ops::{ControlFlow, Range};

/// Without being told: as many as take some twenty seconds on two cores.
const SEEDS: Range<u64> = 0..200;

/// Runs the seeds up to the first that fails.
fn run(seeds: Range<u64>, totals: &mut Totals) -> Result<(), Box<Failure>> {
    let mut outcome = Ok(());
    let one = |seed| run_seed(seed, None, false);
    run_seeds(seeds, threads(), one, |_, ended| match ended {
        Ok(report) => {
            totals.add(&report.totals);
            ControlFlow::Continue(())
        }
        Err(failure) => {
            outcome = Err(failure);
            ControlFlow::Break(())
        }
    });
    outcome
}

fn ranges() -> Vec<Range<u64>> {
    let Ok(text) = std::env::var("SIM_SEEDS") else {
        return vec![SEEDS];
    };
    let range = |text: &str| {
        let (first, last) = text.split_once("..")?;
        Some(first.parse().ok()?..last.parse().ok()?)
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    ranges.expect("SIM_SEEDS is A..B,C..D and so on")
}

#[test]
fn no_fault_breaks_a_promise() {
    let mut totals = Totals::default();
    for seeds in ranges() {
        if let Err(failure) = run(seeds, &mut totals) {
            panic!("{failure}");
        }
    }
    println!("{totals:#?}");
    // So that a change that lets the runs test nothing does not go unnoticed.
    let seeds = totals.seeds;
    assert!(totals.time > seeds * 20 * SECOND);
    assert!(totals.answered > 500 * seeds && totals.watch_events > 500 * seeds);
    assert!(totals.kills > seeds && totals.power > seeds && totals.partitions > seeds);
    assert!(totals.leaders > seeds && totals.snapshots > seeds / 4 && totals.expired > seeds);
    assert!(totals.forbidden > 5 * seeds);
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
