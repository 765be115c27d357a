//! Headers of calls on standard error, for whoever looks for what a client or a proxy really sends. The lines are those
//! of Go's HTTP/2 library, for which etcd's users have their habits and tools.

use http::{Request, Version};
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Headers whose values nobody should find in a log.
const SECRETS: [&str; 3] = ["authorization", "token", "cookie"];

/// Writes a line for each header of an HTTP/2 request.
pub(crate) fn print<B>(request: &Request<B>) {
    if request.version() == Version::HTTP_2 {
        // A log that cannot be written is no reason to refuse the call.
        let _ = io::stderr().write_all(lines(request).as_bytes());
    }
}

fn lines<B>(request: &Request<B>) -> String {
    let mut lines = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(
            lines,
            "http2: decoded hpack field header field {name:?} = {value:?}"
        );
    };
    line(":method", request.method().as_str());
    let uri = request.uri();
    line(":scheme", uri.scheme_str().unwrap_or_default());
    line(":path", uri.path_and_query().map_or("", |path| path.as_str()));
    if let Some(authority) = uri.authority() {
        line(":authority", authority.as_str());
    }
    for (name, value) in request.headers() {
        let value = if SECRETS.contains(&name.as_str()) {
            "(not shown)".into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };
        line(name.as_str(), &value);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_as_go_tells_it_without_its_token() {
        let request = Request::post("http://localhost:2379/etcdserverpb.KV/Put")
            .version(Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("token", "abc.1")
            .body(())
            .unwrap();
        let expected = [
            r#"":method" = "POST""#,
            r#"":scheme" = "http""#,
            r#"":path" = "/etcdserverpb.KV/Put""#,
            r#"":authority" = "localhost:2379""#,
            r#""content-type" = "application/grpc""#,
            r#""token" = "(not shown)""#,
        ];
        let expected = expected.map(|field| format!("http2: decoded hpack field header field {field}\n"));
        assert_eq!(lines(&request), expected.concat());
    }
}
