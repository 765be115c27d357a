//! What an operation costs in instructions, against a ceiling: the count of callgrind is nearly the same on every run and
//! every machine, so that a slower hot path is seen without a clock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Operations and how many of them are counted: twice as many, less these.
const COUNTED: &[(&str, u64)] = &[
    ("put", 1_000),
    ("txn", 1_000),
    ("get", 1_000),
    ("range", 10),
    ("event", 2_000),
    ("append", 2_000),
];
/// Answers of a range are counted by the key.
const KEYS_OF_A_RANGE: u64 = 1_000;
/// Set to write what was counted, with a tenth on top, into ceilings.txt.
const RECORD: &str = "QUORATE_RECORD_COSTS";

/// Catches: a copy, a scan or an allocation that found its way into the path of every request, and a ceiling far above
/// what is needed, under which the next one would hide.
#[test]
fn no_operation_takes_more_instructions_than_its_ceiling() {
    if !cfg!(all(target_arch = "x86_64", debug_assertions)) {
        println!("ceilings are recorded for tests' builds on x86-64 only: nothing to compare with");
        return;
    }
    let version = Command::new("valgrind").arg("--version").output();
    assert!(
        version.is_ok_and(|output| output.status.success()),
        "valgrind is missing, which counts instructions: apt-get install valgrind"
    );
    let counts = count_all();
    if std::env::var_os(RECORD).is_some() {
        return record(&counts);
    }
    let ceilings = ceilings();
    let wrong: Vec<String> = counts
        .iter()
        .filter_map(|(name, count)| judge(name, *count, *ceilings.get(name)?))
        .collect();
    println!("instructions per operation: {counts:?}");
    assert_eq!(
        counts.keys().collect::<Vec<_>>(),
        ceilings.keys().collect::<Vec<_>>(),
        "ceilings.txt and the operations are not the same"
    );
    assert!(
        wrong.is_empty(),
        "{}\nIf that is wanted, say so in CHANGELOG.md and record it: {RECORD}=1 cargo test -p costs",
        wrong.join("\n")
    );
}

fn judge(name: &str, count: u64, ceiling: u64) -> Option<String> {
    let percent = 100.0 * count as f64 / ceiling as f64 - 100.0;
    if count > ceiling {
        let profile = profile(name, 2);
        return Some(format!(
            "{name} takes {count} instructions, {percent:.1} % more than its ceiling of {ceiling}; where: \
             callgrind_annotate {}",
            profile.display()
        ));
    }
    // A gain that is not recorded can be lost again unseen.
    (percent < -40.0)
        .then(|| format!("{name} takes only {count} instructions: its ceiling of {ceiling} is too high"))
}

/// Instructions of each operation. Two at a time, since they are many seconds of one processor each.
fn count_all() -> BTreeMap<String, u64> {
    let count = |(name, times): &(&str, u64)| {
        let more = run(name, 2, 2 * times).saturating_sub(run(name, 1, *times));
        let parts = if *name == "range" { KEYS_OF_A_RANGE } else { 1 };
        ((*name).to_owned(), more / (times * parts))
    };
    let (some, others) = COUNTED.split_at(COUNTED.len() / 2);
    std::thread::scope(|scope| {
        let others = scope.spawn(|| others.iter().map(count).collect::<Vec<_>>());
        let mut counts: BTreeMap<_, _> = some.iter().map(count).collect();
        counts.extend(others.join().expect("counting does not panic"));
        counts
    })
}

fn profile(name: &str, number: u32) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{name}.{number}"))
}

/// All instructions of a run that does an operation so many times.
fn run(name: &str, number: u32, times: u64) -> u64 {
    let profile = profile(name, number);
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(env!("CARGO_BIN_EXE_costs"))
        .args([name, &times.to_string()])
        .output()
        .expect("valgrind starts");
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = std::fs::read_to_string(&profile).expect("callgrind has written its profile");
    let total = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.expect("a profile has a total")
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ceilings.txt")
}

fn ceilings() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(file()).expect("ceilings.txt is there");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, ceiling) = line.split_once(' ').expect("an operation and its ceiling");
            (name.to_owned(), ceiling.trim().parse().expect("a number"))
        })
        .collect()
}

fn record(counts: &BTreeMap<String, u64>) {
    let text = std::fs::read_to_string(file()).expect("ceilings.txt is there");
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    for (name, _) in COUNTED {
        let ceiling = counts[*name] + counts[*name] / 10;
        lines.push(format!("{name:7} {ceiling}"));
    }
    std::fs::write(file(), lines.join("\n") + "\n").expect("ceilings.txt can be written");
}
