//! The workloads, by name.

mod background;
mod expiry;
mod fill;
mod first_answer;
mod keep_alive;
mod kubernetes;
mod lease;
mod lock;
mod maintenance;
mod mixed;
mod put;
mod range;
mod txn;
mod watch;
mod watch_catch_up;
mod watch_fan_out;

use crate::Result;
use crate::caller::Caller;
use crate::director::measure;
use crate::options::Options;
use crate::outcome::Outcome;

/// A workload.
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Does it.
    pub run: fn(&Options) -> Result<Outcome>,
}

const fn workload(name: &'static str, about: &'static str, run: fn(&Options) -> Result<Outcome>) -> Workload {
    Workload { name, about, run }
}

/// All of them. What reads keys writes them first where they are missing.
pub const ALL: &[Workload] = &[
    workload(
        "fill",
        "write --keys keys in transactions of --limit [100]",
        fill::run,
    ),
    workload("put", "write single keys", put::run),
    workload("get", "read single keys, linearizable", |options| {
        range::run(options, range::Shape::key())
    }),
    workload(
        "get-serializable",
        "read single keys from the member's own state",
        |options| range::run(options, range::Shape::key().serializable()),
    ),
    workload(
        "range",
        "read --limit [1000] keys from a random one on",
        |options| range::run(options, range::Shape::interval(options.limit.unwrap_or(1000))),
    ),
    workload(
        "page",
        "read --limit [500] keys of all, with the count of all from there on",
        |options| range::run(options, range::Shape::page(options.limit.unwrap_or(500))),
    ),
    workload("count", "count all keys", |options| {
        range::run(options, range::Shape::count())
    }),
    workload(
        "keys-only",
        "read --limit [1000] keys without their values",
        |options| {
            range::run(
                options,
                range::Shape::interval(options.limit.unwrap_or(1000)).keys_only(),
            )
        },
    ),
    workload(
        "list",
        "read pages of --limit [500] at the revision of the start, while --background puts a second go on",
        range::list,
    ),
    workload("range-stream", "read all keys through RangeStream", |options| {
        range::run(options, range::Shape::stream())
    }),
    workload(
        "cas",
        "compare a key's revision and write it, each client its own key",
        |options| measure(options, &|thread| Box::new(txn::Swap::new(options, thread))),
    ),
    workload(
        "txn",
        "transactions of --limit [100] operations, half gets, half puts",
        |options| {
            fill::filled(options)?;
            measure(options, &|_| Box::new(txn::Many::new(options)))
        },
    ),
    workload("mixed-90", "nine gets to one put", |options| {
        mixed::run(options, 90)
    }),
    workload("mixed-50", "a get to every put", |options| {
        mixed::run(options, 50)
    }),
    workload(
        "kubernetes",
        "what an API server sends: updates by revision, lists, gets",
        kubernetes::run,
    ),
    workload("lease-grant", "grant leases", |options| {
        measure(options, &|_| Box::new(lease::Grant::new(options)))
    }),
    workload(
        "lease-keepalive",
        "renew leases, each client its own on a stream of its own",
        keep_alive::run,
    ),
    workload(
        "lease-expiry",
        "--leases leases of the same --ttl with a key each: how long until all are gone, and puts meanwhile",
        expiry::run,
    ),
    workload(
        "lock",
        "take and release one lock, all clients the same",
        lock::run,
    ),
    workload(
        "watch-fan-out",
        "--watchers watchers of one key, written in a closed loop or at --rate",
        watch_fan_out::run,
    ),
    workload(
        "watch-prefixes",
        "--watchers watchers of prefixes, a hundred to each",
        watch_fan_out::prefixes,
    ),
    workload(
        "watch-slow",
        "fan-out, while half of the connections are never read",
        watch_fan_out::slow,
    ),
    workload(
        "watch-catch-up",
        "--watchers watchers of --events past events",
        watch_catch_up::run,
    ),
    workload(
        "first-answer",
        "wait for a server that is starting: from its start (--server-pid) to its first linearizable answer",
        first_answer::run,
    ),
    workload(
        "compaction",
        "puts before and while everything old is compacted",
        maintenance::compaction,
    ),
    workload(
        "defragment",
        "puts before and while the store is defragmented",
        maintenance::defragment,
    ),
    workload(
        "snapshot",
        "puts before and while a snapshot is taken",
        maintenance::snapshot,
    ),
];

/// Runs a workload and fills in what all have in common.
pub fn run(workload: &Workload, options: &Options) -> Result<Outcome> {
    let mut outcome = (workload.run)(options)?;
    outcome.workload = workload.name.to_owned();
    outcome.label.clone_from(&options.label);
    outcome.command = std::env::args().collect::<Vec<_>>().join(" ");
    outcome.server_version = version(&options.endpoints[0])?;
    Ok(outcome)
}

fn version(endpoint: &str) -> Result<String> {
    use crate::grpc::method::STATUS;
    use model::pb::etcdserverpb::{StatusRequest, StatusResponse};
    let status: StatusResponse = Caller::connect(endpoint)?.call(STATUS, &StatusRequest {})?;
    Ok(status.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
