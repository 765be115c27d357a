//! URLs that members are reached by.
//!
//! Kept as they were written, because ids are hashes over them: a URL library that adds a slash or drops a default
//! port would change who a member is.

use crate::Error;

/// Checks one URL (`scheme://host:port`, schemes http, https, unix, unixs) and gives it as it is to be kept: without
/// surrounding blanks, the scheme in lower case. As in etcd, slashes behind `unix:` with nothing behind them are left
/// out.
pub fn check_url(url: &str) -> Result<String, Error> {
    let url = url.trim();
    let bad = |reason: &str| Error::BadUrl(format!("{reason}: {url}"));
    let scheme_error = || bad("URL scheme must be http, https, unix, or unixs");
    let (scheme, rest) = match url.split_once("://") {
        Some(split) => split,
        // What is kept is also taken.
        None => (url.strip_suffix(':').ok_or_else(scheme_error)?, ""),
    };
    if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(bad("URL contains blanks or control characters"));
    }
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "unix" | "unixs" if rest.is_empty() || rest.starts_with(['?', '#']) => {
            return Ok(format!("{scheme}:{rest}"));
        }
        "unix" | "unixs" => {}
        "http" | "https" => {
            let authority = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            if !is_host_and_port(host) {
                return Err(bad("URL address does not have the form \"host:port\""));
            }
            if rest[authority.len()..].starts_with('/') {
                return Err(bad("URL must not contain a path"));
            }
        }
        _ => return Err(scheme_error()),
    }
    Ok(format!("{scheme}://{rest}"))
}

/// Checks a list of at least one URL and sorts it.
pub fn check_urls<S: AsRef<str>>(urls: &[S]) -> Result<Vec<String>, Error> {
    if urls.is_empty() {
        return Err(Error::BadUrl("no valid URLs given".into()));
    }
    let mut urls = urls
        .iter()
        .map(|url| check_url(url.as_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    urls.sort();
    Ok(urls)
}

fn is_host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let host_ok = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|ip| !ip.contains(['[', ']'])),
        None => is_host_name(host.as_bytes()),
    };
    host_ok && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Go's rule for the part of a URL before the port: only bytes beyond ASCII may be written as `%XX`.
fn is_host_name(mut host: &[u8]) -> bool {
    while let [byte, rest @ ..] = host {
        host = match (byte, rest) {
            (b'%', [b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', low, rest @ ..]) if low.is_ascii_hexdigit() => {
                rest
            }
            _ if byte.is_ascii_alphanumeric() || !byte.is_ascii() => rest,
            _ if b"-_.~!$&'()*+,;=<>\"".contains(byte) => rest,
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_kept_as_they_were_written() {
        for (given, kept) in [
            ("http://localhost:2380", "http://localhost:2380"),
            (" HTTPS://Host.Example:443 ", "https://Host.Example:443"),
            ("http://[::1]:80", "http://[::1]:80"),
            ("http://%e4b.example:80", "http://%e4b.example:80"),
            ("unix://etcd.sock:1", "unix://etcd.sock:1"),
            ("unixs:///run/etcd.sock", "unixs:///run/etcd.sock"),
            ("unix://", "unix:"),
            ("unixs:", "unixs:"),
        ] {
            assert_eq!(check_url(given).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn what_is_no_peer_url_is_refused() {
        for (url, said) in [
            ("", "scheme"),
            ("localhost:2380", "scheme"),
            ("ftp://localhost:2380", "scheme"),
            ("localhost:", "scheme"),
            ("http:", "host:port"),
            ("http://localhost", "host:port"),
            ("http://::1:2380", "host:port"),
            ("http://[::1]", "host:port"),
            ("http://a]:1", "host:port"),
            ("http://localhost:http", "host:port"),
            ("http://%zz:1", "host:port"),
            ("http://a%20b:1", "host:port"),
            ("http://a%:1", "host:port"),
            ("http://{a}:1", "host:port"),
            ("http://localhost:2380/", "path"),
            ("http://localhost:2380/v3", "path"),
            ("http://local host:2380", "blanks"),
        ] {
            let error = check_url(url).unwrap_err().to_string();
            assert!(error.contains(said), "{url}: {error}");
        }
        assert!(check_urls::<&str>(&[]).is_err());
    }
}
