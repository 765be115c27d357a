//! Calls over WebSockets.

use crate::support::{Server, within};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

type Socket = WebSocketStream<TcpStream>;

async fn open(server: &Server, path: &str, protocols: &str) -> Result<Socket, Error> {
    let mut request = format!("ws://{}{path}", server.address)
        .into_client_request()
        .unwrap();
    if !protocols.is_empty() {
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocols.parse().unwrap());
    }
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    Ok(socket)
}

async fn send(socket: &mut Socket, json: &str) {
    socket.send(Message::text(json)).await.unwrap();
}

/// The next answer; `None` once the server has closed.
async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        match within(socket.next()).await {
            Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(_))) | None => return None,
            Some(Ok(_)) => {}
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_watch_takes_requests_while_it_sends_events() {
    let server = Server::start().await;
    let mut watch = open(&server, "/v3/watch", "").await.unwrap();
    send(&mut watch, r#"{"create_request":{"key":"Zm9v"}}"#).await;
    assert_eq!(next(&mut watch).await.unwrap()["result"]["created"], true);

    let mut put = open(&server, "/v3/kv/put", "").await.unwrap();
    send(&mut put, r#"{"key":"Zm9v","value":"YmFy"}"#).await;
    // A call of one answer has no envelope, and ends with it.
    assert_eq!(next(&mut put).await.unwrap()["header"]["revision"], "2");
    assert_eq!(next(&mut put).await, None);

    let events = next(&mut watch).await.unwrap();
    assert_eq!(events["result"]["events"][0]["kv"]["value"], "YmFy");
    send(&mut watch, r#"{"create_request":{"key":"YmF6","watch_id":"7"}}"#).await;
    assert_eq!(next(&mut watch).await.unwrap()["result"]["watch_id"], "7");
    send(&mut watch, r#"{"cancel_request":{"watch_id":"7"}}"#).await;
    assert_eq!(next(&mut watch).await.unwrap()["result"]["canceled"], true);
    watch.close(None).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_is_the_last_message() {
    let server = Server::start().await;
    let mut range = open(&server, "/v3/kv/range", "").await.unwrap();
    send(&mut range, "{}").await;
    let refusal = json!({ "code": 3, "message": "etcdserver: key is not provided" });
    assert_eq!(next(&mut range).await, Some(refusal));
    assert_eq!(next(&mut range).await, None);

    let mut watch = open(&server, "/v3/watch", "").await.unwrap();
    send(&mut watch, "no JSON").await;
    let answer = next(&mut watch).await.unwrap();
    assert_eq!(answer["error"]["code"], 3, "{answer}");
    assert_eq!(next(&mut watch).await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_keep_alive_answers_each_message() {
    let server = Server::start().await;
    let mut grant = open(&server, "/v3/lease/grant", "").await.unwrap();
    send(&mut grant, r#"{"TTL":"60","ID":"5"}"#).await;
    assert_eq!(next(&mut grant).await.unwrap()["ID"], "5");
    let mut keep_alive = open(&server, "/v3/lease/keepalive", "").await.unwrap();
    for _ in 0..3 {
        send(&mut keep_alive, r#"{"ID":"5"}"#).await;
        assert_eq!(next(&mut keep_alive).await.unwrap()["result"]["TTL"], "60");
    }
    keep_alive.close(None).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_path_that_is_no_call_and_a_wrong_version_are_refused() {
    let server = Server::start().await;
    let refused = open(&server, "/v3/nonsense", "").await.err().unwrap();
    let Error::Http(response) = refused else {
        panic!("{refused}")
    };
    assert_eq!(response.status(), 404);
    let request = http::Request::get("/v3/watch")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "8");
    let (status, _, body) = crate::http::send(&server, request, "").await;
    assert_eq!(status, 400, "{body}");
    server.stop().await;
}
