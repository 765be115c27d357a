//! The load generator against a real server.

use cluster_tests::{Cluster, binary};
use std::path::Path;
use std::process::Command;

fn bench(args: &[&str]) -> String {
    let program = binary("QUORATE_BENCH_BIN", "quorate-bench");
    let output = Command::new(&program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{} does not run: {error}", program.display()));
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{args:?}: {out}{err}");
    out
}

fn run(workload: &str, endpoint: &str, label: &str, file: &Path) -> serde_json::Value {
    let file_name = file.display().to_string();
    let small = "--seconds 0.2 --warmup 0.05 --keys 2000 --clients 16 --conns 4 --watchers 40 --events 200 \
                 --leases 100 --ttl 3 --background 200";
    let mut args = vec![
        "run",
        workload,
        "--endpoints",
        endpoint,
        "--label",
        label,
        "--json",
        &file_name,
    ];
    args.extend(small.split_whitespace());
    bench(&args);
    let text = std::fs::read_to_string(file).expect("the result was written");
    serde_json::from_str(&text).expect("the result is JSON")
}

/// A workload whose requests the server refuses, or that never comes to its end.
#[tokio::test(flavor = "multi_thread")]
async fn every_workload_runs_without_an_error() {
    let cluster = Cluster::start(1).await;
    let endpoint = cluster.members[0].endpoint();
    let dir = tempfile::tempdir().expect("a directory for results");
    let list = bench(&["list"]);
    let workloads: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(workloads.len() > 20, "{list}");
    for workload in workloads {
        let result = run(workload, &endpoint, "", &dir.path().join("result.json"));
        for phase in result["phases"].as_array().expect("a list of phases") {
            assert_eq!(phase["errors"], 0, "{workload}: {phase}");
            assert!(phase["operations"].as_u64() > Some(0), "{workload}: {phase}");
            assert!(
                phase["latency"]["p50"].as_f64() > Some(0.0),
                "{workload}: {phase}"
            );
        }
    }
}

/// A comparison that finds differences where there are none: between two runs on the same server.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_the_same_work_finds_the_same_answers() {
    let cluster = Cluster::start(1).await;
    let endpoint = cluster.members[0].endpoint();
    let dir = tempfile::tempdir().expect("a directory for results");
    let results = dir.path().join("results.jsonl");
    let mut lines = String::new();
    for label in ["page.quorate.1", "page.etcd.1"] {
        let file = dir.path().join("result.json");
        run("page", &endpoint, label, &file);
        lines += &std::fs::read_to_string(file).expect("the result was written");
    }
    std::fs::write(&results, lines).expect("a file of results");
    let report = bench(&["report", &results.display().to_string()]);
    assert!(report.contains("| page |"), "{report}");
    assert!(report.contains("In 1 of 1 workloads"), "{report}");
}
