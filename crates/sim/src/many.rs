//! Many runs at once: each in a thread of its own, and told in the order of their seeds.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;

/// Outcomes that may wait for one before them, for each thread.
const AHEAD_MAX: usize = 64;

/// Threads that the machine has room for.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Calls `run` for every seed of a range, on so many threads, and `tell` with what came of it, in the order of the
/// seeds, in the calling thread. When `tell` breaks off, the runs under way are the last.
pub fn run_seeds<T: Send>(
    seeds: Range<u64>,
    threads: usize,
    run: impl Fn(u64) -> T + Sync,
    mut tell: impl FnMut(u64, T) -> ControlFlow<()>,
) {
    let Range { start, end } = seeds;
    let next = AtomicU64::new(start);
    let over = AtomicBool::new(false);
    let (sender, outcomes) = sync_channel(threads * AHEAD_MAX);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            let (next, over, run) = (&next, &over, &run);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || sender.send((seed, run(seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut expected = start;
        let mut early = BTreeMap::new();
        for (seed, outcome) in outcomes {
            early.insert(seed, outcome);
            while let Some(outcome) = early.remove(&expected) {
                if !over.load(Ordering::Relaxed) && tell(expected, outcome).is_break() {
                    over.store(true, Ordering::Relaxed);
                }
                expected += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_in_order_however_long_they_take() {
        let mut told = Vec::new();
        let run = |seed: u64| (0..seed % 7 * 1000).fold(seed, |sum, step| sum ^ step ^ step) * 2;
        run_seeds(3..200, 4, run, |seed, twice| {
            told.push((seed, twice));
            ControlFlow::Continue(())
        });
        assert_eq!(told, (3..200).map(|seed| (seed, seed * 2)).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_told_after_the_end() {
        let mut told = 0;
        run_seeds(
            0..u64::MAX,
            3,
            |seed| seed,
            |seed, _| {
                told += 1;
                match seed {
                    9 => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            },
        );
        assert_eq!(told, 10);
    }
}
