//! Requests that one member passes on to another.

use crate::util::Node;
use model::pb::etcdserverpb as pb;
use model::{MemberId, Rejection};
use peer::Error;

#[tokio::test]
async fn lease_requests_are_answered_by_the_leader() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    a.connected(&b).await;
    let answer = a
        .peers
        .keep_alive(b.id, pb::LeaseKeepAliveRequest { id: 5 })
        .await
        .expect("answer");
    assert_eq!((answer.id, answer.ttl), (5, 60));
    let request = pb::LeaseTimeToLiveRequest { id: -3, keys: true };
    let answer = a.peers.time_to_live(b.id, request).await.expect("answer");
    assert_eq!((answer.id, answer.ttl, answer.keys.len()), (-3, 7, 1));
    let answer = a
        .peers
        .hash_kv(b.id, pb::HashKvRequest { revision: 9 })
        .await
        .expect("answer");
    assert_eq!((answer.hash, answer.hash_revision), (42, 9));
}

#[tokio::test]
async fn refusals_come_back_as_what_they_are() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    a.connected(&b).await;
    let refused = a
        .peers
        .keep_alive(b.id, pb::LeaseKeepAliveRequest { id: 404 })
        .await;
    assert!(matches!(refused, Err(Error::Rejected(Rejection::LeaseNotFound))));
    for (id, expected) in [(404, Rejection::MemberNotFound), (1, Rejection::LearnerNotReady)] {
        let refused = a.peers.promote(b.id, pb::MemberPromoteRequest { id }).await;
        assert!(matches!(refused, Err(Error::Rejected(rejection)) if rejection == expected));
    }
}

#[tokio::test]
async fn without_an_answer_the_caller_learns_why() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    let ask = |id| a.peers.keep_alive(b.id, pb::LeaseKeepAliveRequest { id });
    assert!(matches!(ask(1).await, Err(Error::UnknownMember(MemberId(2)))));
    a.peers.add(b.id, vec!["http://127.0.0.1:1".to_owned()]);
    assert!(matches!(ask(1).await, Err(Error::Unreachable { .. })));
    a.knows(&b);
    a.connected(&b).await;
    assert!(matches!(ask(408).await, Err(Error::TimedOut { .. })));
    ask(1).await.expect("the connection is still good");
}

#[tokio::test]
async fn strangers_are_refused_here_too() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    a.connected(&b).await;
    b.answers.gone.lock().expect("lock").insert(a.id);
    let refused = a
        .peers
        .keep_alive(b.id, pb::LeaseKeepAliveRequest { id: 1 })
        .await;
    assert!(matches!(refused, Err(Error::Unexpected { .. })), "{refused:?}");
}

#[tokio::test]
async fn versions_are_asked_by_http() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    assert!(matches!(
        a.peers.version_of(b.id).await,
        Err(Error::UnknownMember(_))
    ));
    a.peers
        .add(b.id, vec!["http://127.0.0.1:1".to_owned(), b.url.clone()]);
    let versions = a.peers.version_of(b.id).await.expect("versions");
    assert_eq!(
        (versions.server.as_str(), versions.cluster.as_str()),
        ("3.7.1", "3.7.0")
    );
}
