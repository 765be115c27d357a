//! Runs seeds of the simulation, and tells what came of them.

use clap::Parser;
use sim::{SECOND, Totals, run_seed, run_seeds, threads};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two lines that tell how far a long run is.
const PROGRESS_EVERY: Duration = Duration::from_secs(60);

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
    /// Runs at a time; without it, one for each processor.
    #[arg(long)]
    threads: Option<usize>,
    /// Prints the story as it goes; then one run at a time.
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
    let threads = match arguments.trace {
        true => 1,
        false => arguments.threads.unwrap_or_else(threads).max(1),
    };
    let run = |seed| run_seed(seed, None, arguments.trace);
    let mut told = started;
    run_seeds(first..last, threads, run, |seed, outcome| {
        match outcome {
            Ok(report) => totals.add(&report.totals),
            Err(failure) => {
                failures += 1;
                println!("{failure}");
                if !arguments.keep_going {
                    return ControlFlow::Break(());
                }
            }
        }
        if told.elapsed() >= PROGRESS_EVERY {
            told = now();
            println!(
                "up to seed {seed}: {failures} violations, {}",
                speed(&totals, started)
            );
        }
        let hours = started.elapsed().as_secs_f64() / 3600.0;
        match arguments.hours.is_some_and(|limit| hours >= limit) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    println!("{totals:#?}");
    println!(
        "{threads} threads, {}, {failures} violations",
        speed(&totals, started)
    );
    match failures {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// How much was simulated, and how fast.
fn speed(totals: &Totals, started: Instant) -> String {
    let took = started.elapsed().as_secs_f64();
    let simulated = totals.time as f64 / SECOND as f64;
    format!(
        "{} seeds in {took:.1} s ({:.1} a second), {simulated:.0} s simulated ({:.2} hours), {:.0} times as fast as real time",
        totals.seeds,
        totals.seeds as f64 / took,
        simulated / 3600.0,
        simulated / took
    )
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
