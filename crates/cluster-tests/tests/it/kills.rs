//! SIGKILL under full load, again and again. `KILLS=N` sets how often.

use cluster_tests::{Cluster, Writer};

fn kills(default: usize) -> usize {
    std::env::var("KILLS").map_or(default, |text| text.parse().expect("KILLS is a number"))
}

/// Waits for a moment that has nothing to do with what the server does.
async fn some_time(round: usize) {
    tokio::time::sleep(std::time::Duration::from_millis(20 + round as u64 * 37 % 180)).await;
}

/// An answer before the log is durable; a state that is not the log's after a restart (etcd #13766, #14370).
#[tokio::test(flavor = "multi_thread")]
async fn a_member_alone_keeps_every_acknowledged_write() {
    if !cluster_tests::alone() {
        return;
    }
    let mut cluster = Cluster::start(1).await;
    let writer = Writer::start(&cluster.endpoints(), "alone", 32);
    let count = kills(60);
    let mut revision = 0;
    for round in 0..count {
        some_time(round).await;
        cluster.members[0].kill();
        cluster.members[0].start();
        if round % 4 == 0 {
            cluster.wait_serving(0).await;
            let now = cluster
                .status(0)
                .await
                .expect("it serves")
                .header()
                .map_or(0, |header| header.revision());
            assert!(now >= revision, "the revision went back from {revision} to {now}");
            revision = now;
        }
    }
    cluster.wait_serving(0).await;
    let promised = writer.finish_and_check(&cluster.endpoints(), "alone").await;
    println!("{count} kills, {} writes acknowledged", promised.len());
}

/// The same with a member of three chosen in turn, and every tenth time all of them at once.
#[tokio::test(flavor = "multi_thread")]
async fn three_members_keep_every_acknowledged_write_and_stay_equal() {
    if !cluster_tests::alone() {
        return;
    }
    let mut cluster = Cluster::start(3).await;
    let writer = Writer::start(&cluster.endpoints(), "three", 24);
    let count = kills(30);
    for round in 0..count {
        some_time(round).await;
        if round % 10 == 9 {
            cluster.members.iter_mut().for_each(|member| member.kill());
            cluster.start_all();
            cluster.wait_ready().await;
        } else {
            let member = (round * 7 / 2) % 3;
            cluster.members[member].kill();
            cluster.members[member].start();
            cluster.wait_serving(member).await;
        }
    }
    cluster.wait_ready().await;
    let promised = writer.finish_and_check(&cluster.endpoints(), "three").await;
    cluster.assert_same_hash().await;
    println!("{count} kills, {} writes acknowledged", promised.len());
}
