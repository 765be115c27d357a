//! Those who are not listened to.

use crate::util::{self, CLUSTER, Node, PATIENCE, message};
use api::quorate::peer::RaftBatch;
use api::quorate::peer::peer_client::PeerClient;
use futures::StreamExt;
use model::{ClusterId, MemberId};
use tonic::{Code, Request, Status, Streaming};

/// Speaks to a member as somebody: cluster, sender, addressee.
async fn stream(to: &Node, headers: &[(&'static str, &str)], batches: Vec<RaftBatch>) -> Result<(), Status> {
    let mut client = PeerClient::connect(to.url.clone()).await.expect("connect");
    let mut request = Request::new(futures::stream::iter(batches));
    for (name, value) in headers {
        request
            .metadata_mut()
            .insert(*name, value.parse().expect("value"));
    }
    end_of(client.raft(request).await?.into_inner()).await
}

/// How the answer to a stream ends; signs of life may come before.
async fn end_of(mut answer: Streaming<RaftBatch>) -> Result<(), Status> {
    let end = async {
        while answer.message().await?.is_some() {}
        Ok(())
    };
    tokio::time::timeout(PATIENCE, end).await.expect("an end")
}

const GOOD: [(&str, &str); 3] = [
    ("quorate-cluster-id", "c1"),
    ("quorate-member-id", "9"),
    ("quorate-to", "1"),
];

fn batch(from: u64, body: &str) -> RaftBatch {
    util::batch(vec![message(MemberId(from), body)])
}

#[tokio::test]
async fn another_cluster_is_refused() {
    let a = Node::start(1).await;
    let stranger = Node::start_in(ClusterId(CLUSTER.0 + 1), 2).await;
    stranger.knows(&a);
    stranger
        .raft
        .until("the report", |received| !received.unreachable.is_empty())
        .await;
    stranger.send(&a, &["hello"]);
    assert_eq!(stranger.peers.connected_for(a.id), None);
    assert!(a.raft.now().messages.is_empty() && a.peers.members().is_empty());

    let headers = [("quorate-cluster-id", "c2"), GOOD[1], GOOD[2]];
    let status = stream(&a, &headers, vec![batch(9, "hello")])
        .await
        .expect_err("refused");
    assert_eq!(status.message(), "request cluster ID mismatch");
}

#[tokio::test]
async fn who_means_another_member_is_refused() {
    let a = Node::start(1).await;
    let headers = [GOOD[0], GOOD[1], ("quorate-to", "3")];
    let status = stream(&a, &headers, vec![batch(9, "hello")])
        .await
        .expect_err("refused");
    assert_eq!(status.message(), "request member ID mismatch");
    let headers = [GOOD[0], ("quorate-member-id", "1"), GOOD[2]];
    let status = stream(&a, &headers, vec![batch(1, "hello")])
        .await
        .expect_err("refused");
    assert_eq!(status.message(), "request member ID mismatch");
    let status = stream(&a, &GOOD[..2], vec![]).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(a.raft.now().messages.is_empty());
}

#[tokio::test]
async fn messages_in_another_name_are_refused() {
    let a = Node::start(1).await;
    stream(&a, &GOOD, vec![batch(9, "mine")]).await.expect("accepted");
    let status = stream(&a, &GOOD, vec![batch(9, "mine"), batch(8, "not mine")])
        .await
        .expect_err("refused");
    assert_eq!(status.message(), "a raft message in another member's name");
    let garbage = util::batch(vec![bytes::Bytes::from_static(b"\xff\xff")]);
    stream(&a, &GOOD, vec![garbage]).await.expect_err("refused");
    assert_eq!(a.raft.now().messages.len(), 2);
}

/// A bit changed on the way: raft's messages hold clients' keys and values, which would be stored as they came.
#[tokio::test]
async fn a_damaged_message_is_not_looked_at() {
    let a = Node::start(1).await;
    let sound = batch(9, "value");
    for bit in 0..sound.messages[0].len() * 8 {
        let mut damaged = sound.messages[0].to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let damaged = RaftBatch {
            messages: vec![damaged.into()],
            ..sound.clone()
        };
        let status = stream(&a, &GOOD, vec![damaged]).await.expect_err("refused");
        assert_eq!(status.code(), Code::DataLoss, "bit {bit}");
    }
    // Bytes that have moved from one message to the next.
    let apart = RaftBatch {
        messages: vec![sound.messages[0].slice(..5), sound.messages[0].slice(5..)],
        ..sound.clone()
    };
    stream(&a, &GOOD, vec![apart]).await.expect_err("refused");
    assert!(a.raft.now().messages.is_empty());
    // Whoever was only unlucky is not kept waiting.
    stream(&a, &GOOD, vec![sound]).await.expect("accepted");
}

/// A damaged length: all that follows, also probes of a connection that is well, would be waited for as part of one
/// message, and a member would be without its leader for as long as that takes.
#[tokio::test]
async fn a_message_that_does_not_end_is_given_up() {
    let a = Node::start(1).await;
    let mut client = PeerClient::connect(a.url.clone()).await.expect("connect");
    let batches = futures::stream::iter([batch(9, "whole")]).chain(futures::stream::pending());
    let mut request = Request::new(batches);
    for (name, value) in GOOD {
        request.metadata_mut().insert(name, value.parse().expect("value"));
    }
    let answer = client.raft(request).await.expect("accepted").into_inner();
    let status = end_of(answer).await.expect_err("a reason");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(a.raft.now().messages.len(), 1);
}

#[tokio::test]
async fn malformed_messages_end_the_stream() {
    let a = Node::start(1).await;
    let status = stream(&a, &GOOD, vec![batch(9, "malformed")])
        .await
        .expect_err("refused");
    assert_eq!(status.message(), "malformed raft message: test");
}

#[tokio::test]
async fn batches_above_the_limit_are_refused() {
    let a = Node::start(1).await;
    let mut large = message(MemberId(9), "x").to_vec();
    large.resize(17 << 20, 0);
    let batch = util::batch(vec![large.into()]);
    let status = stream(&a, &GOOD, vec![batch]).await.expect_err("refused");
    assert_eq!(status.code(), Code::OutOfRange);
}

#[tokio::test]
async fn a_removed_member_is_told_so() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    b.knows(&a);
    a.connected(&b).await;
    b.connected(&a).await;
    // Amid a stream.
    a.answers.gone.lock().expect("lock").insert(b.id);
    a.peers.remove(b.id);
    b.send(&a, &["I am still here"]);
    let mut told = b.answers.was_removed.subscribe();
    tokio::time::timeout(PATIENCE, told.wait_for(|told| *told))
        .await
        .expect("told")
        .expect("told");
    assert!(a.raft.now().messages.is_empty());

    // When it comes back later.
    let again = Node::start(2).await;
    again.knows(&a);
    let mut told = again.answers.was_removed.subscribe();
    tokio::time::timeout(PATIENCE, told.wait_for(|told| *told))
        .await
        .expect("told")
        .expect("told");
}
