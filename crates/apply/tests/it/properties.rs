//! What must hold for every log.

use crate::{machine, parse, show};
use apply::Machine;
use model::{Command, LogIndex, Term};
use proptest::prelude::*;
use std::sync::Arc;
use storage::memory::MemoryBackend;
use storage::{Backend, Family};

/// Commands in the scripts' language.
fn log() -> impl Strategy<Value = Vec<Command>> {
    prop::collection::vec(line(), 1..60).prop_map(|lines| {
        let number = |(index, line): (usize, String)| {
            let mut command = parse::command(index as u64 + 1, &line);
            if command.username == "root" {
                command.auth_revision = 100;
            }
            command
        };
        lines.into_iter().enumerate().map(number).collect()
    })
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => op(),
        4 => (compare(), op(), op(), op()).prop_map(|(compare, one, two, three)| {
            format!("txn {{ if {compare} ; then {one} ; then {two} ; else {three} }}")
        }),
        2 => (compare(), op(), op()).prop_map(|(compare, one, two)| {
            format!("txn {{ then {one} ; then txn {{ if {compare} ; then {two} ; else {one} }} }}")
        }),
        2 => (1..4i64, 1..100i64).prop_map(|(id, ttl)| format!("grant {id} {ttl}")),
        2 => (1..4i64).prop_map(|id| format!("revoke {id}")),
        1 => (1..4i64, 0..100i64).prop_map(|(id, left)| format!("checkpoint {id} {left}")),
        1 => (1..30i64).prop_map(|revision| format!("compact {revision}")),
        1 => (prop::sample::select(vec!["activate", "deactivate"]), 1..3u64)
            .prop_map(|(action, member)| format!("alarm {action} nospace {member}")),
        1 => prop::sample::select(vec!["user-add root", "user-grant root root", "user-add ada", "role-add r",
            "role-grant r write a c", "user-grant ada r", "auth-enable", "as root auth-disable"])
            .prop_map(str::to_owned),
        1 => op().prop_map(|op| format!("as root {op}")),
        1 => op().prop_map(|op| format!("as ada {op}")),
    ]
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "d"])
}

fn op() -> impl Strategy<Value = String> {
    let extra = prop::sample::select(vec!["", "prev_kv", "lease=1", "lease=2", "lease=3", "lease=9"]);
    prop_oneof![
        4 => (key(), 0..9, extra).prop_map(|(key, value, extra)| format!("put {key} {value} {extra}")),
        1 => key().prop_map(|key| format!("put {key} \"\" ignore_value ignore_lease")),
        1 => key().prop_map(|key| format!("put {key} \"\" ignore_value lease=1")),
        2 => (key(), key()).prop_map(|(key, end)| format!("delete {key} {end} prev_kv")),
        1 => key().prop_map(|key| format!("delete {key}")),
        2 => (key(), 0..20).prop_map(|(key, revision)| format!("get {key} \\0 rev={revision}")),
    ]
}

fn compare() -> impl Strategy<Value = String> {
    prop_oneof![
        (key(), 0..9).prop_map(|(key, value)| format!("value({key}) = {value}")),
        (key(), 0..9).prop_map(|(key, revision)| format!("mod({key},d) > {revision}")),
        (key(), 0..3).prop_map(|(key, lease)| format!("lease({key}) != {lease}")),
    ]
}

/// Applies the commands after what the machine has applied, in groups of the given sizes, over and over.
fn apply(machine: &mut Machine, log: &[Command], groups: &[usize], answer: bool) -> Vec<String> {
    let mut answers = Vec::new();
    let mut sizes = groups.iter().copied().cycle();
    let mut rest = &log[machine.applied().index.0 as usize..];
    while !rest.is_empty() {
        let (group, later) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        for command in group {
            let index = LogIndex(machine.applied().index.0 + 1);
            let outcome = machine.apply(index, Term(1), command, answer).unwrap();
            answers.push(show::result(&outcome.result));
        }
        machine.commit().unwrap();
        rest = later;
    }
    answers
}

/// All rows but the counts, whose fences may stand elsewhere after another grouping, and the whole's hash.
fn state(machine: &Machine, backend: &MemoryBackend) -> (u32, Vec<(Family, bytes::Bytes, bytes::Bytes)>) {
    let mut rows = machine::rows(backend);
    rows.retain(|(family, ..)| *family != Family::Counts);
    (machine.shared().store.hash().unwrap().0, rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn groups_and_listeners_make_no_difference(log in log(), groups in prop::collection::vec(1..9usize, 1..5)) {
        let (one, two) = (Arc::new(MemoryBackend::new()), Arc::new(MemoryBackend::new()));
        let (mut single, mut grouped) = (machine::open(one.clone()), machine::open(two.clone()));
        let answers = apply(&mut single, &log, &[1], true);
        prop_assert_eq!(apply(&mut grouped, &log, &groups, true), answers);
        prop_assert_eq!(state(&single, &one), state(&grouped, &two));

        let three = Arc::new(MemoryBackend::new());
        let mut silent = machine::open(three.clone());
        apply(&mut silent, &log, &groups, false);
        prop_assert_eq!(state(&single, &one), state(&silent, &three));
        single.shared().store.verify().unwrap();
    }

    #[test]
    fn a_crash_anywhere_is_made_good_by_replay(
        log in log(),
        groups in prop::collection::vec(1..5usize, 1..5),
        flushed in 0..60usize,
        survived in 0..20usize,
    ) {
        let reference = Arc::new(MemoryBackend::new());
        let mut uninterrupted = machine::open(reference.clone());
        apply(&mut uninterrupted, &log, &groups, true);

        let before = Arc::new(MemoryBackend::with_crash_points(20));
        let mut machine = machine::open(before.clone());
        let flushed = flushed.min(log.len());
        apply(&mut machine, &log[..flushed], &groups, true);
        before.flush().unwrap();
        apply(&mut machine, &log, &groups, true);
        drop(machine);

        let after = Arc::new(before.crash_after(survived));
        let mut machine = machine::open(after.clone());
        prop_assert!(machine.applied().index.0 >= flushed as u64);
        apply(&mut machine, &log, &[1], false);
        prop_assert_eq!(state(&uninterrupted, &reference), state(&machine, &after));
        prop_assert_eq!(uninterrupted.shared().rules().revision(), machine.shared().rules().revision());
        prop_assert_eq!(uninterrupted.shared().alarms(), machine.shared().alarms());
    }
}
