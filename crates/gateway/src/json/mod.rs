//! JSON over HTTP: the same calls, at `/v3/`, as grpc-gateway offers them.
//!
//! A JSON request becomes a gRPC request to this very server and passes through everything that one passes through;
//! the answer is turned back. Only this module knows JSON, and it knows no method: the descriptors say how messages
//! are written.

mod error;
mod messages;
mod metadata;
mod paths;
mod schema;
pub(crate) mod socket;
mod split;
mod stream;

use crate::body::{MESSAGE_TIMEOUT, ResponseBody, Source};
use crate::budget::Reservation;
use crate::core::Core;
use crate::methods::{Kind, Method};
use crate::route::Connection;
use crate::rpc::{self, ClientVersion};
use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use messages::Messages;
use schema::Schema;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Code, Status};

const JSON: &str = "application/json";

/// Answers a request under `/v3/`.
pub(crate) async fn answer(connection: &Connection, request: Request<Incoming>) -> Response<ResponseBody> {
    let Some(method) = paths::find(request.uri().path()) else {
        return error::unary(&Status::not_found("Not Found"));
    };
    if request.method() != http::Method::POST {
        return error::unary(&Status::unimplemented("Method Not Allowed"));
    }
    let Some(schema) = schema::of(method) else {
        return error::unary(&Status::not_found("Not Found"));
    };
    let core = &connection.core;
    // etcd reaches itself over one connection, so that the limit of streams per connection holds for all of JSON.
    let Ok(permit) = Arc::clone(&core.shared.json_calls).acquire_owned().await else {
        return error::unary(&crate::rejected(model::Rejection::Stopped));
    };
    match method.kind() {
        Kind::Unary => unary(connection, method, schema, request).await,
        _ => streaming(connection, method, schema, request, permit).await,
    }
}

/// What the JSON objects of a body stand for: requests in protobuf of the call behind `path`; none of the objects may
/// be larger than `bytes_max`. For tests: a call goes through [`answer`].
pub fn requests(path: &str, body: &[u8], bytes_max: usize) -> Result<Vec<Vec<u8>>, Status> {
    let schema = paths::find(path).and_then(schema::of);
    let schema = schema.ok_or_else(|| Status::not_found("Not Found"))?;
    let mut splitter = split::Splitter::new(bytes_max);
    splitter.push(body);
    let mut requests = Vec::new();
    while let Some(object) = splitter.next().map_err(malformed)? {
        requests.push(schema.request_of(&object)?);
    }
    Ok(requests)
}

async fn unary(
    connection: &Connection,
    method: Method,
    schema: &'static Schema,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    match try_unary(connection, method, schema, request).await {
        Ok(json) => crate::http::body(StatusCode::OK, JSON, json),
        Err(status) => error::unary(&status),
    }
}

async fn try_unary(
    connection: &Connection,
    method: Method,
    schema: &Schema,
    request: Request<Incoming>,
) -> Result<Bytes, Status> {
    let request = whole_request(&connection.core, method, schema, request).await?;
    let response = call(connection, request).await;
    let mut messages = Messages::of(response)?;
    let message = messages
        .next()
        .await?
        .ok_or_else(|| Status::internal("no answer"))?;
    // The status follows the message.
    while messages.next().await?.is_some() {}
    let json = schema.json_of(message)?;
    // What it was made of has been let go.
    drop(messages);
    connection.unread.count(json.into())
}

async fn streaming(
    connection: &Connection,
    method: Method,
    schema: &'static Schema,
    request: Request<Incoming>,
    permit: OwnedSemaphorePermit,
) -> Response<ResponseBody> {
    let request = match method.kind() {
        Kind::BidiStream => {
            let (parts, body) = request.into_parts();
            let bytes_max = json_bytes_max(&connection.core);
            let body = stream::requests(body, schema, bytes_max);
            Ok(metadata::request(method, &parts.headers, Source::Json(body)))
        }
        _ => whole_request(&connection.core, method, schema, request).await,
    };
    let messages = match request {
        Ok(request) => Messages::of(call(connection, request).await),
        Err(status) => Err(status),
    };
    match messages {
        Ok(messages) => stream::responses(messages, schema, permit).await,
        Err(status) => error::streaming(&status),
    }
}

/// The call itself. Its client has no version.
async fn call(connection: &Connection, request: Request<Source>) -> Response<ResponseBody> {
    let core = Arc::clone(&connection.core);
    rpc::call(core, &ClientVersion::default(), &connection.unread, request).await
}

/// The call for a request of one message.
async fn whole_request(
    core: &Core,
    method: Method,
    schema: &Schema,
    request: Request<Incoming>,
) -> Result<Request<Source>, Status> {
    let (parts, body) = request.into_parts();
    let body = tokio::time::timeout(MESSAGE_TIMEOUT, collect(core, body)).await;
    let body = body.map_err(|_| Status::deadline_exceeded("the body takes too long"))??;
    let framed = messages::frame(&schema.request_of(&body)?)?;
    let body = Full::new(framed).map_err(|never| match never {});
    Ok(metadata::request(
        method,
        &parts.headers,
        Source::Json(UnsyncBoxBody::new(body)),
    ))
}

/// All of a body, as long as it is not too large and there is memory for it.
async fn collect(core: &Core, mut body: Incoming) -> Result<BytesMut, Status> {
    let mut reserved = Reservation::new(&core.shared.budget);
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::cancelled(error.to_string()))?;
        if let Some(data) = frame.data_ref() {
            collected.extend_from_slice(data);
            if collected.len() > json_bytes_max(core) {
                return Err(Status::resource_exhausted("the body is too large"));
            }
            reserved.hold(collected.len())?;
        }
    }
    Ok(collected)
}

/// Base64 takes a third more than the bytes, and names take some.
fn json_bytes_max(core: &Core) -> usize {
    core.shared.options.message_bytes_max().saturating_mul(2)
}

/// A message of a body that is no JSON, or not of the right form.
fn malformed(error: impl std::fmt::Display) -> Status {
    Status::new(Code::InvalidArgument, error.to_string())
}

/// Bytes of a line.
type Line = Bytes;
