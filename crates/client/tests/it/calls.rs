//! One request, one answer: retries, deadlines, tokens.

use crate::server::{Fake, Turn};
use client::pb::etcdserverpb::{PutRequest, RangeRequest};
use client::{Client, Error, Options};
use std::time::Duration;
use tonic::Code;

const UNAVAILABLE: Turn = Turn::Refuse(Code::Unavailable, "etcdserver: leader changed");

/// An address where nobody listens, for as long as the socket lives.
fn deaf() -> (tokio::net::TcpSocket, String) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = socket.local_addr().unwrap().to_string();
    (socket, endpoint)
}

async fn client(endpoints: &[&str], change: impl FnOnce(&mut Options)) -> Client {
    let mut options = Options {
        endpoints: endpoints.iter().map(|endpoint| endpoint.to_string()).collect(),
        timeout: Some(Duration::from_secs(30)),
        ..Default::default()
    };
    change(&mut options);
    Client::connect(options).await.unwrap()
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_passed_over_by_writes_too() {
    let (_socket, down) = deaf();
    let server = Fake::start([]).await;
    let client = client(&[&down, &server.endpoint], |_| {}).await;
    client.put(PutRequest::default()).await.unwrap();
    client.range(RangeRequest::default()).await.unwrap();
    assert_eq!(server.seen(), ["put -", "range -"]);
}

#[tokio::test]
async fn a_read_is_repeated_and_a_write_is_not() {
    let server = Fake::start([UNAVAILABLE, Turn::Answer, UNAVAILABLE]).await;
    let client = client(&[&server.endpoint], |_| {}).await;
    client.range(RangeRequest::default()).await.unwrap();
    let error = client.put(PutRequest::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "etcdserver: leader changed");
    assert_eq!(server.seen(), ["range -", "range -", "put -"]);
}

#[tokio::test]
async fn a_refusal_is_final_at_once() {
    let server = Fake::start([Turn::Refuse(
        Code::OutOfRange,
        "etcdserver: mvcc: required revision has been compacted",
    )])
    .await;
    let client = client(&[&server.endpoint], |_| {}).await;
    let error = client.range(RangeRequest::default()).await.unwrap_err();
    assert!(error.is(model::Rejection::Compacted));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_server_that_never_answers_runs_into_the_deadline() {
    let server = Fake::start([Turn::Hang]).await;
    let client = client(&[&server.endpoint], |_| {}).await;
    let hasty = client.with_timeout(Some(Duration::from_millis(50)));
    let error = hasty.range(RangeRequest::default()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout));
    client.range(RangeRequest::default()).await.unwrap();
}

#[tokio::test]
async fn a_token_is_fetched_and_renewed_when_it_is_refused() {
    let server = Fake::start([]).await;
    let client = client(&[&server.endpoint], |options| {
        options.credentials = Some(("ada".into(), "secret".into()));
    })
    .await;
    client.put(PutRequest::default()).await.unwrap();
    let expired = Turn::Refuse(Code::Unauthenticated, "etcdserver: invalid auth token");
    server.state.lock().unwrap().turns.push_back(expired.clone());
    client.put(PutRequest::default()).await.unwrap();
    let wanted = [
        "authenticate -",
        "put token1",
        "put token1",
        "authenticate -",
        "put token2",
    ];
    assert_eq!(server.seen(), wanted);
    // Refused again with the new one: it is not the token.
    server
        .state
        .lock()
        .unwrap()
        .turns
        .extend([expired.clone(), Turn::Answer, expired]);
    let error = client.put(PutRequest::default()).await.unwrap_err();
    assert!(error.is(model::Rejection::InvalidAuthToken));
}

#[tokio::test]
async fn credentials_are_no_harm_where_authentication_is_off() {
    let server = Fake::start([Turn::Refuse(
        Code::FailedPrecondition,
        "etcdserver: authentication is not enabled",
    )])
    .await;
    let client = client(&[&server.endpoint], |options| {
        options.credentials = Some(("ada".into(), "secret".into()));
    })
    .await;
    client.put(PutRequest::default()).await.unwrap();
    assert_eq!(server.seen(), ["authenticate -", "put -"]);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_not_sent() {
    let server = Fake::start([]).await;
    let client = client(&[&server.endpoint], |options| options.request_bytes_max = 10).await;
    let request = PutRequest {
        key: "a key of some length".into(),
        ..Default::default()
    };
    let error = client.put(request).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "rpc error: code = ResourceExhausted desc = trying to send message larger than max (22 vs. 10)"
    );
    assert!(server.seen().is_empty());
}
