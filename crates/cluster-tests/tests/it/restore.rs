//! Snapshots become clusters, and `quorateutl` says of files what servers say of themselves.

use cluster_tests::{Cluster, Setup, binary};
use etcd_client::{CompactionOptions, PutOptions};
use std::process::{Command, Output};

fn utl(args: &[&str]) -> Output {
    Command::new(binary("QUORATEUTL_BIN", "quorateutl"))
        .args(args)
        .output()
        .expect("quorateutl runs")
}

/// What it prints; panics where it fails.
fn ok(args: &[&str]) -> String {
    let output = utl(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and what it says.
fn refused(args: &[&str]) -> (i32, String) {
    let output = utl(args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("it ends by itself"), error)
}

/// Some of everything that a restore has to bring back; answers hash and revision.
async fn fill(cluster: &Cluster) -> (u32, i64) {
    let mut client = cluster.client().await;
    let lease = client.lease_grant(3600, None).await.unwrap().id();
    for i in 0..50 {
        client
            .put(format!("key{}", i % 20), format!("{i}"), None)
            .await
            .unwrap();
    }
    let options = PutOptions::new().with_lease(lease);
    client.put("leased", "x", Some(options)).await.unwrap();
    for i in 0..5 {
        client.delete(format!("key{i}"), None).await.unwrap();
    }
    client
        .compact(30, Some(CompactionOptions::new().with_physical()))
        .await
        .unwrap();
    client.role_add("reader").await.unwrap();
    client.user_add("ada", "secret", None).await.unwrap();
    client.user_grant_role("ada", "reader").await.unwrap();
    let hash = cluster.client_of(0).await.hash_kv(0).await.unwrap();
    (hash.hash(), hash.header().unwrap().revision())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_one_member_becomes_a_cluster_of_three() {
    let old = Cluster::start(1).await;
    let (hash, revision) = fill(&old).await;
    let file = old.dir().join("snapshot.db");
    let path = file.to_str().unwrap();
    old.members[0].save_snapshot(&file);
    let status = ok(&["snapshot", "status", path]);
    assert!(status.contains(&format!(", {revision}, 16, ")), "{status}");
    assert_eq!(ok(&["hashkv", path]), format!("{hash}, {revision}, 30\n"));

    let mut new = Setup::default().prepare(3);
    let initial = new.initial_cluster();
    for member in &new.members {
        let dir = member.data_dir();
        let args = |name: &str| -> Vec<String> {
            let own = member.peer_url();
            let dir = dir.to_str().unwrap();
            [
                "snapshot",
                "restore",
                path,
                "--name",
                name,
                "--data-dir",
                dir,
                "--initial-cluster",
                &initial,
                "--initial-cluster-token",
                "test",
                "--initial-advertise-peer-urls",
                &own,
            ]
            .map(str::to_owned)
            .to_vec()
        };
        let borrowed = args(&member.name);
        ok(&borrowed.iter().map(String::as_str).collect::<Vec<_>>());
        let (code, said) = refused(&borrowed.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(code == 1 && said.contains("not empty"), "{said}");
        assert_eq!(
            ok(&["hashkv", dir.to_str().unwrap()]),
            format!("{hash}, {revision}, 30\n")
        );
    }
    new.start_all();
    new.wait_ready().await;
    assert_eq!(new.assert_same_hash().await, revision);
    let mut client = new.client().await;
    let found = client.hash_kv(revision).await.unwrap();
    assert_eq!((found.hash(), found.compact_version()), (hash, 30));
    let kept = client.get("key19", None).await.unwrap();
    assert_eq!(kept.kvs()[0].value_str().unwrap(), "39");
    assert!(
        client.get("key1", None).await.unwrap().kvs().is_empty(),
        "deleted"
    );
    let leases = client.leases().await.unwrap();
    let lease = leases.leases()[0].id();
    assert_eq!(client.user_get("ada").await.unwrap().roles(), ["reader"]);
    let put = client.put("after", "x", None).await.unwrap();
    assert_eq!(put.header().unwrap().revision(), revision + 1);
    // The key still hangs on its lease.
    client.lease_revoke(lease).await.unwrap();
    assert!(client.get("leased", None).await.unwrap().kvs().is_empty());
    assert_eq!(client.member_list().await.unwrap().members().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bump_lets_watchers_know_that_they_missed_something() {
    let old = Cluster::start(1).await;
    let (_, revision) = fill(&old).await;
    let file = old.dir().join("snapshot.db");
    old.members[0].save_snapshot(&file);
    let mut new = Setup::default().prepare(1);
    let initial = new.initial_cluster();
    ok(&[
        "snapshot",
        "restore",
        file.to_str().unwrap(),
        "--name",
        &new.members[0].name,
        "--data-dir",
        new.members[0].data_dir().to_str().unwrap(),
        "--initial-cluster",
        &initial,
        "--initial-advertise-peer-urls",
        &new.members[0].peer_url(),
        "--bump-revision",
        "1000000",
        "--mark-compacted",
    ]);
    new.start_all();
    new.wait_ready().await;
    let mut client = new.client().await;
    let found = client.get("key19", None).await.unwrap();
    assert_eq!(found.header().unwrap().revision(), revision + 1_000_000);
    assert_eq!(found.kvs()[0].value_str().unwrap(), "39");
    let old = etcd_client::GetOptions::new().with_revision(revision);
    let refused = client.get("key19", Some(old)).await.unwrap_err().to_string();
    assert!(refused.contains("compacted"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_member_gives_space_back_and_a_running_one_is_left_alone() {
    let mut cluster = Cluster::start(1).await;
    let (hash, revision) = fill(&cluster).await;
    let dir = cluster.members[0].data_dir();
    let dir = dir.to_str().unwrap();
    let (code, said) = refused(&["defrag", "--data-dir", dir, "--timeout", "100ms"]);
    assert!(code == 1 && said.contains("in use"), "{said}");
    cluster.members[0].stop().await;
    let done = utl(&["defrag", "--data-dir", dir]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success() && said.contains("finished defragmenting directory"),
        "{said}"
    );
    assert_eq!(ok(&["hashkv", dir]), format!("{hash}, {revision}, 30\n"));
    assert_eq!(
        ok(&["hashkv", dir, "-w", "json"]),
        format!("{{\"hash\":{hash},\"hashRevision\":{revision},\"compactRevision\":30}}\n")
    );
    let (code, said) = refused(&["migrate", "--data-dir", dir, "--target-version", "3.6"]);
    assert!(code == 1 && said.contains("have one version"), "{said}");
    ok(&["migrate", "--data-dir", dir, "--target-version", "3.7"]);
    cluster.start_all();
    cluster.wait_ready().await;
    let found = cluster.client().await.hash_kv(revision).await.unwrap();
    assert_eq!(found.hash(), hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_refused_with_what_is_wrong() {
    let cluster = Cluster::start(1).await;
    fill(&cluster).await;
    let file = cluster.dir().join("snapshot.db");
    let path = file.to_str().unwrap();
    cluster.members[0].save_snapshot(&file);
    let whole = std::fs::read(&file).unwrap();
    let out = cluster.dir().join("restored");
    let restore = |more: &[&str]| {
        let mut args = vec!["snapshot", "restore", path, "--data-dir", out.to_str().unwrap()];
        args.extend_from_slice(more);
        refused(&args)
    };

    let mut flipped = whole.clone();
    flipped[2 * 4096 + 200] ^= 1;
    std::fs::write(&file, &flipped).unwrap();
    let (code, said) = restore(&[]);
    assert!(code == 1 && said.contains("Error: expected sha256"), "{said}");

    std::fs::write(&file, &whole[..whole.len() - 32]).unwrap();
    let (code, said) = restore(&[]);
    assert!(code == 1 && said.contains("snapshot missing hash"), "{said}");

    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let (code, said) = restore(&["--skip-hash-check"]);
    assert!(code == 1 && said.contains("ends after"), "{said}");
    assert_eq!(refused(&["snapshot", "status", path]).0, 1);

    std::fs::write(&file, "no database").unwrap();
    assert_eq!(
        refused(&["snapshot", "status", path]),
        (1, "Error: invalid database\n".to_owned())
    );

    let (code, said) = restore(&["--bump-revision", "5"]);
    assert_eq!(
        (code, said.as_str()),
        (128, "Error: --mark-compacted required if --revision-bump > 0\n")
    );
}
