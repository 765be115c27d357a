//! Who may ask over HTTP: hosts against DNS rebinding, origins for browsers.

use crate::body::ResponseBody;
use crate::options::Options;
use crate::route::Connection;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};

/// `/v3beta/` is an old name of `/v3/`.
pub(super) fn rename<B>(request: &mut Request<B>) {
    let Some(rest) = request
        .uri()
        .path_and_query()
        .and_then(|path| path.as_str().strip_prefix("/v3beta/"))
    else {
        return;
    };
    let path = format!("/v3/{rest}");
    if let Ok(path) = path.parse::<http::uri::PathAndQuery>() {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}

/// The refusal of hosts that are not ours, and of certificates where they would mislead.
pub(super) fn refusal<B>(connection: &Connection, request: &Request<B>) -> Option<Response<ResponseBody>> {
    let shared = &connection.core.shared;
    let Some(certificate) = &connection.certificate else {
        let host = host(request);
        if is_listed(&shared.options.hosts, host) {
            return None;
        }
        tracing::warn!(host, "rejecting HTTP request to prevent DNS rebinding attacks");
        return Some(super::text(StatusCode::MISDIRECTED_REQUEST, unknown_host(host)));
    };
    if shared.options.certificate_users
        && shared.options.json
        && certificate.name.is_some()
        && request.uri().path().starts_with("/v3/")
        && shared.node.rules().is_enabled()
    {
        let text = "CommonName of client sending a request against gateway will be ignored and not used as expected\n";
        return Some(super::text(StatusCode::BAD_REQUEST, text));
    }
    None
}

/// The host that was asked for, without port.
fn host<B>(request: &Request<B>) -> &str {
    let authority = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = authority
        .or_else(|| request.uri().authority().map(|authority| authority.as_str()))
        .unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.trim_start_matches('[').trim_end_matches(']')
}

fn is_listed(list: &[String], item: &str) -> bool {
    // An empty list is as good as none, as in etcd.
    list.is_empty() || list.iter().any(|allowed| allowed == "*" || allowed == item)
}

fn unknown_host(host: &str) -> String {
    format!(
        "\nThis server does not know the host {host:?} that the request names.\n\n\
         Use TLS, where any host is accepted, or add the host to the list of those that may be named:\n  \
         --host-whitelist {host:?}\n\n\
         The check keeps web pages from reaching this server by rebinding a name of theirs (CVE-2018-5702).\n\n"
    )
}

/// The headers that let a browser's page read the answer, if its origin may.
pub(super) fn cors(options: &Options, headers: &HeaderMap) -> Option<HeaderMap> {
    let origin = if options.cors.iter().any(|origin| origin == "*") {
        HeaderValue::from_static("*")
    } else {
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        options
            .cors
            .iter()
            .any(|allowed| allowed == text)
            .then(|| origin.clone())?
    };
    Some(HeaderMap::from_iter([
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE"),
        ),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("accept, content-type, authorization"),
        ),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_named_with_or_without_port() {
        let host = |authority: &str| {
            let request = Request::builder().header("host", authority).body(()).unwrap();
            super::host(&request).to_owned()
        };
        assert_eq!(host("example.com:2379"), "example.com");
        assert_eq!(host("example.com"), "example.com");
        assert_eq!(host("[::1]:2379"), "::1");
    }

    #[test]
    fn old_paths_are_renamed() {
        let mut request = Request::builder().uri("/v3beta/kv/range?x=y").body(()).unwrap();
        rename(&mut request);
        assert_eq!(request.uri(), "/v3/kv/range?x=y");
    }

    #[test]
    fn only_listed_origins_are_allowed() {
        let options = Options {
            cors: vec!["https://a.example".into()],
            ..Default::default()
        };
        let from = |origin: &'static str| {
            let headers = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]);
            cors(&options, &headers).map(|cors| cors[header::ACCESS_CONTROL_ALLOW_ORIGIN].clone())
        };
        assert_eq!(from("https://a.example").unwrap(), "https://a.example");
        assert_eq!(from("https://b.example"), None);
        let any = cors(&Options::default(), &HeaderMap::new()).unwrap();
        assert_eq!(any[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
}
