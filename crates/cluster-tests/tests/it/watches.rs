//! Watchers on clusters that suffer: members die and come back through snapshots, history is compacted under them, their
//! connections are cut, slow and stalled, and they are slow themselves.

use cluster_tests::{Cluster, Relay, Setup, Watchers, Wish, connect, eventually};
use etcd_client::{Compare, CompareOp, Txn, TxnOp, WatchFilterType};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Changes keys below `w/` in every way, each time at least one.
async fn change(endpoint: String, number: u64, stop: Arc<AtomicBool>, newest: Arc<AtomicI64>) {
    let client = connect(&[endpoint]).await;
    for n in 0u64.. {
        if stop.load(Relaxed) {
            return;
        }
        let mut client = client.clone();
        let key = |k: u64| format!("w/{}", (n.wrapping_mul(31) + k * 7 + number) % 40);
        let value = format!("{number}/{n}");
        let revision = match n % 5 {
            0 => {
                let ops =
                    (0..4).map(|k| TxnOp::put(format!("w/{number}/{}", (n + k) % 9), value.clone(), None));
                let txn = Txn::new().and_then(ops.collect::<Vec<_>>());
                client
                    .txn(txn)
                    .await
                    .ok()
                    .and_then(|answer| Some(answer.header()?.revision()))
            }
            // A deletion of nothing would be no change, and no revision.
            1 => {
                let exists = Compare::version(key(1), CompareOp::Greater, 0);
                let txn = Txn::new()
                    .when([exists])
                    .and_then([TxnOp::delete(key(1), None)])
                    .or_else([TxnOp::put(key(1), value, None)]);
                client
                    .txn(txn)
                    .await
                    .ok()
                    .and_then(|answer| Some(answer.header()?.revision()))
            }
            k => client
                .put(key(k), value, None)
                .await
                .ok()
                .and_then(|answer| Some(answer.header()?.revision())),
        };
        match revision {
            Some(revision) => drop(newest.fetch_max(revision, Relaxed)),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Forgets all but the last revisions, again and again.
async fn compact(endpoints: Vec<String>, keep: i64, newest: Arc<AtomicI64>) {
    let client = connect(&endpoints).await;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = client.clone().compact(newest.load(Relaxed) - keep, None).await;
    }
}

fn wishes() -> Vec<Wish> {
    let wish = Wish::default();
    let slow = |millis| Wish {
        pause: Duration::from_millis(millis),
        ..wish
    };
    let progress = Wish {
        progress: true,
        ..wish
    };
    let prev_kv = Wish {
        prev_kv: true,
        ..wish
    };
    let filtered = |filter| Wish {
        without: Some(filter),
        progress: true,
        ..wish
    };
    let kinds = [
        wish,
        prev_kv,
        progress,
        Wish {
            progress: true,
            ..prev_kv
        },
        slow(5),
        slow(300),
        filtered(WatchFilterType::NoPut),
        filtered(WatchFilterType::NoDelete),
    ];
    // Thrice, so that each kind is at each member.
    [kinds, kinds, kinds].concat()
}

struct Changes {
    stop: Arc<AtomicBool>,
    newest: Arc<AtomicI64>,
    writers: Vec<JoinHandle<()>>,
    compacting: JoinHandle<()>,
}

impl Changes {
    fn start(cluster: &Cluster, keep: i64) -> Changes {
        let (stop, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(1)));
        let endpoints = cluster.endpoints();
        let writers = (0..6).map(|number| {
            let endpoint = endpoints[number as usize % endpoints.len()].clone();
            tokio::spawn(change(endpoint, number, stop.clone(), newest.clone()))
        });
        Changes {
            writers: writers.collect(),
            compacting: tokio::spawn(compact(endpoints.clone(), keep, newest.clone())),
            stop,
            newest,
        }
    }

    async fn progress(&self, more: i64) {
        let goal = self.newest.load(Relaxed) + more;
        eventually(Duration::from_secs(30), || async {
            anyhow::ensure!(self.newest.load(Relaxed) >= goal, "writes stand still");
            Ok(())
        })
        .await;
    }

    /// Ends them, and gives the newest revision there is.
    async fn finish(self, cluster: &Cluster) -> i64 {
        self.stop.store(true, Relaxed);
        self.compacting.abort();
        for writer in self.writers {
            writer.await.expect("a writer does not panic");
        }
        cluster.assert_same_hash().await
    }
}

/// An event lost, doubled, late or of another time wherever a stream begins anew, catches up, or changes from what is
/// in memory to what is stored and back.
#[tokio::test(flavor = "multi_thread")]
async fn watchers_miss_nothing_while_members_and_connections_fail() {
    if !cluster_tests::alone() {
        return;
    }
    let setup = Setup::default()
        .flag("--snapshot-count=100")
        .flag("--snapshot-catchup-entries=10")
        .flag("--watch-progress-notify-interval=200ms");
    let mut cluster = setup.start(3).await;
    let mut relays = Vec::new();
    for member in &cluster.members {
        relays.push(Relay::start(member.client_port).await);
    }
    let endpoints: Vec<String> = relays
        .iter()
        .map(|relay| format!("http://127.0.0.1:{}", relay.port))
        .collect();
    let changes = Changes::start(&cluster, 3000);
    let watchers = Watchers::start(&endpoints, "w/", &wishes(), 2);
    for round in 0..6 {
        let member = round % 3;
        changes.progress(150).await;
        relays[member].cut();
        relays[(member + 1) % 3].stall(true);
        relays[(member + 2) % 3].delay(Duration::from_millis(20));
        changes.progress(100).await;
        // What it missed is in no log any more when it comes back.
        cluster.members[member].kill();
        changes.progress(250).await;
        cluster.members[member].start();
        cluster.wait_serving(member).await;
        relays[(member + 1) % 3].stall(false);
        relays[(member + 2) % 3].delay(Duration::ZERO);
    }
    let newest = changes.finish(&cluster).await;
    let seen = watchers.finish_and_check(newest).await;
    println!("{seen:?}");
    assert!(
        seen.revisions as i64 >= newest - 1,
        "{seen:?}: revisions up to {newest} are not all known"
    );
}

/// History that goes while watchers are on their way through it: they are told, and go on behind it.
#[tokio::test(flavor = "multi_thread")]
async fn watchers_that_history_overtakes_are_told() {
    if !cluster_tests::alone() {
        return;
    }
    let cluster = Setup::default()
        .flag("--watch-progress-notify-interval=200ms")
        .start(3)
        .await;
    let relay = Relay::start(cluster.members[1].client_port).await;
    let changes = Changes::start(&cluster, 30);
    let endpoints = [relay_url(&relay)];
    changes.progress(300).await;
    let watchers = Watchers::start(&endpoints, "w/", &wishes(), 2);
    for _ in 0..5 {
        changes.progress(100).await;
        relay.stall(true);
        changes.progress(300).await;
        relay.stall(false);
        relay.cut();
    }
    let newest = changes.finish(&cluster).await;
    let seen = watchers.finish_and_check(newest).await;
    println!("{seen:?}");
    assert!(seen.compacted > 0, "{seen:?}: nobody was overtaken");
}

fn relay_url(relay: &Relay) -> String {
    format!("http://127.0.0.1:{}", relay.port)
}
