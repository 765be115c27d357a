//! Which crate may use which: a new edge is a deliberate line in this file.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What each crate may use of ours, in its library; tests may use more.
const OURS: &[(&str, &[&str])] = &[
    // Nothing in a release; every place that can fail may use it.
    ("failpoint", &[]),
    ("model", &[]),
    ("tls", &[]),
    ("api", &["model"]),
    // Behind the feature of the same name only.
    ("planted", &[]),
    ("wal", &["failpoint", "planted"]),
    ("storage", &[]),
    ("storage-rocksdb", &["storage"]),
    ("storage-fjall", &["storage"]),
    ("mvcc", &["failpoint", "model", "storage", "planted"]),
    ("lease", &["model"]),
    ("auth", &["model", "planted"]),
    ("membership", &["model"]),
    ("raft-engine", &["failpoint", "wal", "planted"]),
    (
        "apply",
        &[
            "failpoint",
            "model",
            "storage",
            "mvcc",
            "lease",
            "auth",
            "membership",
            "planted",
        ],
    ),
    // Knows the rows of lease, auth, membership and apply by their format; its tests hold it to them.
    ("backup", &["model", "mvcc", "storage"]),
    ("watch", &["model", "mvcc", "planted"]),
    (
        "node",
        &[
            "failpoint",
            "model",
            "storage",
            "mvcc",
            "lease",
            "auth",
            "membership",
            "raft-engine",
            "wal",
            "apply",
            "watch",
            "planted",
        ],
    ),
    ("peer", &["api", "failpoint", "model", "raft-engine"]),
    // lease: the pure queue rules of locks and elections. apply: validation of requests. auth, mvcc, watch: what node
    // hands out.
    (
        "gateway",
        &[
            "failpoint",
            "api",
            "model",
            "node",
            "apply",
            "auth",
            "mvcc",
            "watch",
            "lease",
        ],
    ),
    ("client", &["api", "model"]),
    ("discovery", &["client", "model"]),
    ("ctl", &["client", "discovery", "model"]),
    // ctl: Go's forms of tables, numbers and command lines. raft-engine and wal: a restored member's log.
    (
        "utl",
        &[
            "model",
            "storage",
            "storage-rocksdb",
            "storage-fjall",
            "mvcc",
            "membership",
            "apply",
            "raft-engine",
            "wal",
            "backup",
            "ctl",
        ],
    ),
    (
        "server",
        &[
            "failpoint",
            "model",
            "storage",
            "storage-rocksdb",
            "storage-fjall",
            "mvcc",
            "membership",
            "auth",
            "raft-engine",
            "wal",
            "watch",
            "backup",
            "node",
            "peer",
            "gateway",
            // To find the other members through a cluster that runs already.
            "client",
            "discovery",
            "tls",
        ],
    ),
    // Drives a whole cluster in one thread, so it has to reach what each member is made of.
    (
        "sim",
        &[
            "model",
            "storage",
            "wal",
            "mvcc",
            "auth",
            "apply",
            "raft-engine",
            "watch",
            "node",
            "planted",
        ],
    ),
    // Does what a member does between the bytes of a request and those of its answer, to be counted.
    (
        "costs",
        &[
            "model", "storage", "wal", "mvcc", "lease", "auth", "apply", "watch",
        ],
    ),
    // Feeds every decoder, wherever it is.
    (
        "fuzzing",
        &[
            "model",
            "storage",
            "wal",
            "mvcc",
            "lease",
            "auth",
            "membership",
            "raft-engine",
            "apply",
            "backup",
            "watch",
            "node",
            "peer",
            "gateway",
            "tls",
            "client",
            "ctl",
            "discovery",
            "server",
        ],
    ),
    // A client of any server: it must not reach into ours.
    ("bench", &["model"]),
    ("tidy", &[]),
    ("histories", &[]),
    ("cluster-tests", &["client", "histories", "model"]),
    // Knows the servers from outside only.
    ("differential", &["api", "model"]),
];

/// Heavy or far-reaching libraries, and the crates that may use them.
const OTHERS: &[(&str, &[&str])] = &[
    (
        "tokio",
        &[
            "node",
            "peer",
            "gateway",
            "client",
            "discovery",
            "ctl",
            "server",
            "sim",
            "fuzzing",
            "cluster-tests",
            "differential",
        ],
    ),
    ("tonic", &["api", "peer", "gateway", "client", "differential"]),
    ("raft", &["raft-engine"]),
    ("rocksdb", &["storage-rocksdb"]),
    ("fjall", &["storage-fjall"]),
    ("serde_yaml", &["server"]),
    ("anyhow", &["server", "ctl", "cluster-tests", "differential"]),
];

#[test]
fn crates_use_only_what_they_may() {
    let mut wrong = Vec::new();
    for (name, uses) in dependencies() {
        let Some((_, may)) = OURS.iter().find(|(crate_name, _)| *crate_name == name) else {
            wrong.push(format!("crate {name} is not in the list of this test"));
            continue;
        };
        let ours: BTreeSet<&str> = OURS.iter().map(|(name, _)| *name).collect();
        for used in &uses {
            if ours.contains(used.as_str()) && !may.contains(&used.as_str()) {
                wrong.push(format!("{name} must not use {used}"));
            }
            let others = OTHERS.iter().find(|(library, _)| library == used);
            if others.is_some_and(|(_, may)| !may.contains(&name.as_str())) {
                wrong.push(format!("{name} must not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Ordinary dependencies of every crate of the workspace.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(crate::root())
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let name = |value: &serde_json::Value| value["name"].as_str().expect("a name").to_owned();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .expect("a list of dependencies");
            let normal = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(name);
            (name(package), normal.collect())
        })
        .collect()
}
