//! The command line: Debian's etcdctl 3.4 and our own, the same story for both.

use cluster_tests::{Cluster, eventually};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

struct Ctl {
    binary: PathBuf,
    endpoints: String,
}

impl Ctl {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        // Clients before 3.4 speak version 2 unless told otherwise; those of 3.7 warn about the variable.
        if self.binary.as_os_str() == "etcdctl" {
            command.env("ETCDCTL_API", "3");
        }
        command.arg(format!("--endpoints={}", self.endpoints)).args(args);
        command
    }

    fn run(&self, args: &[&str], input: &str) -> (bool, String) {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes())
            .ok();
        let output = child.wait_with_output().expect("the client ends");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    fn ok(&self, args: &[&str]) -> String {
        let (success, text) = self.run(args, "");
        assert!(success, "{args:?}: {text}");
        text
    }
}

/// Debian's client, where it is installed, and ours.
fn clients(endpoints: &[String]) -> Vec<Ctl> {
    let ours = match std::env::var_os("QUORATECTL_BIN") {
        Some(path) => path.into(),
        None => cluster_tests::server_binary().with_file_name("quoratectl"),
    };
    let binaries = [PathBuf::from("etcdctl"), ours];
    binaries
        .into_iter()
        .map(|binary| Ctl {
            binary,
            endpoints: endpoints.join(","),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_put_read_and_deleted() {
    let cluster = Cluster::start(3).await;
    for ctl in clients(&cluster.endpoints()) {
        assert_eq!(ctl.ok(&["put", "a/1", "one"]), "OK\n");
        assert_eq!(ctl.run(&["put", "a/2"], "two").1, "OK\n");
        assert_eq!(ctl.ok(&["get", "a/", "--prefix"]), "a/1\none\na/2\ntwo\n");
        assert_eq!(
            ctl.ok(&["get", "a/", "--prefix", "--keys-only"]),
            "a/1\n\na/2\n\n"
        );
        assert_eq!(ctl.ok(&["get", "a/1", "--print-value-only"]), "one\n");
        assert_eq!(
            ctl.ok(&[
                "get",
                "a/",
                "--prefix",
                "--limit=1",
                "--order=DESCEND",
                "--sort-by=KEY"
            ]),
            "a/2\ntwo\n"
        );
        assert!(ctl.ok(&["get", "a/1", "-w", "json"]).contains(r#""key":"YS8x""#));
        assert!(
            ctl.ok(&["get", "a/1", "-w", "fields"])
                .contains(r#""Key" : "a/1""#)
        );
        assert_eq!(ctl.ok(&["del", "a/", "--prefix"]), "2\n");
        assert_eq!(ctl.ok(&["get", "a/", "--prefix"]), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_and_history() {
    let cluster = Cluster::start(1).await;
    for ctl in clients(&cluster.endpoints()) {
        ctl.ok(&["put", "t", "1"]);
        let txn = "value(\"t\") = \"1\"\n\nput t 2\nget t\n\nput t 3\n\n";
        assert_eq!(ctl.run(&["txn"], txn).1, "SUCCESS\n\nOK\n\nt\n2\n");
        let again = ctl.run(&["txn"], txn).1;
        assert_eq!(again, "FAILURE\n\nOK\n");
        let json: serde_json::Value = serde_json::from_str(&ctl.ok(&["get", "t", "-w", "json"])).unwrap();
        let revision = json["header"]["revision"].as_i64().unwrap();
        assert_eq!(
            ctl.ok(&["get", "t", &format!("--rev={}", revision - 1)]),
            "t\n2\n"
        );
        assert_eq!(
            ctl.ok(&["compaction", &revision.to_string()]),
            format!("compacted revision {revision}\n")
        );
        let (success, text) = ctl.run(&["get", "t", &format!("--rev={}", revision - 1)], "");
        assert!(
            !success && text.contains("required revision has been compacted"),
            "{text}"
        );
        ctl.ok(&["del", "t"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_print_events() {
    let cluster = Cluster::start(1).await;
    for ctl in clients(&cluster.endpoints()) {
        let out = tempfile::NamedTempFile::new().unwrap();
        let mut watch = ctl
            .command(&["watch", "w/", "--prefix"])
            .stdin(Stdio::null())
            .stdout(out.reopen().unwrap())
            .spawn()
            .expect("the client starts");
        // The watch is there once it sees a write; until then writes go unseen.
        eventually(Duration::from_secs(10), || async {
            ctl.ok(&["put", "w/a", "1"]);
            anyhow::ensure!(
                !std::fs::read_to_string(out.path())?.is_empty(),
                "nothing seen yet"
            );
            Ok(())
        })
        .await;
        ctl.ok(&["del", "w/a"]);
        eventually(Duration::from_secs(10), || async {
            let seen = std::fs::read_to_string(out.path())?;
            anyhow::ensure!(
                seen.starts_with("PUT\nw/a\n1\n") && seen.ends_with("DELETE\nw/a\n\n"),
                "{seen}"
            );
            Ok(())
        })
        .await;
        watch.kill().unwrap();
        watch.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_hold_keys_and_release_them() {
    let cluster = Cluster::start(3).await;
    for ctl in clients(&cluster.endpoints()) {
        let granted = ctl.ok(&["lease", "grant", "100"]);
        assert!(
            granted.starts_with("lease ") && granted.ends_with(" granted with TTL(100s)\n"),
            "{granted}"
        );
        let id = granted.split(' ').nth(1).unwrap();
        ctl.ok(&["put", "l", "v", &format!("--lease={id}")]);
        let left = ctl.ok(&["lease", "timetolive", id, "--keys"]);
        assert!(
            left.contains("granted with TTL(100s), remaining(") && left.contains("attached keys([l])"),
            "{left}"
        );
        assert!(ctl.ok(&["lease", "list"]).contains(id));
        let kept = ctl.ok(&["lease", "keep-alive", "--once", id]);
        assert!(kept.contains("keepalived with TTL(100)"), "{kept}");
        assert_eq!(ctl.ok(&["lease", "revoke", id]), format!("lease {id} revoked\n"));
        assert_eq!(ctl.ok(&["get", "l"]), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_and_elections_run_from_the_shell() {
    let cluster = Cluster::start(1).await;
    for ctl in clients(&cluster.endpoints()) {
        let inside = ctl.ok(&["lock", "mutex", "echo", "inside"]);
        assert!(inside.ends_with("inside\n"), "{inside}");
        let mut elect = ctl
            .command(&["elect", "boss", "me"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the client starts");
        eventually(Duration::from_secs(10), || async {
            let leader = ctl.ok(&["get", "boss/", "--prefix", "--print-value-only"]);
            anyhow::ensure!(leader == "me\n", "{leader}");
            Ok(())
        })
        .await;
        elect.kill().unwrap();
        elect.wait().unwrap();
        ctl.ok(&["del", "boss/", "--prefix"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_inspected_and_maintained() {
    let mut cluster = Cluster::start(3).await;
    for ctl in clients(&cluster.endpoints()) {
        let members = ctl.ok(&["member", "list"]);
        assert_eq!(members.lines().count(), 3, "{members}");
        assert!(members.lines().all(|line| line.contains("started")), "{members}");
        let health = ctl.ok(&["endpoint", "health"]);
        assert_eq!(
            health
                .matches("is healthy: successfully committed proposal")
                .count(),
            3,
            "{health}"
        );
        let status: serde_json::Value =
            serde_json::from_str(&ctl.ok(&["endpoint", "status", "-w", "json"])).unwrap();
        assert_eq!(status.as_array().map(Vec::len), Some(3));
        assert_eq!(status[0]["Status"]["version"], "3.7.1");
        assert_eq!(ctl.ok(&["endpoint", "hashkv"]).lines().count(), 3);
        assert_eq!(ctl.ok(&["alarm", "list"]), "");
        assert!(ctl.ok(&["defrag"]).contains("Finished defragmenting etcd member"));

        let leader = cluster.leader().await;
        let target = cluster.member_id((leader + 1) % 3).await;
        let moved = ctl.ok(&["move-leader", &format!("{target:x}")]);
        assert!(moved.contains("Leadership transferred from"), "{moved}");
        assert_eq!(cluster.leader().await, (leader + 1) % 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_saved_to_a_file() {
    let cluster = Cluster::start(1).await;
    for ctl in clients(&cluster.endpoints()) {
        for n in 0..100 {
            ctl.ok(&["put", &format!("s/{n}"), "value"]);
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("backup.db");
        let saved = ctl.ok(&["snapshot", "save", file.to_str().unwrap()]);
        assert!(saved.contains("Snapshot saved at"), "{saved}");
        // A bbolt file of whole pages, and the SHA-256 of it.
        let bytes = std::fs::metadata(&file).unwrap().len();
        assert_eq!(bytes % 512, 32, "{bytes} bytes");
    }
}
