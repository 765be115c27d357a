//! Calls over a WebSocket: each message of the client is one request in JSON, each answer one text message, as etcd's
//! wsproxy has it. For browsers, which cannot send a request's body while they read its answer.
//!
//! The token may come as `Authorization`, or, since browsers cannot set headers here, as the second of the protocols
//! `Bearer, TOKEN`.

use super::messages::{self, Messages};
use super::schema::{self, Schema};
use super::{error, json_bytes_max, metadata, paths};
use crate::body::{ResponseBody, Source};
use crate::core::Core;
use crate::methods::{Kind, Method};
use crate::route::Connection;
use crate::rpc::{self, ClientVersion};
use crate::unread::Unread;
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Full, StreamBody};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tonic::Status;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Version of the WebSocket protocol.
const VERSION: &str = "13";
const BEARER: &str = "Bearer";

/// Whether a request wants to become a WebSocket.
pub(crate) fn is_wanted<B>(request: &Request<B>) -> bool {
    let has = |name, word: &str| {
        let values = request.headers().get_all(name).iter();
        let mut words = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        words.any(|found| found.trim().eq_ignore_ascii_case(word))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

/// Answers a request under `/v3/` that wants to.
pub(crate) async fn answer(
    connection: &Connection,
    mut request: Request<Incoming>,
) -> Response<ResponseBody> {
    let Some(method) = paths::find(request.uri().path()) else {
        return error::unary(&Status::not_found("Not Found"));
    };
    let Some(schema) = schema::of(method) else {
        return error::unary(&Status::not_found("Not Found"));
    };
    let headers = request.headers();
    let key = headers.get(header::SEC_WEBSOCKET_KEY).cloned();
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    let Some(key) = key.filter(|_| version.is_some_and(|version| version == VERSION)) else {
        return crate::http::text(
            StatusCode::BAD_REQUEST,
            format!("a WebSocket of version {VERSION} needs the headers Sec-WebSocket-Version and -Key\n"),
        );
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return crate::http::text(StatusCode::BAD_REQUEST, "WebSockets need HTTP/1.1\n");
    };
    let core = &connection.core;
    let Ok(permit) = Arc::clone(&core.shared.json_calls).acquire_owned().await else {
        return error::unary(&crate::rejected(model::Rejection::Stopped));
    };
    let (call_headers, protocol) = with_token(request.headers());
    let call = Call {
        core: Arc::clone(core),
        unread: connection.unread.clone(),
        method,
        schema,
        headers: call_headers,
        _permit: permit,
    };
    tokio::spawn(async move {
        // Ends with the connection; nobody else is told.
        if let Ok(upgraded) = upgrade.await {
            call.run(upgraded).await;
        }
    });
    let mut response = Response::new(ResponseBody::Whole(Full::default()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        answer.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    // A client that named protocols wants one of them back.
    if let Some(protocol) = protocol {
        answer.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

/// The headers with the token among the protocols as `Authorization`, and the protocol to answer with.
fn with_token(headers: &HeaderMap) -> (HeaderMap, Option<HeaderValue>) {
    let mut found = headers.clone();
    let protocols = headers
        .get(header::SEC_WEBSOCKET_PROTOCOL)
        .and_then(|protocols| protocols.to_str().ok());
    let token = protocols.and_then(|protocols| protocols.split_once(','));
    match token {
        Some((first, token)) if first.trim() == BEARER => {
            if let Ok(value) = HeaderValue::from_str(&format!("{BEARER} {}", token.trim())) {
                found.insert(header::AUTHORIZATION, value);
            }
            (found, Some(HeaderValue::from_static(BEARER)))
        }
        _ => (found, None),
    }
}

/// One call over one WebSocket.
struct Call {
    core: Arc<Core>,
    unread: Unread,
    method: Method,
    schema: &'static Schema,
    headers: HeaderMap,
    /// Kept until the call has ended.
    _permit: OwnedSemaphorePermit,
}

impl Call {
    async fn run(self, upgraded: Upgraded) {
        let bytes_max = json_bytes_max(&self.core);
        let config = WebSocketConfig::default()
            .max_message_size(Some(bytes_max))
            .max_frame_size(Some(bytes_max));
        let socket = Socket::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
        let (sink, requests) = socket.split();
        let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
        let one = self.method.kind() != Kind::BidiStream;
        let frames = stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let body = Source::Json(UnsyncBoxBody::new(StreamBody::new(frames)));
        let request = metadata::request(self.method, &self.headers, body);
        let (core, schema, unread) = (Arc::clone(&self.core), self.schema, self.unread);
        let stream = self.method.kind() != Kind::Unary;
        let answering = async move {
            let response = rpc::call(core, &ClientVersion::default(), &unread, request).await;
            respond(sink, response, schema, stream).await
        };
        // A client that closes has no use for answers: dropping them cancels the call.
        tokio::select! {
            () = read(requests, sender, schema, one) => {}
            _ = answering => {}
        }
    }
}

/// Requests that a client may be ahead of their call.
const WAITING_MAX: usize = 4;

/// Hands the client's messages to the call, only the first one where it takes one; returns once the client closes.
async fn read(
    mut requests: SplitStream<Socket>,
    sender: mpsc::Sender<Result<Frame<Bytes>, Status>>,
    schema: &'static Schema,
    one: bool,
) {
    let mut sender = Some(sender);
    while let Some(Ok(message)) = requests.next().await {
        let json = match message {
            Message::Text(text) => Bytes::from(text),
            Message::Binary(bytes) => bytes,
            // A close is answered by reading on, to the end of the connection.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) | Message::Close(_) => continue,
        };
        let Some(to_call) = &sender else {
            continue;
        };
        let framed = schema
            .request_of(&json)
            .and_then(|request| messages::frame(&request));
        let bad = framed.is_err();
        // A call that has ended takes no more, and its end is on its way to the client.
        let gone = to_call.send(framed.map(Frame::data)).await.is_err();
        if one || bad || gone {
            sender = None;
        }
    }
}

/// Sends the answers, and how the call ended if it did not end well; then closes.
async fn respond(
    mut sink: SplitSink<Socket, Message>,
    response: Response<ResponseBody>,
    schema: &'static Schema,
    stream: bool,
) -> Result<(), Error> {
    let mut messages = match Messages::of(response) {
        Ok(messages) => messages,
        Err(status) => return end(sink, Some(&status), stream).await,
    };
    loop {
        let json = match messages.next().await {
            Ok(Some(message)) => schema.json_of(message),
            Ok(None) => return end(sink, None, stream).await,
            Err(status) => Err(status),
        };
        let json = match json {
            Ok(json) => String::from_utf8(json).unwrap_or_default(),
            Err(status) => return end(sink, Some(&status), stream).await,
        };
        let text = match stream {
            true => format!("{{\"result\":{json}}}"),
            false => json,
        };
        sink.send(Message::text(text)).await?;
    }
}

async fn end(
    mut sink: SplitSink<Socket, Message>,
    status: Option<&Status>,
    stream: bool,
) -> Result<(), Error> {
    if let Some(status) = status {
        sink.send(Message::text(error::text(status, stream))).await?;
    }
    sink.send(Message::Close(None)).await?;
    sink.close().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_is_asked_for_in_two_headers() {
        let request = |connection: &str, upgrade: &str| {
            let request = Request::builder()
                .header("connection", connection)
                .header("upgrade", upgrade);
            is_wanted(&request.body(()).unwrap())
        };
        assert!(request("Upgrade", "websocket"));
        assert!(request("keep-alive, upgrade", "WebSocket"));
        assert!(!request("keep-alive", "websocket"));
        assert!(!request("upgrade", "h2c"));
    }

    #[test]
    fn a_token_may_come_as_a_protocol() {
        let headers = |protocols: &'static str| {
            HeaderMap::from_iter([(
                header::SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static(protocols),
            )])
        };
        let (found, protocol) = with_token(&headers("Bearer, abc.1"));
        assert_eq!(found[header::AUTHORIZATION], "Bearer abc.1");
        assert_eq!(protocol.unwrap(), "Bearer");
        let (found, protocol) = with_token(&headers("graphql-ws"));
        assert!(!found.contains_key(header::AUTHORIZATION) && protocol.is_none());
    }
}
