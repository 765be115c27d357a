//! Members that the log cannot help any more.

use cluster_tests::{Setup, Writer};

/// A follower that slept through the log's release needs the whole store; it must come back by itself and equal.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_behind_the_log_comes_back_through_a_snapshot() {
    let setup = Setup::default()
        .flag("--snapshot-count=50")
        .flag("--snapshot-catchup-entries=10");
    let mut cluster = setup.start(3).await;
    let leader = cluster.leader().await;
    let lagging = (leader + 1) % 3;
    cluster.members[lagging].stop().await;

    let others: Vec<String> = (0..3)
        .filter(|i| *i != lagging)
        .map(|i| cluster.members[i].endpoint())
        .collect();
    let writer = Writer::start(&others, "snap", 4);
    writer.progress(1500).await;
    cluster.members[lagging].start();
    cluster.wait_serving(lagging).await;
    writer.progress(200).await;
    writer.finish_and_check(&cluster.endpoints(), "snap").await;
    cluster.assert_same_hash().await;

    // The installed store must be as durable as a grown one.
    cluster.members[lagging].kill();
    cluster.members[lagging].start();
    cluster.wait_serving(lagging).await;
    cluster.assert_same_hash().await;
}

/// Snapshots after every entry, as etcd's own suite asks for: sending them must be cheap enough to stay healthy.
#[tokio::test(flavor = "multi_thread")]
async fn releasing_the_log_after_every_entry_leaves_the_cluster_healthy() {
    let setup = Setup::default()
        .flag("--snapshot-count=1")
        .flag("--snapshot-catchup-entries=1");
    let cluster = setup.start(3).await;
    let writer = Writer::start(&cluster.endpoints(), "every", 10);
    writer.progress(500).await;
    writer.finish_and_check(&cluster.endpoints(), "every").await;
    cluster.assert_same_hash().await;
}
