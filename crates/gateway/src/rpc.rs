//! From a gRPC request to its handler: the rules that hold for all calls, in etcd's order.

use crate::body::{Reply, RequestBody, ResponseBody, RpcBody, Source};
use crate::core::{Call, Core};
use crate::cut::cut;
use crate::methods::{Kind, Method};
use crate::metrics::VersionCounters;
use crate::rejected;
use crate::services::Answer;
use crate::unary;
use crate::unread::Unread;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use model::Rejection;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tonic::Status;

/// The counters of the client version that a connection's first call named: a client does not change its version.
#[derive(Default)]
pub(crate) struct ClientVersion(OnceLock<(Option<HeaderValue>, VersionCounters)>);

/// Answers a call.
pub(crate) async fn call(
    core: Arc<Core>,
    client: &ClientVersion,
    unread: &Unread,
    request: Request<Source>,
) -> Response<ResponseBody> {
    let method = match Method::find(request.uri().path()) {
        Ok(method) => method,
        Err(unknown) => return refuse(Status::unimplemented(unknown.0)),
    };
    let call = Call::start(Arc::clone(&core), method);
    let response = match admit(&core, client, method, request.headers()) {
        Err(status) => RpcBody::response(call, unread, unary::refuse(status), None),
        Ok(()) => {
            let timeout = timeout(request.headers());
            let needs_leader = needs_leader(request.headers());
            let request = request.map(|source| RequestBody::new(source, Arc::clone(&core), method));
            let answer = core.services.call(method, request);
            if method.kind() == Kind::Unary {
                RpcBody::response(call, unread, within(timeout, answer).await, None)
            } else {
                let cut = cut(&core.shared, method, needs_leader, timeout);
                RpcBody::response(call, unread, answer.await, Some(cut))
            }
        }
    };
    response.map(ResponseBody::Rpc)
}

/// A refusal of what is no call.
fn refuse(status: Status) -> Response<ResponseBody> {
    status.into_http::<Full<Bytes>>().map(ResponseBody::Whole)
}

/// The checks before any handler: learner, client version, leader. (etcd asks first whether its API is enabled; that
/// was for clusters of versions 2 and 3 at once.)
fn admit(core: &Core, client: &ClientVersion, method: Method, headers: &HeaderMap) -> Result<(), Status> {
    let node = &core.shared.node;
    if node.is_learner() && !is_served_by_learners(method) {
        return Err(rejected(Rejection::NotSupportedForLearner));
    }
    client.count(core, method, headers.get("client-api-version"))?;
    if needs_leader(headers) && node.leader().is_none() {
        return Err(rejected(Rejection::NoLeader));
    }
    Ok(())
}

/// Ranges that are not serializable are refused by their handler, which is the first to know.
fn is_served_by_learners(method: Method) -> bool {
    matches!(method, Method::Status | Method::Range | Method::Snapshot)
}

fn needs_leader(headers: &HeaderMap) -> bool {
    headers.get("hasleader").is_some_and(|value| value == "true")
}

impl ClientVersion {
    fn count(&self, core: &Core, method: Method, version: Option<&HeaderValue>) -> Result<(), Status> {
        let (known, counters) = match self.0.get() {
            Some(known) => known,
            None => {
                check_text(version)?;
                self.0
                    .get_or_init(|| (version.cloned(), core.shared.metrics.version(version)))
            }
        };
        if known.as_ref() == version {
            counters.count(method);
        } else {
            check_text(version)?;
            core.shared.metrics.version(version).count(method);
        }
        Ok(())
    }
}

fn check_text(version: Option<&HeaderValue>) -> Result<(), Status> {
    match version.map(|version| std::str::from_utf8(version.as_bytes())) {
        Some(Err(_)) => Err(rejected(Rejection::InvalidClientApiVersion)),
        _ => Ok(()),
    }
}

impl VersionCounters {
    fn count(&self, method: Method) {
        match method.kind() {
            Kind::Unary => self.unary.inc(),
            _ => self.stream.inc(),
        }
    }
}

/// The time that the client gives the call: digits and a unit. What cannot be read is no limit.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

async fn within(timeout: Option<Duration>, answer: Answer) -> Response<Reply> {
    match timeout {
        None => answer.await,
        Some(timeout) => match tokio::time::timeout(timeout, answer).await {
            Ok(response) => response,
            Err(_) => unary::refuse(crate::status(node::Error::DeadlineExceeded)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_timeout_is_digits_and_a_unit() {
        let parse = |text: &'static str| {
            timeout(&HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-timeout"),
                HeaderValue::from_static(text),
            )]))
        };
        assert_eq!(parse("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("4999936u"), Some(Duration::from_micros(4_999_936)));
        for nonsense in ["", "S", "5", "5d", "-5S", "999999999S", "5\u{e4}"] {
            if let Ok(value) = HeaderValue::from_str(nonsense) {
                let headers = HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value)]);
                assert_eq!(timeout(&headers), None, "{nonsense}");
            }
        }
    }
}
