//! Watches that go on after a break, and leases that are kept alive.

use crate::server::{Fake, Script};
use bytes::Bytes;
use client::pb::etcdserverpb::{ResponseHeader, WatchCreateRequest, WatchResponse};
use client::pb::mvccpb;
use client::{Client, Error, Options, Session};
use prost::Message;

fn response(revision: i64, events: &[i64]) -> WatchResponse {
    let event = |modified: &i64| {
        let kv = mvccpb::KeyValue {
            key: "k".into(),
            mod_revision: *modified,
            ..Default::default()
        };
        let event = mvccpb::Event {
            kv: kv.encode_to_vec().into(),
            ..Default::default()
        };
        Bytes::from(event.encode_to_vec())
    };
    WatchResponse {
        header: Some(ResponseHeader {
            revision,
            ..Default::default()
        }),
        events: events.iter().map(event).collect(),
        ..Default::default()
    }
}

fn created(revision: i64) -> WatchResponse {
    WatchResponse {
        created: true,
        ..response(revision, &[])
    }
}

fn script(breaks: bool, responses: &[WatchResponse]) -> Script {
    Script {
        responses: responses.to_vec(),
        breaks,
    }
}

async fn start(watches: impl IntoIterator<Item = Script>) -> (Fake, Client) {
    let server = Fake::start([]).await;
    server.state.lock().unwrap().watches.extend(watches);
    let client = Client::connect(Options {
        endpoints: vec![server.endpoint.clone()],
        ..Default::default()
    });
    (server.clone(), client.await.unwrap())
}

fn starts(server: &Fake) -> Vec<i64> {
    let created = &server.state.lock().unwrap().created;
    created.iter().map(|request| request.start_revision).collect()
}

#[tokio::test]
async fn a_watch_goes_on_after_what_it_has_seen() {
    let (server, client) = start([
        script(true, &[created(5), response(7, &[6, 7])]),
        // Progress counts as seen, too.
        script(true, &[created(9), response(10, &[])]),
        script(true, &[created(9)]),
        script(false, &[created(12), response(12, &[12])]),
    ])
    .await;
    let mut watcher = client.watch(WatchCreateRequest::default());
    let mut seen = Vec::new();
    while seen.last() != Some(&(12, 1)) {
        let response = watcher.next().await.unwrap();
        seen.push((response.header.unwrap().revision, response.events.len()));
    }
    assert_eq!(seen, [(5, 0), (7, 2), (9, 0), (10, 0), (9, 0), (12, 0), (12, 1)]);
    assert_eq!(starts(&server), [0, 8, 11, 11]);
}

#[tokio::test]
async fn a_watch_that_saw_nothing_goes_on_from_where_it_was_created() {
    let (server, client) = start([
        script(true, &[created(5)]),
        script(false, &[created(8), response(6, &[6])]),
    ])
    .await;
    let mut watcher = client.watch(WatchCreateRequest::default());
    while watcher.next().await.unwrap().events.is_empty() {}
    assert_eq!(starts(&server), [0, 5]);
}

#[tokio::test]
async fn pieces_become_one_response() {
    let piece = |events: &[i64]| WatchResponse {
        fragment: true,
        ..response(9, events)
    };
    let (server, client) = start([
        // A break in the middle: the whole is sent again.
        script(true, &[created(5), piece(&[8])]),
        script(false, &[created(9), piece(&[8]), piece(&[8]), response(9, &[9])]),
    ])
    .await;
    let mut watcher = client.watch(WatchCreateRequest::default());
    let whole = loop {
        let response = watcher.next().await.unwrap();
        if !response.created {
            break response;
        }
    };
    assert_eq!((whole.events.len(), whole.fragment), (3, false));
    assert_eq!(starts(&server), [0, 5]);
}

#[tokio::test]
async fn a_compacted_start_ends_a_watch() {
    let canceled = WatchResponse {
        canceled: true,
        compact_revision: 9,
        ..response(0, &[])
    };
    let (_server, client) = start([script(false, &[created(12), canceled])]).await;
    let mut watcher = client.watch(WatchCreateRequest::default());
    watcher.next().await.unwrap();
    let error = watcher.next().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "etcdserver: mvcc: required revision has been compacted"
    );
    assert!(matches!(error, Error::WatchEnded(response) if response.compact_revision == 9));
}

#[tokio::test]
async fn a_lease_is_renewed_three_times_in_its_life_until_it_is_gone() {
    let (server, client) = start([]).await;
    server.state.lock().unwrap().ttls.extend([3, 3, 0]);
    let mut keep_alive = client.keep_alive(7);
    let begin = tokio::time::Instant::now();
    assert_eq!(keep_alive.next().await.unwrap().unwrap().ttl, 3);
    assert_eq!(keep_alive.next().await.unwrap().unwrap().ttl, 3);
    assert!(begin.elapsed() >= std::time::Duration::from_secs(1));
    assert!(keep_alive.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_notices_that_its_lease_is_gone() {
    let (server, client) = start([]).await;
    server.state.lock().unwrap().ttls.extend([1]);
    let session = Session::begin(&client, 1).await.unwrap();
    session.expired().await;
    session.expired().await;
    assert!(session.close().await.is_ok());
    assert_eq!(server.seen(), ["grant -", "revoke -"]);
}
