//! Members that die, and what must survive.

use cluster_tests::{Cluster, Watched, Writer};
use std::time::Duration;

/// Lost acknowledged writes, members that differ afterwards, or a member that does not come back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_leader_is_killed_thirty_times_under_load() {
    let mut cluster = Cluster::start(3).await;
    let watched = Watched::start(cluster.endpoints(), "load/");
    let writer = Writer::start(&cluster.endpoints(), "load", 6);
    for round in 0..30 {
        writer.progress(50).await;
        let leader = cluster.leader().await;
        cluster.members[leader].kill();
        // Every other time the cluster must elect a new leader before the old one is back.
        if round % 2 == 0 {
            cluster.leader().await;
        }
        cluster.members[leader].start();
        cluster.wait_serving(leader).await;
    }
    let promised = writer.finish_and_check(&cluster.endpoints(), "load").await;
    cluster.assert_same_hash().await;
    watched.finish_and_check(&promised).await;
}

/// What was acknowledged lies only in memory: with all members gone at once nothing but the disks remains.
#[tokio::test(flavor = "multi_thread")]
async fn all_members_are_killed_at_once() {
    let mut cluster = Cluster::start(3).await;
    let writer = Writer::start(&cluster.endpoints(), "all", 6);
    for _ in 0..3 {
        writer.progress(100).await;
        cluster.members.iter_mut().for_each(|member| member.kill());
        cluster.members.iter_mut().for_each(|member| member.start());
        cluster.wait_ready().await;
    }
    writer.finish_and_check(&cluster.endpoints(), "all").await;
    cluster.assert_same_hash().await;
}

/// A single member has nobody to ask: what it acknowledged must be on its own disk (etcd #14370).
#[tokio::test(flavor = "multi_thread")]
async fn a_single_member_is_killed_twenty_times() {
    let mut cluster = Cluster::start(1).await;
    let writer = Writer::start(&cluster.endpoints(), "one", 4);
    for _ in 0..20 {
        writer.progress(50).await;
        cluster.members[0].kill();
        cluster.members[0].start();
        cluster.wait_serving(0).await;
    }
    writer.finish_and_check(&cluster.endpoints(), "one").await;
}

/// An upgrade restarts the members one after the other: clients must hardly notice.
#[tokio::test(flavor = "multi_thread")]
async fn every_member_restarts_in_turn_while_a_client_writes() {
    let mut cluster = Cluster::start(3).await;
    let watched = Watched::start(cluster.endpoints(), "roll/");
    let writer = Writer::start(&cluster.endpoints(), "roll", 3);
    for member in 0..3 {
        writer.progress(50).await;
        cluster.members[member].stop().await;
        writer.progress(50).await;
        cluster.members[member].start();
        cluster.wait_serving(member).await;
    }
    let promised = writer.finish_and_check(&cluster.endpoints(), "roll").await;
    cluster.assert_same_hash().await;
    watched.finish_and_check(&promised).await;
}

/// A leader that stands still keeps its connections open and must be replaced all the same; when it wakes it must not
/// answer as if it still led (etcd #20418).
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_leader_is_replaced_and_does_not_serve_old_values() {
    let mut cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    let mut client_of_old = cluster.client_of(old).await;
    client_of_old
        .put("key", "old", None)
        .await
        .expect("a healthy cluster takes writes");

    cluster.members[old].pause();
    let others: Vec<usize> = (0..3).filter(|member| *member != old).collect();
    cluster_tests::eventually(Duration::from_secs(10), || async {
        let mut client = cluster.client_of(others[0]).await;
        client.put("key", "new", None).await?;
        Ok(())
    })
    .await;
    cluster.members[old].resume();

    let value = cluster_tests::eventually(Duration::from_secs(10), async || {
        let answer = client_of_old.clone().get("key", None).await?;
        Ok(answer.kvs()[0].value().to_vec())
    })
    .await;
    assert_eq!(value, b"new");
}

/// SIGTERM on the leader hands leadership over instead of leaving the cluster to time out.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_stop_hands_over() {
    let mut cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    let term = cluster.status(old).await.expect("a status").raft_term();
    cluster.members[old].stop().await;
    let new = cluster.leader().await;
    let new_term = cluster.status(new).await.expect("a status").raft_term();
    assert_eq!(
        new_term,
        term + 1,
        "one transfer, not an election after a timeout"
    );
}
