//! URLs that members are reached by.
//!
//! Kept as they were written, because ids are hashes over them: a URL library that adds a slash or drops a default
//! port would change who a member is.

use crate::Error;

/// Checks one URL (`scheme://host:port`, schemes http, https, unix, unixs) and gives it as it is to be kept: without
/// surrounding blanks, the scheme in lower case.
pub fn check_url(url: &str) -> Result<String, Error> {
    let url = url.trim();
    let bad = |reason: &str| Error::BadUrl(format!("{reason}: {url}"));
    let scheme_error = || bad("URL scheme must be http, https, unix, or unixs");
    let (scheme, rest) = url.split_once("://").ok_or_else(scheme_error)?;
    if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(bad("URL contains blanks or control characters"));
    }
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
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
    let mut urls = urls.iter().map(|url| check_url(url.as_ref())).collect::<Result<Vec<_>, _>>()?;
    urls.sort();
    Ok(urls)
}

fn is_host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let host_ok = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|ip| !ip.contains(['[', ']'])),
        None => !host.contains([':', '[', ']']),
    };
    host_ok && port.bytes().all(|byte| byte.is_ascii_digit())
}
