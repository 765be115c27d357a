//! How long a cluster does without a leader, and whose clock a lease goes by.

use cluster_tests::{Clock, Cluster, Setup, connect, eventually};
use etcd_client::PutOptions;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A leader that stops in good order.
const GRACEFUL: Duration = Duration::from_millis(500);
/// A leader that says nothing any more, with elections of one second.
const SUDDEN: Duration = Duration::from_millis(2500);

/// Writers through every member; what is measured is the longest time in which nobody got an answer.
struct Gaps {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<Instant>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Gaps {
    fn start(cluster: &Cluster) -> Gaps {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let tasks = cluster
            .endpoints()
            .into_iter()
            .flat_map(|endpoint| [endpoint.clone(), endpoint]);
        let tasks = tasks.map(|endpoint| {
            let (stop, answers) = (stop.clone(), answers.clone());
            tokio::spawn(async move {
                let client = connect(&[endpoint]).await;
                while !stop.load(Relaxed) {
                    let mut client = client.clone();
                    let put = tokio::time::timeout(Duration::from_millis(300), client.put("gap", "x", None));
                    match put.await {
                        Ok(Ok(_)) => answers.lock().expect("no panic").push(Instant::now()),
                        _ => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            })
        });
        Gaps {
            tasks: tasks.collect(),
            stop,
            answers,
        }
    }

    /// Waits for `after` since `began` to pass, and for answers, then gives the longest time without any since then.
    async fn longest(&self, began: Instant, after: Duration) -> Duration {
        tokio::time::sleep_until(began + after).await;
        eventually(Duration::from_secs(30), || async {
            let last = *self
                .answers
                .lock()
                .expect("no panic")
                .last()
                .expect("it was served");
            anyhow::ensure!(last >= began + after, "nobody is served");
            Ok(())
        })
        .await;
        let answers = self.answers.lock().expect("no panic");
        let since = answers.iter().filter(|answer| **answer >= began).copied();
        let (mut last, mut longest) = (began, Duration::ZERO);
        for answer in since {
            longest = longest.max(answer - last);
            last = answer;
        }
        longest
    }

    async fn finish(self) {
        self.stop.store(true, Relaxed);
        for task in self.tasks {
            task.await.expect("a writer does not panic");
        }
    }
}

/// Half of the gaps are within the bound, none is beyond thrice of it: a machine that others use as well may take its
/// time once.
fn assert_bounded(what: &str, mut gaps: Vec<Duration>, bound: Duration) {
    gaps.sort();
    println!("{what}: {gaps:?}");
    assert!(
        gaps[gaps.len() / 2] <= bound,
        "{what}: {gaps:?}, {bound:?} is the bound"
    );
    assert!(
        gaps[gaps.len() - 1] <= bound * 3,
        "{what}: {gaps:?}, {bound:?} is the bound"
    );
}

/// An upgrade that makes clients wait for an election timeout at each member.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_goes_leaves_no_gap() {
    if !cluster_tests::alone() {
        return;
    }
    let mut cluster = Cluster::start(3).await;
    let gaps = Gaps::start(&cluster);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (mut stops, mut moves) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let leader = cluster.leader().await;
        let began = Instant::now();
        cluster.members[leader].stop().await;
        stops.push(gaps.longest(began, Duration::from_secs(1)).await);
        cluster.members[leader].start();
        cluster.wait_serving(leader).await;

        let leader = cluster.leader().await;
        let heir = cluster.member_id((leader + 1) % 3).await;
        let began = Instant::now();
        let mut client = cluster.client_of(leader).await;
        client
            .move_leader(heir)
            .await
            .expect("a healthy follower takes over");
        moves.push(gaps.longest(began, Duration::from_secs(1)).await);
    }
    gaps.finish().await;
    assert_bounded("SIGTERM of the leader", stops, GRACEFUL);
    assert_bounded("MoveLeader", moves, GRACEFUL);
}

/// A leader that is gone, or stands still with all its connections open.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_says_nothing_is_replaced_in_time() {
    if !cluster_tests::alone() {
        return;
    }
    let mut cluster = Cluster::start(3).await;
    let gaps = Gaps::start(&cluster);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (mut kills, mut pauses) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let leader = cluster.leader().await;
        let began = Instant::now();
        cluster.members[leader].kill();
        kills.push(gaps.longest(began, Duration::from_secs(3)).await);
        cluster.members[leader].start();
        cluster.wait_serving(leader).await;

        let leader = cluster.leader().await;
        let began = Instant::now();
        cluster.members[leader].pause();
        pauses.push(gaps.longest(began, Duration::from_secs(3)).await);
        cluster.members[leader].resume();
        cluster.wait_serving(leader).await;
    }
    gaps.finish().await;
    assert_bounded("SIGKILL of the leader", kills, SUDDEN);
    assert_bounded("SIGSTOP of the leader", pauses, SUDDEN);
}

const TTL: i64 = 4;

/// A lease that goes by the time of day, which somebody sets (etcd #9888), or whose time a new leader misjudges.
#[tokio::test(flavor = "multi_thread")]
async fn no_lease_ends_early_while_the_time_of_day_jumps() {
    let clocks: Option<Vec<Clock>> = (0..3).map(|_| Clock::build()).collect();
    let Some(clocks) = clocks else { return };
    let mut cluster = Setup::default().prepare(3);
    for (member, clock) in cluster.members.iter_mut().zip(&clocks) {
        let env = clock.env();
        let env: Vec<_> = env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        member.set_env(&env);
    }
    cluster.start_all();
    cluster.wait_ready().await;
    let mut client = cluster.client().await;
    let (mut left, mut kept) = (Vec::new(), Vec::new());
    for n in 0..10 {
        // The server's clock starts after this moment at the earliest.
        let granted = Instant::now();
        let lease = client.lease_grant(TTL, None).await.expect("a lease").id();
        let options = PutOptions::new().with_lease(lease);
        client
            .put(format!("left/{n}"), "", Some(options))
            .await
            .expect("a put");
        left.push((lease, granted));
        let lease = client.lease_grant(TTL, None).await.expect("a lease").id();
        let options = PutOptions::new().with_lease(lease);
        client
            .put(format!("kept/{n}"), "", Some(options))
            .await
            .expect("a put");
        kept.push(tokio::spawn(keep(client.clone(), lease)));
    }
    const DAY: i64 = 86_400;
    let last = left.last().expect("there are leases").1;
    for jump in [DAY, -DAY, 30 * DAY, 0, TTL, -TTL, 3 * DAY].into_iter().cycle() {
        clocks
            .iter()
            .enumerate()
            .for_each(|(member, clock)| clock.jump(jump * (member as i64 - 1 + i64::from(jump > DAY))));
        let asked = Instant::now();
        if asked > last + Duration::from_secs(TTL as u64) {
            break;
        }
        // Whoever asked before the TTL was over must have seen the key.
        let found = keys(&mut client, "left/").await;
        let answered = Instant::now();
        for (n, (lease, granted)) in left.iter().enumerate() {
            if answered < *granted + Duration::from_secs(TTL as u64) {
                assert!(
                    found.contains(&format!("left/{n}")),
                    "lease {lease:x} has ended {:?} after it was granted",
                    answered - *granted
                );
            }
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    // The clocks stand differently, and a new leader has only its own.
    let leader = cluster.leader().await;
    let heir = cluster.member_id((leader + 1) % 3).await;
    cluster
        .client_of(leader)
        .await
        .move_leader(heir)
        .await
        .expect("a healthy follower takes over");
    let client = cluster.client().await;
    eventually(Duration::from_secs(3 * TTL as u64), async || {
        let found = keys(&mut client.clone(), "left/").await;
        anyhow::ensure!(found.is_empty(), "still there after their time: {found:?}");
        Ok(())
    })
    .await;
    assert_eq!(
        keys(&mut client.clone(), "kept/").await.len(),
        10,
        "leases that are renewed live on"
    );
    for keeper in kept {
        keeper.abort();
        if let Err(error) = keeper.await {
            assert!(!error.is_panic(), "a renewed lease has ended");
        }
    }
}

/// Renews a lease for ever, over as many streams as it takes.
async fn keep(mut client: etcd_client::Client, lease: i64) {
    loop {
        let Ok((mut keeper, mut answers)) = client.lease_keep_alive(lease).await else {
            continue;
        };
        while keeper.keep_alive().await.is_ok()
            && let Ok(Some(answer)) = answers.message().await
        {
            assert!(
                answer.ttl() > 0,
                "lease {lease:x} has ended although it was renewed"
            );
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn keys(client: &mut etcd_client::Client, prefix: &str) -> Vec<String> {
    let options = etcd_client::GetOptions::new().with_prefix().with_keys_only();
    let answer = client.get(prefix, Some(options)).await.expect("a read");
    let keys = answer.kvs().iter();
    keys.map(|kv| String::from_utf8_lossy(kv.key()).into_owned())
        .collect()
}
