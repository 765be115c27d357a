//! The HTTP paths beside gRPC.

mod access;
mod discovery;
mod health;
mod metrics;

use crate::body::ResponseBody;
use crate::json;
use crate::route::Connection;
use crate::socket::Traffic;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::time::Duration;

/// Answers a request that is no call.
pub(crate) async fn answer(
    connection: &Connection,
    mut request: Request<Incoming>,
) -> Response<ResponseBody> {
    access::rename(&mut request);
    if let Some(refusal) = access::refusal(connection, &request) {
        swallow(request.into_body()).await;
        return refusal;
    }
    let cors = access::cors(&connection.core.shared.options, request.headers());
    let mut response = match request.method() {
        &Method::OPTIONS => text(StatusCode::OK, ""),
        _ => route(connection, request).await,
    };
    if let Some(cors) = cors {
        response.headers_mut().extend(cors);
    }
    response
}

/// Reads the rest of a small body that nobody wants. An HTTP/2 stream that is answered before it has ended is reset, and
/// curl then shows the reset in place of the answer.
async fn swallow(mut body: Incoming) {
    const BYTES_MAX: usize = 64 << 10;
    const TIME_MAX: Duration = Duration::from_secs(1);
    let read = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > BYTES_MAX {
                break;
            }
        }
    };
    // Who sends it more slowly gets the answer all the same.
    let _ = tokio::time::timeout(TIME_MAX, read).await;
}

async fn route(connection: &Connection, request: Request<Incoming>) -> Response<ResponseBody> {
    let shared = &connection.core.shared;
    let path = request.uri().path();
    let is_metrics_only = connection.traffic == Traffic::Metrics;
    match path {
        "/metrics" => metrics::scrape(shared),
        "/health" => health::health(shared, request.method(), request.uri()).await,
        _ if path.starts_with("/livez") || path.starts_with("/readyz") => {
            health::probe(shared, request.method(), request.uri()).await
        }
        _ if is_metrics_only => not_found(),
        "/version" => version(connection, request.method()),
        "/debug/vars" => metrics::debug_vars(),
        _ if discovery::has(path) => discovery::answer(connection, request).await,
        _ if shared.options.json && path.starts_with("/v3/") && json::socket::is_wanted(&request) => {
            json::socket::answer(connection, request).await
        }
        _ if shared.options.json && path.starts_with("/v3/") => json::answer(connection, request).await,
        _ => not_found(),
    }
}

/// The versions of this server and of the cluster.
fn version(connection: &Connection, method: &Method) -> Response<ResponseBody> {
    if method != Method::GET {
        return method_not_allowed();
    }
    let shared = &connection.core.shared;
    let versions = format!(
        "{{\"etcdserver\":\"{}\",\"etcdcluster\":\"{}\",\"storage\":\"{}\"}}",
        shared.options.version,
        shared.node.cluster_version().as_deref().unwrap_or("not_decided"),
        shared.node.storage_version().as_deref().unwrap_or("unknown"),
    );
    body(StatusCode::OK, "application/json", versions)
}

fn not_found() -> Response<ResponseBody> {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn method_not_allowed() -> Response<ResponseBody> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response
        .headers_mut()
        .insert(header::ALLOW, http::HeaderValue::from_static("GET"));
    response
}

/// A plain text answer.
pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<ResponseBody> {
    body(status, "text/plain; charset=utf-8", text)
}

/// An answer in one piece.
pub(crate) fn body(
    status: StatusCode,
    kind: &'static str,
    bytes: impl Into<Bytes>,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Whole(Full::new(bytes.into())));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The values that a query string gives for a key, percent-decoding left out: none of the values that matter has one.
fn query<'a>(uri: &'a http::Uri, key: &'a str) -> impl Iterator<Item = &'a str> {
    uri.query()
        .unwrap_or_default()
        .split('&')
        .filter_map(move |pair| match pair.split_once('=') {
            Some((name, value)) => (name == key).then_some(value),
            None => (pair == key).then_some(""),
        })
}
