//! Clusters that change their size under load.

use cluster_tests::{Cluster, Watched, Writer};

/// A lost write, a learner that never catches up, or a removal that takes the quorum with it.
#[tokio::test(flavor = "multi_thread")]
async fn one_member_grows_to_three_by_learners_and_shrinks_again_under_load() {
    let mut cluster = Cluster::start(1).await;
    let endpoint = cluster.endpoints();
    let watched = Watched::start(endpoint.clone(), "grow/");
    let writer = Writer::start(&endpoint, "grow", 3);
    writer.progress(100).await;

    for _ in 0..2 {
        let learner = cluster.add_member(true).await;
        cluster.members[learner].start();
        cluster.promote(learner).await;
        cluster.wait_serving(learner).await;
        writer.progress(50).await;
    }
    cluster.assert_same_hash().await;

    for _ in 0..2 {
        cluster.remove_member(cluster.members.len() - 1).await;
        writer.progress(50).await;
    }
    let promised = writer.finish_and_check(&endpoint, "grow").await;
    watched.finish_and_check(&promised).await;
}

/// A learner takes no part in votes and refuses what it must not serve.
#[tokio::test(flavor = "multi_thread")]
async fn a_learner_serves_only_what_needs_no_vote() {
    let mut cluster = Cluster::start(1).await;
    let learner = cluster.add_member(true).await;
    cluster.members[learner].start();
    let status =
        cluster_tests::eventually(std::time::Duration::from_secs(20), || cluster.status(learner)).await;
    assert!(status.is_learner());

    let mut client = cluster.client_of(learner).await;
    let refused = client
        .put("key", "value", None)
        .await
        .expect_err("a learner takes no writes");
    assert!(
        refused
            .to_string()
            .contains("etcdserver: rpc not supported for learner"),
        "{refused}"
    );
    let serializable = etcd_client::GetOptions::new().with_serializable();
    client
        .get("key", Some(serializable))
        .await
        .expect("a learner serves serializable reads");

    // A second learner is one too many by default.
    let url = "http://127.0.0.1:1".to_owned();
    let options = etcd_client::MemberAddOptions::new().with_is_learner();
    let mut client = cluster.client_of(0).await;
    let refused = client
        .member_add([url], Some(options))
        .await
        .expect_err("one learner at a time");
    assert!(
        refused
            .to_string()
            .contains("etcdserver: too many learner members in cluster"),
        "{refused}"
    );
}
