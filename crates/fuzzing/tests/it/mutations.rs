//! Mutations of the seeds, for as long as `FUZZ_SECONDS` says (a moment without it), from `FUZZ_SEED` on. What makes a
//! decoder panic is written to the directory for temporary files, and can be given to `scripts/fuzz` as well.

use fuzzing::{Mutator, TARGETS, target};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// No input is larger.
const BYTES_MAX: usize = 16 << 10;
/// An input that is worked on for longer ties up more than its bytes are worth.
const PATIENCE: Duration = Duration::from_secs(10);

/// Panics of threads that a decoder has behind it, which do not come back to the caller.
static ELSEWHERE: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn watch_threads() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Tests run in threads that are named like them.
            let name = std::thread::current().name().map(str::to_owned);
            if !name
                .as_deref()
                .is_some_and(|name| name.contains("::") || name == "main")
            {
                let mut elsewhere = ELSEWHERE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                elsewhere.push(info.to_string());
            }
            before(info);
        }));
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "for how long it goes on is a matter of the clock"
)]
fn now() -> Instant {
    Instant::now()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number")),
    )
}

fn mutate(name: &str) {
    watch_threads();
    let target = target(name);
    let budget = number("FUZZ_SECONDS").map_or(Duration::from_millis(300), Duration::from_secs);
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let seeds: Vec<Vec<u8>> = crate::committed(name)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    let start = now();
    let (mut runs, mut taken) = (0u64, 0u64);
    // Each input has a seed of its own, so that one is made again without those before it.
    let mut number = seed << 32;
    while start.elapsed() < budget {
        let input = Mutator::new(number, BYTES_MAX).of(&seeds);
        let began = now();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        let took = began.elapsed();
        let elsewhere = ELSEWHERE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .pop();
        let fault = match (&outcome, elsewhere) {
            (Err(_), _) => Some("panics".to_owned()),
            (_, Some(panic)) => Some(format!("panics elsewhere: {panic}")),
            _ => (took > PATIENCE).then(|| format!("takes {took:?}")),
        };
        if let Some(fault) = fault {
            let file = std::env::temp_dir().join(format!("quorate-fuzz-{name}-{number:x}"));
            let _ = std::fs::write(&file, &input);
            panic!("{name} {fault}: input {number:#x}, kept in {}", file.display());
        }
        runs += 1;
        taken += u64::from(outcome.unwrap_or(false));
        number += 1;
    }
    println!("{name}: {runs} inputs from seed {seed}, {taken} of them taken");
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            mutate(stringify!($name));
        })*

        #[test]
        fn no_target_is_left_out() {
            let here = [$(stringify!($name)),*];
            let all: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(all, here);
        }
    };
}

targets! {
    answers apply backup certificates dns flags gateway json link peer raft requests rows store tokens wal words yaml
}
