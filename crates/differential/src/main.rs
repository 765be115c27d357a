//! Plays random histories to two servers until they differ, or enough was played.

use anyhow::{Context, anyhow, bail};
use clap::Parser;
use differential::{Dialect, Setup, Verdict, generate, read_script, shrink, write_script};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// Plays random histories to two servers, and compares every answer.
#[derive(Parser)]
struct Arguments {
    /// The server under test.
    #[arg(long, env = "QUORATE_BIN")]
    ours: PathBuf,
    /// The server it is compared with.
    #[arg(long, env = "QUORATE_RIVAL")]
    rival: PathBuf,
    /// What the other server knows; without it, what its version says.
    #[arg(long, value_enum)]
    dialect: Option<Dialect>,
    /// Seed of the first history; each further one takes the next number.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Stops after so many steps in all.
    #[arg(long, default_value_t = 20_000)]
    operations: u64,
    /// Steps of one history.
    #[arg(long, default_value_t = 2_000)]
    steps: usize,
    /// Pairs of servers at once.
    #[arg(long, default_value_t = 4)]
    pairs: usize,
    /// Goes on after a difference.
    #[arg(long)]
    keep_going: bool,
    /// Seconds that may be spent on cutting a difference down to a short script.
    #[arg(long, default_value_t = 120)]
    shrink_seconds: u64,
    /// Plays this script once instead of random histories.
    #[arg(long)]
    script: Option<PathBuf>,
    /// Where data directories are made, and removed again; a disk in memory is fastest.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before any server is there: without somebody who listens, a signal would end this process and leave them behind.
    let outcome = match listen() {
        Err(error) => Err(error.into()),
        Ok([mut terminated, mut pressed]) => tokio::select! {
            outcome = run(&arguments) => outcome,
            // The servers end with their pairs.
            _ = terminated.recv() => Err(anyhow!("terminated")),
            _ = pressed.recv() => Err(anyhow!("interrupted")),
        },
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The ways in which somebody ends this process.
fn listen() -> std::io::Result<[Signal; 2]> {
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?])
}

/// Whether the two were the same.
async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let dialect = match arguments.dialect {
        Some(dialect) => dialect,
        None => Dialect::of(&arguments.rival)?,
    };
    let setup = Setup {
        ours: arguments.ours.clone(),
        theirs: arguments.rival.clone(),
        dialect,
        dir: arguments.dir.clone(),
    };
    if let Some(path) = &arguments.script {
        return replay(&setup, path).await;
    }
    let run = Run {
        next_seed: AtomicU64::new(arguments.seed),
        operations: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        differences: AtomicU64::new(0),
        unconfirmed: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    let started = Instant::now();
    let workers = (0..arguments.pairs.max(1)).map(|_| run.work(arguments, &setup));
    futures::future::try_join_all(workers).await?;
    let seconds = started.elapsed().as_secs_f64();
    let operations = run.operations.load(Ordering::Relaxed);
    let differences = run.differences.load(Ordering::Relaxed);
    println!(
        "{operations} steps ({} refused by both) of seeds {}..{} in {seconds:.0} s, {:.0} per second: {differences} differences, {} unconfirmed",
        run.refused.load(Ordering::Relaxed),
        arguments.seed,
        run.next_seed.load(Ordering::Relaxed),
        operations as f64 / seconds,
        run.unconfirmed.load(Ordering::Relaxed),
    );
    Ok(differences == 0)
}

async fn replay(setup: &Setup, path: &PathBuf) -> anyhow::Result<bool> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let history = read_script(&text)?;
    if history.is_empty() {
        bail!("{} holds no step", path.display());
    }
    match setup.play(&history).await?.verdict {
        Verdict::Same => {
            println!("{} steps, no difference", history.len());
            Ok(true)
        }
        Verdict::Differs(difference) => {
            println!("{difference}");
            Ok(false)
        }
    }
}

/// What the workers share.
struct Run {
    next_seed: AtomicU64,
    operations: AtomicU64,
    refused: AtomicU64,
    differences: AtomicU64,
    /// Differences that did not show when the history was played again.
    unconfirmed: AtomicU64,
    stop: AtomicBool,
}

impl Run {
    async fn work(&self, arguments: &Arguments, setup: &Setup) -> anyhow::Result<()> {
        while !self.stop.load(Ordering::Relaxed)
            && self.operations.load(Ordering::Relaxed) < arguments.operations
        {
            let seed = self.next_seed.fetch_add(1, Ordering::Relaxed);
            let history = generate(seed, arguments.steps, setup.dialect);
            let trial = setup.play(&history).await?;
            self.operations
                .fetch_add(trial.sent.len() as u64, Ordering::Relaxed);
            self.refused.fetch_add(trial.refused as u64, Ordering::Relaxed);
            let Verdict::Differs(difference) = trial.verdict else {
                continue;
            };
            println!("seed {seed} (of {} steps), {difference}", arguments.steps);
            // A machine that stood still for seconds lets leases expire; that does not happen twice at the same place.
            let again = setup.play(&history).await?;
            let Verdict::Differs(difference) = again.verdict else {
                println!("seed {seed}: not when played again\n");
                self.unconfirmed.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            self.differences.fetch_add(1, Ordering::Relaxed);
            if !arguments.keep_going {
                self.stop.store(true, Ordering::Relaxed);
            }
            let budget = Duration::from_secs(arguments.shrink_seconds);
            let (script, difference) = shrink(setup, &history, &again.sent, difference, budget).await;
            println!("seed {seed}, shorter:\n{}{difference}\n", write_script(&script));
        }
        Ok(())
    }
}
