//! Every crash point of histories of some thousands of operations. `CRASH_SEEDS=A..B` looks at more of them.

#[cfg(feature = "planted")]
use planted::Bug;
use sim::{CrashReport, Kinds, SECOND, Swarm, crash_points};

/// Everything that leaves traces on the disk, and no faults but partitions where there is something to part: puts,
/// deletions, transactions, compactions, leases, locks, changes of the members, small segments, flushes, snapshots.
fn busy(seed: u64, members: u64) -> Swarm {
    Swarm {
        members,
        snapshot_count: if members == 1 { 40 } else { 10 },
        catch_up_entries: 5,
        flush_age: SECOND / 10,
        segment_bytes: 4 << 10,
        clients: 6,
        keys: 40,
        think: SECOND / 50,
        faults_for: if members == 1 { 10 } else { 3 } * SECOND,
        fault_every: SECOND,
        faults: Kinds {
            members: members == 1,
            partition: members > 1,
            ..Kinds::default()
        },
        loss_ppm: 0,
        twice_ppm: 0,
        late_ppm: 0,
        watchers: 1,
        leasers: 2,
        lockers: 2,
        compactor: true,
        users: members == 1,
        alarms: false,
        audits: false,
        ..Swarm::of(seed)
    }
}

fn check(seeds: std::ops::Range<u64>, members: u64, patterns: usize) -> CrashReport {
    let mut sum = CrashReport::default();
    for seed in seeds {
        let report = crash_points(seed, busy(seed, members), patterns);
        let report = report.unwrap_or_else(|failure| panic!("{failure}"));
        sum.add(&report);
    }
    println!(
        "{} answers, {} snapshots, {} crash points, {} restarts, {} entries replayed",
        sum.totals.answered, sum.totals.snapshots, sum.points, sum.restarts, sum.replayed
    );
    sum
}

fn seeds(default: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("CRASH_SEEDS") else {
        return default;
    };
    let range = text
        .split_once("..")
        .and_then(|(first, last)| Some(first.parse().ok()?..last.parse().ok()?));
    range.expect("CRASH_SEEDS is A..B, two numbers")
}

/// A write answered before it is durable, a log cut or released too early, a state that is not the one after the last
/// entry, a start that fails on what a power failure has left: also within the first moments of a new directory.
#[test]
fn a_member_alone_comes_back_with_all_it_has_answered() {
    let report = check(seeds(1..2), 1, 3);
    assert!(
        report.totals.answered + report.totals.denied >= 2000,
        "{report:?}"
    );
}

/// A vote or an answer to the leader that is not durable, a snapshot half installed.
#[test]
fn members_come_back_with_all_they_have_promised_each_other() {
    let report = check(seeds(5..6), 3, 3);
    assert!(report.totals.answered >= 500, "{report:?}");
    assert!(report.totals.snapshots > 0, "{report:?}");
}

/// Crash points that find nothing prove nothing.
#[cfg(feature = "planted")]
#[test]
fn what_is_not_durable_is_found_missing() {
    for bug in [Bug::SyncLies, Bug::LogReleasedEarly, Bug::IndexApart] {
        planted::plant(Some(bug));
        let report = crash_points(1, busy(1, 1), 6);
        planted::plant(None);
        let found = report.expect_err("planted, and not found");
        println!("{bug:?}: {}", found.violation);
    }
}
