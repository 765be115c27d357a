//! From the headers of an HTTP request to the metadata of a call.

use crate::body::Source;
use crate::methods::Method;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};

/// Headers that are passed on as they are.
const KEPT: &[(&str, &str)] = &[
    ("authorization", "authorization"),
    ("grpc-timeout", "grpc-timeout"),
];
/// What clients put before names that the call is to get.
const PREFIX: &str = "grpc-metadata-";
/// Names a call's metadata must not get from outside: they say how its messages are written.
const RESERVED: &[&str] = &[
    "content-type",
    "te",
    "grpc-encoding",
    "grpc-accept-encoding",
    "content-length",
];

/// The call for a request.
pub(super) fn request(method: Method, headers: &HeaderMap, body: Source) -> Request<Source> {
    let mut request = Request::new(body);
    // Paths of methods are valid.
    if let Ok(uri) = method.path().parse() {
        *request.uri_mut() = uri;
    }
    let metadata = request.headers_mut();
    metadata.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    for (from, to) in KEPT {
        if let Some(value) = headers.get(*from) {
            metadata.append(HeaderName::from_static(to), value.clone());
        }
    }
    for (name, value) in headers {
        let name = name
            .as_str()
            .strip_prefix(PREFIX)
            .filter(|name| !RESERVED.contains(name));
        if let Some(name) = name.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok()) {
            metadata.append(name, value.clone());
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Empty};

    #[test]
    fn tokens_and_prefixed_headers_reach_the_call() {
        let headers: HeaderMap = [
            ("authorization", "Bearer abc.1"),
            ("grpc-metadata-hasleader", "true"),
            ("grpc-metadata-content-type", "text/html"),
            ("grpc-timeout", "5S"),
            ("cookie", "secret"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let call = request(Method::Put, &headers, Source::Json(body));
        assert_eq!(call.uri(), "/etcdserverpb.KV/Put");
        let metadata = call.headers();
        assert_eq!(metadata["authorization"], "Bearer abc.1");
        assert_eq!(metadata["hasleader"], "true");
        assert_eq!(metadata["content-type"], "application/grpc");
        assert_eq!(metadata["grpc-timeout"], "5S");
        assert_eq!(metadata.len(), 4);
    }
}
