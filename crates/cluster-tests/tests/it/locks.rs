//! Locks, elections and services that live as long as their lease.

use cluster_tests::{Cluster, eventually};
use etcd_client::{LockOptions, PutOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn two_holders_of_a_lock_never_overlap() {
    let cluster = Cluster::start(3).await;
    let held = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for worker in 0..6 {
        let mut client = cluster.client_of(worker % 3).await;
        let (held, rounds) = (held.clone(), rounds.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..10 {
                let lease = client.lease_grant(30, None).await.unwrap().id();
                let lock = client
                    .lock("lock", Some(LockOptions::new().with_lease(lease)))
                    .await
                    .unwrap();
                assert!(!held.swap(true, Ordering::SeqCst), "two hold the lock");
                tokio::task::yield_now().await;
                rounds.fetch_add(1, Ordering::SeqCst);
                held.store(false, Ordering::SeqCst);
                client.unlock(lock.key()).await.unwrap();
                client.lease_revoke(lease).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.expect("no worker fails");
    }
    assert_eq!(rounds.load(Ordering::SeqCst), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiters_are_served_in_order_of_arrival() {
    let cluster = Cluster::start(1).await;
    let mut client = cluster.client().await;
    let first = client.lock("queue", None).await.unwrap();
    let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
    for waiter in 0..5 {
        let mut client = cluster.client().await;
        let sender = sender.clone();
        tokio::spawn(async move {
            let lock = client.lock("queue", None).await.unwrap();
            sender.send(waiter).unwrap();
            client.unlock(lock.key()).await.unwrap();
        });
        // The next one comes only when this one stands in the queue.
        let mut watcher = cluster.client().await;
        eventually(Duration::from_secs(10), async || {
            let options = etcd_client::GetOptions::new().with_prefix().with_count_only();
            let waiting = watcher.clone().get("queue/", Some(options)).await?.count();
            anyhow::ensure!(waiting == waiter + 2, "{waiting} in the queue");
            Ok(())
        })
        .await;
        let _ = &mut watcher;
    }
    client.unlock(first.key()).await.unwrap();
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(served.recv().await.unwrap());
    }
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leader_is_elected_at_a_time_and_the_next_follows() {
    let cluster = Cluster::start(3).await;
    let mut first = cluster.client_of(0).await;
    let mut second = cluster.client_of(1).await;
    let lease = first.lease_grant(30, None).await.unwrap().id();
    let campaign = first.campaign("election", "one", lease).await.unwrap();
    let key = campaign.leader().expect("a leader key").clone();

    let lease = second.lease_grant(30, None).await.unwrap().id();
    let mut waiting = tokio::spawn(async move {
        second.campaign("election", "two", lease).await.unwrap();
        second
    });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(early.is_err(), "the second must wait");
    let leader = first.leader("election").await.unwrap();
    assert_eq!(leader.kv().expect("a leader").value(), b"one");
    let options = etcd_client::ResignOptions::new().with_leader(key);
    first.resign(Some(options)).await.unwrap();
    waiting.await.expect("the second leads now");
    let leader = first.leader("election").await.unwrap();
    assert_eq!(leader.kv().expect("a leader").value(), b"two");
}

/// Service discovery: an entry must stay while its owner says so, and go by itself when the owner is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_vanishes_when_it_dies() {
    let mut cluster = Cluster::start(3).await;
    let mut service = cluster.client_of(0).await;
    let lease = service.lease_grant(2, None).await.unwrap().id();
    let options = PutOptions::new().with_lease(lease);
    service
        .put("services/web/1", "10.0.0.1:80", Some(options))
        .await
        .unwrap();

    // Alive: it renews through any member, across a change of leader, for twice its TTL.
    let (mut keeper, mut answers) = service.lease_keep_alive(lease).await.unwrap();
    let leader = cluster.leader().await;
    let mut reader = cluster.client_of((leader + 1) % 3).await;
    let started = tokio::time::Instant::now();
    while started.elapsed() < Duration::from_secs(4) {
        keeper.keep_alive().await.unwrap();
        assert!(answers.message().await.unwrap().expect("an answer").ttl() > 0);
        assert_eq!(reader.get("services/web/1", None).await.unwrap().count(), 1);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    // Dead: nobody renews. Not before the TTL, and not long after.
    drop((keeper, answers, service));
    let died = tokio::time::Instant::now();
    eventually(Duration::from_secs(10), async || {
        let count = reader.clone().get("services/web/1", None).await?.count();
        anyhow::ensure!(count == 0, "still registered");
        Ok(())
    })
    .await;
    assert!(
        died.elapsed() > Duration::from_millis(1500),
        "it vanished early, after {:?}",
        died.elapsed()
    );
}
