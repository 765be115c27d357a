//! Starts that must fail with a sentence that helps, and requests that must be refused with etcd's words.

use cluster_tests::{Cluster, Member};
use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp};
use std::time::Duration;

fn refused(args: &[&str], code: i32, says: &str) {
    let outcome = Member::run_to_end(args);
    assert_eq!(outcome.status.code(), Some(code), "{args:?}: {}", outcome.output);
    assert!(
        outcome.output.contains(says),
        "{args:?} should say {says:?}: {}",
        outcome.output
    );
    assert!(!outcome.output.contains("panicked"), "{}", outcome.output);
}

#[test]
fn wrong_flags_and_values_are_named() {
    refused(
        &["--no-such-flag"],
        2,
        "flag provided but not defined: -no-such-flag",
    );
    refused(
        &["--snapshot-count=many"],
        2,
        r#"invalid value "many" for flag -snapshot-count"#,
    );
    refused(&["stray"], 1, r#"\"stray\" is not a valid flag"#);
    refused(
        &["--heartbeat-interval=0"],
        1,
        "--heartbeat-interval must be >0 (set to 0ms)",
    );
    refused(
        &["--listen-client-urls=http://127.0.0.1:1"],
        1,
        "--advertise-client-urls is required",
    );
    refused(&["--config-file=/does/not/exist.yaml"], 1, "/does/not/exist.yaml");
}

#[test]
fn a_file_with_an_unknown_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.yaml");
    std::fs::write(&file, "nmae: x\n").unwrap();
    refused(
        &["--config-file", file.to_str().unwrap()],
        1,
        r#"did you mean \"name\""#,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_or_a_directory_in_use_is_named() {
    let cluster = Cluster::start(1).await;
    let member = &cluster.members[0];
    let free = tempfile::tempdir().unwrap();
    let dir = format!("--data-dir={}", free.path().join("data").display());
    let client = format!("--listen-client-urls={}", member.endpoint());
    let advertise = format!("--advertise-client-urls={}", member.endpoint());
    let peer = "--listen-peer-urls=http://127.0.0.1:0";
    refused(
        &[&dir, &client, &advertise, peer],
        1,
        &format!("127.0.0.1:{}", member.client_port),
    );

    let same_dir = format!("--data-dir={}", member.data_dir().display());
    let client = "--listen-client-urls=http://127.0.0.1:0";
    refused(&[&same_dir, client, &advertise, peer], 1, "another process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("member"), "a file").unwrap();
    let data = format!("--data-dir={}", dir.path().display());
    let outcome = Member::run_to_end(&[
        &data,
        "--listen-client-urls=http://127.0.0.1:0",
        "--advertise-client-urls=http://127.0.0.1:1",
        "--listen-peer-urls=http://127.0.0.1:0",
    ]);
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.output);
    assert!(!outcome.output.contains("panicked"), "{}", outcome.output);
    assert_eq!(
        std::fs::read_to_string(dir.path().join("member")).unwrap(),
        "a file"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_refused_with_etcds_words() {
    let cluster = Cluster::start(1).await;
    let mut client = cluster.client().await;
    let says = |result: Result<(), etcd_client::Error>, words: &str| {
        let error = result.expect_err(words).to_string();
        assert!(error.contains(words), "{error:?} should say {words:?}");
    };
    says(
        client.put("", "value", None).await.map(drop),
        "etcdserver: key is not provided",
    );
    says(
        client.get("", None).await.map(drop),
        "etcdserver: key is not provided",
    );
    let lease = PutOptions::new().with_lease(4711);
    says(
        client.put("key", "value", Some(lease)).await.map(drop),
        "etcdserver: requested lease not found",
    );
    says(
        client.lease_revoke(4711).await.map(drop),
        "etcdserver: requested lease not found",
    );
    let future = GetOptions::new().with_revision(1000);
    says(
        client.get("key", Some(future)).await.map(drop),
        "etcdserver: mvcc: required revision is a future revision",
    );
    for _ in 0..4 {
        client.put("key", "value", None).await.unwrap();
    }
    client.compact(4, None).await.unwrap();
    let old = GetOptions::new().with_revision(2);
    says(
        client.get("key", Some(old)).await.map(drop),
        "etcdserver: mvcc: required revision has been compacted",
    );
    says(
        client.compact(4, None).await.map(drop),
        "etcdserver: mvcc: required revision has been compacted",
    );
    let twice = Txn::new().and_then([TxnOp::put("a", "1", None), TxnOp::put("a", "2", None)]);
    says(
        client.txn(twice).await.map(drop),
        "etcdserver: duplicate key given in txn request",
    );
    let many = Txn::new().and_then(
        (0..129)
            .map(|n| TxnOp::get(n.to_string(), None))
            .collect::<Vec<_>>(),
    );
    says(
        client.txn(many).await.map(drop),
        "etcdserver: too many operations in txn request",
    );
    let large = vec![b'x'; 1_600_000];
    says(
        client.put("key", large, None).await.map(drop),
        "etcdserver: request is too large",
    );
    says(
        client.put("key", vec![b'x'; 3 << 20], None).await.map(drop),
        "larger than max",
    );

    // None of it did harm.
    let compare = Compare::version("key", CompareOp::Equal, 4);
    let txn = Txn::new().when([compare]).and_then([TxnOp::get("key", None)]);
    assert!(client.txn(txn).await.unwrap().succeeded());
}

/// A damaged log is an error that names file and place, never a start with less than was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_damaged_in_the_middle_is_refused() {
    let mut cluster = Cluster::start(1).await;
    let mut client = cluster.client().await;
    for n in 0..200 {
        client.put("key", format!("{n:0100}"), None).await.unwrap();
    }
    cluster.members[0].kill();
    let dir = cluster.members[0].data_dir().join("member/wal");
    let mut segments: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
        .collect();
    segments.sort();
    let mut bytes = std::fs::read(&segments[0]).unwrap();
    bytes[8000] ^= 0x10;
    std::fs::write(&segments[0], bytes).unwrap();

    cluster.members[0].start();
    let status = cluster.members[0].wait(Duration::from_secs(10)).await;
    assert!(!status.success());
    let log = cluster.members[0].log();
    let name = segments[0].file_name().unwrap().to_str().unwrap();
    assert!(log.contains(name), "the damaged file should be named: {log}");
    assert!(!log.contains("panicked"), "{log}");
}
