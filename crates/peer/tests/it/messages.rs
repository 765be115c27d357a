//! Raft messages from member to member.

use crate::util::{Node, body};
use model::MemberId;
use std::time::Duration;

#[tokio::test]
async fn messages_arrive_in_order_and_in_batches() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    a.connected(&b).await;
    let bodies: Vec<_> = (0..3000).map(|number| format!("{number}")).collect();
    for group in bodies.chunks(10) {
        a.send(&b, &group.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let received = b
        .raft
        .until("all messages", |received| received.messages.len() == 3000)
        .await;
    assert_eq!(received.messages.iter().map(body).collect::<Vec<_>>(), bodies);
    assert!(received.batches < 300, "{} batches", received.batches);
}

#[tokio::test]
async fn three_members_talk_to_each_other() {
    let nodes = [Node::start(1).await, Node::start(2).await, Node::start(3).await];
    for a in &nodes {
        for b in &nodes {
            a.knows(b);
        }
        assert_eq!(a.peers.members().len(), 2, "not to itself");
    }
    for a in &nodes {
        for b in nodes.iter().filter(|b| b.id != a.id) {
            a.connected(b).await;
            a.send(b, &["hello"]);
        }
    }
    for node in &nodes {
        node.raft
            .until("two messages", |received| received.messages.len() == 2)
            .await;
    }
}

#[tokio::test]
async fn a_lost_connection_is_reported_and_made_again() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    a.connected(&b).await;
    for round in 0..3 {
        a.send(&b, &["before"]);
        b.raft
            .until("before", |received| received.messages.len() == 2 * round + 1)
            .await;
        a.wire.cut();
        a.raft
            .until("the report", |received| received.unreachable.len() > round)
            .await;
        a.connected(&b).await;
        a.send(&b, &["after"]);
        b.raft
            .until("after", |received| received.messages.len() == 2 * round + 2)
            .await;
    }
    assert!(a.raft.now().unreachable.iter().all(|id| *id == b.id));
}

/// A firewall that lets connections through in one direction, or a certificate that is no good for a client.
#[tokio::test]
async fn a_member_that_cannot_connect_to_others_answers_those_who_connect_to_it() {
    let (walled, other) = (Node::start_walled(1).await, Node::start(2).await);
    walled.knows(&other);
    other.knows(&walled);
    other.connected(&walled).await;
    let large = "x".repeat(200);
    for round in 0..3 {
        other.send(&walled, &["question"]);
        walled
            .raft
            .until("the question", |received| received.messages.len() > round)
            .await;
        let answers = [&format!("{round}")[..], &large, "last"];
        walled.send(&other, &answers);
        let received = other
            .raft
            .until("the answers", |received| {
                received.messages.len() >= 3 * (round + 1)
            })
            .await;
        let bodies: Vec<_> = received.messages.iter().skip(3 * round).map(body).collect();
        assert_eq!(bodies, answers);

        let heard = walled.raft.now().unreachable.len();
        other.wire.cut();
        // Without any way it is reported again, as often as connecting fails.
        walled
            .raft
            .until("the cut", |received| received.unreachable.len() > heard)
            .await;
        other.connected(&walled).await;
    }
}

#[tokio::test]
async fn a_member_that_is_not_there_yet_is_reached_when_it_comes() {
    let a = Node::start(1).await;
    // A port that nobody listens on, until somebody does.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    drop(listener);
    a.peers.add(MemberId(2), vec![url]);
    a.raft
        .until("the report", |received| !received.unreachable.is_empty())
        .await;
    assert_eq!(a.peers.connected_for(MemberId(2)), None);
    let b = Node::start(2).await;
    a.peers
        .update(b.id, vec!["http://127.0.0.1:1".to_owned(), b.url.clone()]);
    a.connected(&b).await;
    a.send(&b, &["hello"]);
    b.raft
        .until("the message", |received| received.messages.len() == 1)
        .await;
}

#[tokio::test]
async fn who_speaks_to_us_gets_answers_before_we_have_heard_of_it() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    a.connected(&b).await;
    b.connected(&a).await;
    b.send(&a, &["answer"]);
    a.raft
        .until("the answer", |received| received.messages.len() == 1)
        .await;
}

#[tokio::test]
async fn a_member_is_no_longer_spoken_to_once_removed() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    a.connected(&b).await;
    a.peers.remove(b.id);
    assert_eq!((a.peers.connected_for(b.id), a.peers.members().len()), (None, 0));
    a.send(&b, &["nothing"]);
    a.knows(&b);
    a.connected(&b).await;
    a.send(&b, &["something"]);
    let received = b
        .raft
        .until("a message", |received| !received.messages.is_empty())
        .await;
    assert_eq!(body(&received.messages[0]), "something");
}

#[tokio::test]
async fn for_how_long_a_member_is_connected_is_known() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    a.connected(&b).await;
    let first = a.peers.connected_for(b.id).expect("connected");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = a.peers.connected_for(b.id).expect("connected");
    assert!(second >= first + Duration::from_millis(20));
    a.wire.cut();
    a.raft
        .until("the report", |received| !received.unreachable.is_empty())
        .await;
    a.connected(&b).await;
    assert!(a.peers.connected_for(b.id).expect("connected") < Duration::from_secs(30));
}

#[tokio::test]
async fn large_messages_get_through() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    a.connected(&b).await;
    let mut large = crate::util::message(a.id, "x").to_vec();
    large.resize(10 << 20, 7);
    raft_engine::Transport::send(&a.peers, b.id.0, vec![large.clone().into(), large.clone().into()]);
    let received = b
        .raft
        .until("both", |received| received.messages.len() == 2)
        .await;
    assert!(received.messages.iter().all(|message| *message == large));
}
