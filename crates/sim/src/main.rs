//! Runs seeds of the simulation, and tells what came of them.

use clap::Parser;
use sim::{SECOND, Totals, run_seed};
use std::process::ExitCode;
use std::time::Instant;

/// Simulates clusters under faults. Without arguments: seeds 0 to 99.
#[derive(Parser)]
struct Arguments {
    /// One seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Seeds from A up to, but not including, B, as `A..B`.
    #[arg(long)]
    seeds: Option<String>,
    /// Goes on for so many hours of real time, from the first seed on.
    #[arg(long)]
    hours: Option<f64>,
    /// Prints the story as it goes.
    #[arg(long)]
    trace: bool,
    /// Prints what the members log, as far as the environment variable RUST_LOG asks for it.
    #[arg(long)]
    log: bool,
    /// Plants bugs, one after the other, and tells in how many of the seeds each was found; with a name only that one.
    #[cfg(feature = "planted")]
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    planted: Option<String>,
    /// Goes on after a violation.
    #[arg(long)]
    keep_going: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.log {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .without_time()
            .init();
    }
    let Some((first, last)) = seeds(&arguments) else {
        eprintln!("seeds are given as A..B, two numbers");
        return ExitCode::FAILURE;
    };
    #[cfg(feature = "planted")]
    if let Some(name) = &arguments.planted {
        return plant_all(first..last, name, arguments.keep_going);
    }
    let started = now();
    let mut totals = Totals::default();
    let mut failures = 0;
    for seed in first..last {
        let hours = started.elapsed().as_secs_f64() / 3600.0;
        if arguments.hours.is_some_and(|limit| hours >= limit) {
            break;
        }
        match run_seed(seed, None, arguments.trace) {
            Ok(report) => totals.add(&report.totals),
            Err(failure) => {
                failures += 1;
                println!("{failure}");
                if !arguments.keep_going {
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    let took = started.elapsed().as_secs_f64();
    let simulated = totals.time as f64 / SECOND as f64;
    println!("{totals:#?}");
    println!(
        "{} seeds in {took:.1} s ({:.1} a second), {simulated:.0} s simulated, {:.0} times as fast as real time, {failures} violations",
        totals.seeds,
        totals.seeds as f64 / took,
        simulated / took
    );
    match failures {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

#[cfg(feature = "planted")]
fn plant_all(seeds: std::ops::Range<u64>, name: &str, all: bool) -> ExitCode {
    let only = planted::Bug::named(name);
    if only.is_none() && !name.is_empty() {
        eprintln!("there is no bug of this name; there are {:?}", planted::Bug::ALL);
        return ExitCode::FAILURE;
    }
    let mut missed = 0;
    let bugs = planted::Bug::ALL.iter().copied();
    for bug in bugs.filter(|bug| only.is_none_or(|only| only == *bug)) {
        let outcome = sim::plant(bug, seeds.clone(), all);
        let what = outcome.first.as_ref().map_or("NOT FOUND", |failure| {
            failure.violation.lines().next().unwrap_or_default()
        });
        missed += u32::from(outcome.first.is_none());
        if let Some(failure) = &outcome.innocent {
            println!("without the bug, too:\n{failure}");
            missed += 1;
        }
        let seed = outcome.first.as_ref().map(|failure| failure.seed);
        println!(
            "{:?} ({}): {} of {} seeds, first {seed:?}: {what:.160}",
            outcome.bug,
            outcome.bug.like(),
            outcome.found,
            outcome.tried
        );
    }
    match missed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn seeds(arguments: &Arguments) -> Option<(u64, u64)> {
    match (&arguments.seed, &arguments.seeds) {
        (Some(seed), _) => Some((*seed, seed + 1)),
        (None, Some(range)) => {
            let (first, last) = range.split_once("..")?;
            Some((first.parse().ok()?, last.parse().ok()?))
        }
        (None, None) if arguments.hours.is_some() => Some((0, u64::MAX)),
        (None, None) => Some((0, 100)),
    }
}

#[expect(clippy::disallowed_methods, reason = "measures how long real time takes")]
fn now() -> Instant {
    Instant::now()
}
