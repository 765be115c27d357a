//! Clients that ask and do not read: what waits for them is bounded, and others have their share.

use crate::hostile::{RANGE, Story, WATCH, WINDOW, put_some_time, store};
use cluster_tests::wire::{self, END_HEADERS, Wire, kind};
use cluster_tests::{Setup, eventually};
use std::time::Duration;
use tokio::sync::Mutex;

/// The largest window that HTTP/2 knows.
const WIDE: u32 = (1 << 31) - 1;

/// What is to be sent is kept for whoever never reads it.
#[tokio::test(flavor = "multi_thread")]
async fn watchers_that_never_read_cost_little() {
    let story = Story::begin(Setup::default()).await;
    let create = wire::field(
        1,
        &[wire::field(1, b"w"), wire::field(2, b"x"), wire::number(3, 1)].concat(),
    );
    let mut held = Vec::new();
    for n in 0..100 {
        // Some never open a window, some do not even read their socket.
        let wire = if n % 2 == 0 {
            Wire::open(story.port(), 0).await
        } else {
            Wire::deaf(story.port(), WINDOW).await
        };
        let mut wire = wire.unwrap();
        for id in [1, 3, 5] {
            wire.request(id, WATCH, &create, false).await.unwrap();
        }
        held.push(wire);
    }
    // The store and the log of events take their share of it.
    store(&story.cluster, "w", 150).await;
    story.end(700).await;
}

/// Answers that lie in the buffers of their connections when their calls have long ended, and are not counted any more.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_share_a_bounded_memory() {
    let story = Story::begin(Setup::default()).await;
    put_some_time(&story.cluster, "large", &vec![b'v'; 900_000]).await;
    let ask = wire::field(1, b"large");
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut wire = Wire::deaf(story.port(), WIDE).await.unwrap();
        let more = WIDE - WINDOW;
        wire.frame(kind::WINDOW_UPDATE, 0, 0, &more.to_be_bytes())
            .await
            .unwrap();
        for call in 0..1000 {
            wire.request(1 + 2 * call, RANGE, &ask, true).await.unwrap();
        }
        held.push(wire);
    }
    // 4 GB are asked for, and 1 GiB may wait. Once it does, others are told. What the kernel takes after the last refusal
    // makes room again, so that somebody goes on asking.
    let greedy = Mutex::new((held.pop().expect("there are four"), 1000..));
    eventually(Duration::from_secs(30), async || {
        let (wire, calls) = &mut *greedy.lock().await;
        for call in calls.take(4) {
            wire.request(1 + 2 * call, RANGE, &ask, true).await?;
        }
        let answer = story.cluster.client_of(0).await.get("large", None).await;
        let refusal = answer.err().map(|error| error.to_string()).unwrap_or_default();
        anyhow::ensure!(refusal.contains("too many requests"), "not yet: {refusal:?}");
        Ok(())
    })
    .await;
    // What is small is served all the same.
    put_some_time(&story.cluster, "small", b"v").await;
    let small = story.cluster.client_of(0).await.get("small", None).await.unwrap();
    assert_eq!(small.kvs().len(), 1);
    drop((held, greedy));
    eventually(Duration::from_secs(30), async || {
        story.cluster.client_of(0).await.get("large", None).await?;
        let [now, _] = story.cluster.members[0].memory();
        anyhow::ensure!(now < 400, "{now} MiB are still in use");
        Ok(())
    })
    .await;
    story.end(1400).await;
}

/// As many calls on one connection as somebody likes, against what the server has asked for.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_calls_on_one_connection() {
    let story = Story::begin(Setup::default()).await;
    let mut wire = story.wire().await;
    let block = wire::call(WATCH, &[]);
    for call in 0..50_000u32 {
        let sent = wire.frame(kind::HEADERS, END_HEADERS, 1 + 2 * call, &block).await;
        if sent.is_err() || wire.is_closed() {
            break;
        }
    }
    let _ = wire.flush().await;
    let refused = wire
        .wait(Duration::from_secs(20), |wire| {
            wire.is_closed() || wire.resets() >= 40_000
        })
        .await;
    println!("{} refused, GOAWAY {:?}", wire.resets(), wire.goaway());
    assert!(refused, "{} calls are refused, not 40,000", wire.resets());
    story.end(300).await;
}
