//! SIGKILL under full load, again and again. `KILLS=N` sets how often. Several clusters at once: most of the time of a
//! start is spent waiting.

use cluster_tests::{Cluster, Writer};
use std::ops::AddAssign;
use std::time::Duration;
use tokio::time::Instant;

/// What came of some kills.
#[derive(Default)]
struct Sum {
    kills: usize,
    acknowledged: usize,
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
    }
}

/// Kills in each of so many clusters, such that all together come to `default` or to what `KILLS` says.
fn shares(default: usize, clusters: usize) -> impl Iterator<Item = usize> {
    let all = std::env::var("KILLS").map_or(default, |text| text.parse().expect("KILLS is a number"));
    (0..clusters).map(move |cluster| all / clusters + usize::from(cluster < all % clusters))
}

/// Two times of three until the cluster is at full work, else for a moment that has nothing to do with what a server
/// does: it may be just starting.
async fn some_time(writer: &Writer, round: usize) {
    if !round.is_multiple_of(3) {
        writer.progress(1 + round as u64 * 37 % 200).await;
    } else {
        tokio::time::sleep(Duration::from_millis(20 + round as u64 * 37 % 180)).await;
    }
}

async fn kill_one(kills: usize) -> Sum {
    let mut cluster = Cluster::start(1).await;
    let writer = Writer::start(&cluster.endpoints(), "alone", 16);
    let mut revision = 0;
    for round in 0..kills {
        some_time(&writer, round).await;
        cluster.members[0].kill();
        cluster.members[0].start();
        if round % 4 == 0 {
            cluster.wait_serving(0).await;
            let status = cluster.status(0).await.expect("it serves");
            let now = status.header().map_or(0, |header| header.revision());
            assert!(now >= revision, "the revision went back from {revision} to {now}");
            revision = now;
        }
    }
    cluster.wait_serving(0).await;
    let promised = writer.finish_and_check(&cluster.endpoints(), "alone").await;
    Sum {
        kills,
        acknowledged: promised.len(),
    }
}

/// An answer before the log is durable; a state that is not the log's after a restart (etcd #13766, #14370).
#[tokio::test(flavor = "multi_thread")]
async fn a_member_alone_keeps_every_acknowledged_write() {
    if !cluster_tests::alone() {
        return;
    }
    let began = Instant::now();
    let tasks: Vec<_> = shares(300, 4)
        .map(|kills| tokio::spawn(kill_one(kills)))
        .collect();
    report(tasks, began).await;
}

async fn kill_of_three(kills: usize) -> Sum {
    let mut cluster = Cluster::start(3).await;
    let writer = Writer::start(&cluster.endpoints(), "three", 12);
    for round in 0..kills {
        some_time(&writer, round).await;
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
    Sum {
        kills,
        acknowledged: promised.len(),
    }
}

/// The same with a member of three chosen in turn, and every tenth time all of them at once.
#[tokio::test(flavor = "multi_thread")]
async fn three_members_keep_every_acknowledged_write_and_stay_equal() {
    if !cluster_tests::alone() {
        return;
    }
    let began = Instant::now();
    let tasks: Vec<_> = shares(100, 3)
        .map(|kills| tokio::spawn(kill_of_three(kills)))
        .collect();
    report(tasks, began).await;
}

async fn report(clusters: Vec<tokio::task::JoinHandle<Sum>>, began: Instant) {
    let mut sum = Sum::default();
    for cluster in clusters {
        sum += cluster.await.expect("no cluster loses anything");
    }
    println!(
        "{} kills, {} writes acknowledged, in {:?}",
        sum.kills,
        sum.acknowledged,
        began.elapsed()
    );
}
