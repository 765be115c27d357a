//! Watches.

use crate::support::{Server, put, within};
use etcd_client::{EventType, WatchFilterType, WatchOptions};
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::watch_request::RequestUnion;
use model::pb::mvccpb::Event;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Streaming};

/// A stream as the wire has it.
struct Stream {
    requests: mpsc::Sender<pb::WatchRequest>,
    responses: Streaming<pb::WatchResponse>,
}

impl Stream {
    async fn open(server: &Server) -> Stream {
        let (requests, receiver) = mpsc::channel(64);
        let responses = server
            .watch()
            .await
            .watch(ReceiverStream::new(receiver))
            .await
            .unwrap();
        Stream {
            requests,
            responses: responses.into_inner(),
        }
    }

    async fn ask(&self, request: RequestUnion) {
        let request = pb::WatchRequest {
            request_union: Some(request),
        };
        self.requests.send(request).await.unwrap();
    }

    async fn create(&self, request: pb::WatchCreateRequest) {
        self.ask(RequestUnion::CreateRequest(request)).await;
    }

    async fn next(&mut self) -> pb::WatchResponse {
        within(self.responses.message()).await.unwrap().unwrap()
    }
}

fn key(key: &'static str) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest {
        key: key.into(),
        ..Default::default()
    }
}

fn events(response: &pb::WatchResponse) -> Vec<String> {
    response
        .events
        .iter()
        .map(|event| {
            let event = Event::decode(event.clone()).unwrap();
            let kv = crate::support::kv(&event.kv);
            format!(
                "{:?} {} @{}",
                event.r#type(),
                String::from_utf8_lossy(&kv.key),
                kv.mod_revision
            )
        })
        .collect()
}

#[tokio::test]
async fn a_watcher_is_announced_then_told_then_cancelled() {
    let server = Server::start().await;
    let mut kv = server.kv().await;
    let mut stream = Stream::open(&server).await;
    stream.create(key("a")).await;
    let created = stream.next().await;
    assert!(created.created && !created.canceled);
    assert_eq!((created.watch_id, created.header.unwrap().revision), (0, 1));
    assert_ne!(created.header.unwrap().member_id, 0);

    kv.put(put("b", "1")).await.unwrap();
    kv.put(put("a", "1")).await.unwrap();
    let told = stream.next().await;
    assert_eq!(events(&told), ["Put a @3"]);
    assert_eq!(told.header.unwrap().revision, 3);

    stream
        .ask(RequestUnion::CancelRequest(pb::WatchCancelRequest {
            watch_id: 77,
        }))
        .await;
    stream
        .ask(RequestUnion::CancelRequest(pb::WatchCancelRequest {
            watch_id: 0,
        }))
        .await;
    let cancelled = stream.next().await;
    assert!(cancelled.canceled && !cancelled.created);
    assert_eq!((cancelled.watch_id, cancelled.header.unwrap().revision), (0, 3));
    server.stop().await;
}

#[tokio::test]
async fn history_is_replayed_and_the_client_may_stop_asking() {
    let server = Server::start().await;
    let mut kv = server.kv().await;
    for value in ["1", "2", "3"] {
        kv.put(put("a", value)).await.unwrap();
    }
    let mut stream = Stream::open(&server).await;
    stream
        .create(pb::WatchCreateRequest {
            start_revision: 3,
            ..key("a")
        })
        .await;
    // The client has said all it wants to say, and goes on listening.
    let (closed, _) = mpsc::channel(1);
    stream.requests = closed;
    assert!(stream.next().await.created);
    assert_eq!(events(&stream.next().await), ["Put a @3", "Put a @4"]);
    kv.put(put("a", "4")).await.unwrap();
    assert_eq!(events(&stream.next().await), ["Put a @5"]);
    server.stop().await;
}

#[tokio::test]
async fn a_start_before_the_compaction_is_told_and_the_stream_goes_on() {
    let server = Server::start().await;
    let mut kv = server.kv().await;
    for value in ["1", "2", "3"] {
        kv.put(put("a", value)).await.unwrap();
    }
    kv.compact(pb::CompactionRequest {
        revision: 4,
        physical: false,
    })
    .await
    .unwrap();
    let mut stream = Stream::open(&server).await;
    stream
        .create(pb::WatchCreateRequest {
            start_revision: 2,
            ..key("a")
        })
        .await;
    assert!(stream.next().await.created);
    let ended = stream.next().await;
    assert!(ended.canceled && ended.cancel_reason.is_empty());
    assert_eq!((ended.compact_revision, ended.header.unwrap().revision), (4, 0));
    stream.create(key("a")).await;
    assert!(stream.next().await.created);
    server.stop().await;
}

#[tokio::test]
async fn refused_watchers_say_why() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    let requests = [
        (
            pb::WatchCreateRequest {
                start_revision: -1,
                ..key("a")
            },
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (
            pb::WatchCreateRequest {
                range_end: "a".into(),
                ..key("b")
            },
            "mvcc: watcher range is empty",
        ),
    ];
    for (request, reason) in requests {
        stream.create(request).await;
        let refused = stream.next().await;
        assert!(refused.created && refused.canceled);
        assert_eq!((refused.watch_id, &refused.cancel_reason[..]), (-1, reason));
    }
    for reason in ["", "mvcc: duplicate watch ID provided on the WatchStream"] {
        stream
            .create(pb::WatchCreateRequest {
                watch_id: 5,
                ..key("a")
            })
            .await;
        assert_eq!(stream.next().await.cancel_reason, reason);
    }
    server.stop().await;
}

#[tokio::test]
async fn progress_is_told_for_the_whole_stream() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server).await;
    stream.create(key("a")).await;
    assert!(stream.next().await.created);
    server.kv().await.put(put("elsewhere", "1")).await.unwrap();
    stream
        .ask(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}))
        .await;
    let progress = stream.next().await;
    assert_eq!(
        (
            progress.watch_id,
            progress.header.unwrap().revision,
            progress.events.len()
        ),
        (-1, 2, 0)
    );
    server.stop().await;
}

#[tokio::test]
async fn filters_and_previous_values_work_for_the_etcd_client() {
    let server = Server::start().await;
    let mut client = server.etcd().await;
    let options = WatchOptions::new()
        .with_prefix()
        .with_prev_key()
        .with_filters([WatchFilterType::NoPut]);
    let mut stream = client.watch("k/", Some(options)).await.unwrap();
    // The client hides the announcement but for the first message.
    client.put("k/1", "before", None).await.unwrap();
    client.delete("k/1", None).await.unwrap();
    loop {
        let response = within(stream.message()).await.unwrap().unwrap();
        if response.created() {
            continue;
        }
        let event = &response.events()[0];
        assert_eq!(event.event_type(), EventType::Delete);
        assert_eq!(event.prev_kv().unwrap().value(), b"before");
        break;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_large_revision_comes_in_fragments_if_that_was_asked_for() {
    let options = gateway::Options {
        request_bytes_max: 64 * 1024,
        ..Default::default()
    };
    let server = Server::with(options).await;
    let mut stream = Stream::open(&server).await;
    stream
        .create(pb::WatchCreateRequest {
            range_end: "l".into(),
            fragment: true,
            ..key("k")
        })
        .await;
    assert!(stream.next().await.created);
    let op = |number: u32| pb::RequestOp {
        request: Some(pb::request_op::Request::RequestPut(pb::PutRequest {
            key: format!("k{number:02}").into(),
            value: vec![7; 10_000].into(),
            ..Default::default()
        })),
    };
    let txn = pb::TxnRequest {
        success: (0..100).map(op).collect(),
        ..Default::default()
    };
    // Larger than this gateway lets in, so that it goes to the node directly.
    let caller = node::Caller::anonymous();
    server.node.txn(txn, &caller).await.unwrap();
    let mut count = 0;
    let mut pieces = 0;
    loop {
        let piece = stream.next().await;
        assert_eq!(piece.header.unwrap().revision, 2);
        count += piece.events.len();
        pieces += 1;
        if !piece.fragment {
            break;
        }
    }
    assert_eq!(count, 100);
    assert!(pieces > 1);
    server.stop().await;
}

#[tokio::test]
async fn one_stream_that_is_not_read_holds_up_nobody() {
    let server = Server::start().await;
    let mut lazy = Stream::open(&server).await;
    lazy.create(pb::WatchCreateRequest {
        range_end: "l".into(),
        ..key("k")
    })
    .await;
    assert!(lazy.next().await.created);
    let mut eager = Stream::open(&server).await;
    eager
        .create(pb::WatchCreateRequest {
            range_end: "l".into(),
            ..key("k")
        })
        .await;
    assert!(eager.next().await.created);
    let mut kv = server.kv().await;
    let value = vec![7; 256 * 1024];
    let mut seen = 0;
    for _ in 0..100 {
        kv.put(pb::PutRequest {
            value: value.clone().into(),
            ..put("k", "")
        })
        .await
        .unwrap();
        seen += eager.next().await.events.len();
    }
    assert_eq!(seen, 100);
    // It missed nothing either.
    let mut seen = 0;
    while seen < 100 {
        seen += lazy.next().await.events.len();
    }
    server.stop().await;
}

#[tokio::test]
async fn without_auth_a_token_does_not_matter() {
    let server = Server::start().await;
    let (requests, receiver) = mpsc::channel(1);
    let mut request = Request::new(ReceiverStream::new(receiver));
    request
        .metadata_mut()
        .insert("token", "nonsense".parse().unwrap());
    let mut responses = server.watch().await.watch(request).await.unwrap().into_inner();
    let create = pb::WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(key("a"))),
    };
    requests.send(create).await.unwrap();
    assert!(within(responses.message()).await.unwrap().unwrap().created);
    // At the end of the server the stream is told.
    let serving = tokio::spawn(server.stop());
    let status = within(responses.message()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "etcdserver: server stopped")
    );
    within(serving).await.unwrap();
}
