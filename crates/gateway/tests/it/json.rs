//! JSON.

use crate::http::send;
use crate::support::{Server, within};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

async fn post(server: &Server, path: &str, body: &str) -> (StatusCode, String) {
    let (status, headers, body) = send(server, Request::post(path), body).await;
    assert_eq!(headers["content-type"], "application/json");
    (status, body)
}

async fn ok(server: &Server, path: &str, body: &str) -> Value {
    let (status, body) = post(server, path, body).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn keys_are_put_read_and_deleted() {
    let server = Server::start().await;
    let put = ok(&server, "/v3/kv/put", r#"{"key":"Zm9v","value":"YmFy"}"#).await;
    assert_eq!(put["header"]["revision"], "2");
    assert_eq!(put["header"]["cluster_id"], "14841639068965178418");
    assert_eq!(put["header"]["member_id"], "10276657743932975437");
    let (_, range) = post(&server, "/v3/kv/range", r#"{"key":"Zm9v"}"#).await;
    let kvs = r#""kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}],"count":"1"}"#;
    assert!(range.ends_with(kvs), "{range}");
    let txn = ok(
        &server,
        "/v3beta/kv/txn",
        r#"{"compare":[{"target":"VALUE","key":"Zm9v","value":"YmFy"}],"success":[{"requestRange":{"key":"Zm9v"}}]}"#,
    )
    .await;
    assert_eq!(txn["succeeded"], true);
    assert_eq!(
        txn["responses"][0]["response_range"]["header"],
        json!({ "revision": "2" })
    );
    let deleted = ok(&server, "/v3/kv/deleterange", r#"{"key":"Zm9v"}"#).await;
    assert_eq!(deleted["deleted"], "1");
    server.stop().await;
}

#[tokio::test]
async fn refusals_have_codes_texts_and_statuses() {
    let server = Server::start().await;
    let cases = [
        (
            "/v3/kv/range",
            "{}",
            StatusCode::BAD_REQUEST,
            r#"{"code":3,"message":"etcdserver: key is not provided"}"#,
        ),
        (
            "/v3/kv/nothing",
            "{}",
            StatusCode::NOT_FOUND,
            r#"{"code":5,"message":"Not Found"}"#,
        ),
        (
            "/v3/lease/revoke",
            r#"{"ID":"9"}"#,
            StatusCode::NOT_FOUND,
            r#"{"code":5,"message":"etcdserver: requested lease not found"}"#,
        ),
    ];
    for (path, body, status, answer) in cases {
        assert_eq!(
            post(&server, path, body).await,
            (status, answer.to_owned()),
            "{path}"
        );
    }
    let (status, body) = post(&server, "/v3/kv/range", "{nonsense").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.starts_with(r#"{"code":3,"message":""#), "{body}");
    let (status, _, body) = send(&server, Request::get("/v3/kv/range"), "").await;
    assert_eq!(
        (status, &body[..]),
        (
            StatusCode::NOT_IMPLEMENTED,
            r#"{"code":12,"message":"Method Not Allowed"}"#
        )
    );
    server.stop().await;
}

/// A request whose body goes on for as long as its sender lives, and the answer line by line.
struct Stream {
    requests: mpsc::Sender<Result<http_body::Frame<Bytes>, std::io::Error>>,
    body: hyper::body::Incoming,
    buffer: Vec<u8>,
}

impl Stream {
    async fn open(server: &Server, path: &str, first: &'static str) -> Stream {
        let (requests, receiver) = mpsc::channel(8);
        requests
            .send(Ok(http_body::Frame::data(first.into())))
            .await
            .unwrap();
        let body = StreamBody::new(ReceiverStream::new(receiver));
        let request = Request::post(format!("{}{path}", server.url()))
            .body(body)
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = within(client.request(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Stream {
            requests,
            body: response.into_body(),
            buffer: Vec::new(),
        }
    }

    async fn line(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = within(self.body.frame()).await?.unwrap();
            self.buffer.extend_from_slice(&frame.into_data().unwrap());
        }
    }
}

#[tokio::test]
async fn a_watch_goes_on_line_by_line() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server, "/v3/watch", r#"{"create_request":{"key":"Zm9v"}}"#).await;
    let created = stream.line().await.unwrap();
    assert_eq!(created["result"]["created"], true);
    ok(&server, "/v3/kv/put", r#"{"key":"Zm9v","value":"YmFy"}"#).await;
    let told = stream.line().await.unwrap();
    assert_eq!(told["result"]["events"][0]["kv"]["value"], "YmFy");
    let progress = http_body::Frame::data(Bytes::from_static(b"{\"progress_request\":{}}\n"));
    stream.requests.send(Ok(progress)).await.unwrap();
    assert_eq!(stream.line().await.unwrap()["result"]["watch_id"], "-1");
    server.stop().await;
    let ended = stream.line().await.unwrap();
    assert_eq!(
        ended,
        json!({ "error": { "code": 14, "message": "etcdserver: server stopped" } })
    );
    assert_eq!(stream.line().await, None);
}

#[tokio::test]
async fn keep_alives_end_with_the_requests() {
    let server = Server::start().await;
    ok(&server, "/v3/lease/grant", r#"{"TTL":"60","ID":"5"}"#).await;
    let (status, body) = post(&server, "/v3/lease/keepalive", r#"{"ID":"5"} {"ID":6}"#).await;
    assert_eq!(status, StatusCode::OK);
    let lines: Vec<Value> = body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["result"]["ID"], &lines[0]["result"]["TTL"]),
        (&json!("5"), &json!("60"))
    );
    assert_eq!(
        (&lines[1]["result"]["ID"], &lines[1]["result"]["TTL"]),
        (&json!("6"), &Value::Null)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_cannot_begin_says_so_in_its_status() {
    let server = Server::start().await;
    let (status, body) = post(&server, "/v3/maintenance/snapshot", "{}").await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    assert!(body.starts_with(r#"{"error":{"code":12,"message":""#), "{body}");
    let (status, body) = post(&server, "/v3/watch", "nonsense").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.starts_with(r#"{"error":{"code":3,"message":""#), "{body}");
    server.stop().await;
}

#[tokio::test]
async fn calls_beyond_the_limit_of_streams_wait() {
    let options = gateway::Options {
        concurrent_streams_max: 1,
        ..Default::default()
    };
    let server = Server::with(options).await;
    let mut stream = Stream::open(&server, "/v3/watch", r#"{"create_request":{"key":"Zm9v"}}"#).await;
    assert!(stream.line().await.is_some());
    let blocked = tokio::time::timeout(
        std::time::Duration::from_millis(200),
        post(&server, "/v3/kv/range", r#"{"key":"Zm9v"}"#),
    )
    .await;
    assert!(blocked.is_err());
    drop(stream);
    ok(&server, "/v3/kv/range", r#"{"key":"Zm9v"}"#).await;
    server.stop().await;
}
