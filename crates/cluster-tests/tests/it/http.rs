//! What can be asked without gRPC.

use cluster_tests::{Cluster, get};

#[tokio::test(flavor = "multi_thread")]
async fn version_health_and_metrics_share_the_client_port() {
    let cluster = Cluster::start(1).await;
    let port = cluster.members[0].client_port;

    let (status, body) = get(port, "/version").await.unwrap();
    let version: serde_json::Value = serde_json::from_str(&body).expect("the version is JSON");
    assert_eq!((status, version["etcdserver"].as_str()), (200, Some("3.7.1")));

    let (status, body) = get(port, "/health").await.unwrap();
    assert_eq!((status, body.as_str()), (200, r#"{"health":"true","reason":""}"#));
    assert_eq!(get(port, "/livez").await.unwrap().0, 200);
    assert_eq!(get(port, "/readyz").await.unwrap(), (200, "ok\n".to_owned()));

    let mut client = cluster.client().await;
    client.put("key", "value", None).await.unwrap();
    let (_, metrics) = get(port, "/metrics").await.unwrap();
    for name in [
        "etcd_server_has_leader 1",
        "etcd_server_is_leader 1",
        "etcd_server_proposals_committed_total",
        "etcd_disk_wal_fsync_duration_seconds_bucket",
        "etcd_disk_backend_commit_duration_seconds_count",
        "etcd_mvcc_db_total_size_in_bytes",
        "etcd_debugging_mvcc_keys_total 1",
        "grpc_server_handled_total",
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.contains(name), "/metrics lacks {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_a_quorum_is_alive_but_not_healthy() {
    let mut cluster = Cluster::start(3).await;
    cluster.members[1].kill();
    cluster.members[2].kill();
    let port = cluster.members[0].client_port;
    cluster_tests::eventually(std::time::Duration::from_secs(20), || async {
        let (status, body) = get(port, "/health").await?;
        anyhow::ensure!(
            status == 503 && body.contains("RAFT NO LEADER"),
            "{status} {body}"
        );
        Ok(())
    })
    .await;
    assert_eq!(get(port, "/livez").await.unwrap().0, 200);
}
