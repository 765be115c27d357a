//! Where and how to connect.

use crate::{Error, Result};
use std::path::PathBuf;
use std::time::Duration;

/// How a client finds, trusts and talks to the cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port`, `http://host:port`, `https://host:port`, `unix:path` or `unixs:path`.
    pub endpoints: Vec<String>,
    /// For one attempt to connect.
    pub dial_timeout: Duration,
    /// For a call with all its retries; `None`: as long as the retries last.
    pub timeout: Option<Duration>,
    /// Silence after which the connection is probed, and how long the answer may take.
    pub keep_alive: Option<(Duration, Duration)>,
    /// Largest request that is sent, in bytes.
    pub request_bytes_max: usize,
    /// Largest response that is accepted, in bytes.
    pub response_bytes_max: usize,
    /// User and password; tokens are fetched and renewed as needed.
    pub credentials: Option<(String, String)>,
    /// A token from elsewhere, instead of credentials.
    pub token: Option<String>,
    /// TLS for endpoints without a scheme, and settings for those with `https`.
    pub tls: Option<Tls>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            endpoints: vec!["127.0.0.1:2379".into()],
            dial_timeout: Duration::from_secs(2),
            timeout: Some(Duration::from_secs(5)),
            keep_alive: Some((Duration::from_secs(2), Duration::from_secs(6))),
            request_bytes_max: 2 << 20,
            response_bytes_max: i32::MAX as usize,
            credentials: None,
            token: None,
            tls: None,
        }
    }
}

/// Whom to trust, and who we are.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Authorities that sign servers' certificates, PEM; `None`: those of the system.
    pub authorities: Option<PathBuf>,
    /// Our certificate and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name the server's certificate must have; `None`: the endpoint's host.
    pub server_name: Option<String>,
    /// Accept any certificate. For tests only.
    pub insecure_skip_verify: bool,
}

/// One address, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// `host:port` or a path.
    pub address: Address,
    /// `None` where the endpoint does not say.
    pub tls: Option<bool>,
}

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// `host:port`.
    Tcp(String),
    /// Path of a socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads an endpoint as users write it.
    pub fn parse(text: &str) -> Result<Endpoint> {
        let invalid = |reason: &str| Error::Endpoint {
            endpoint: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme, rest),
            None => match text.split_once(':') {
                Some((scheme @ ("unix" | "unixs"), rest)) => (scheme, rest),
                _ => ("", text),
            },
        };
        let tls = match scheme {
            "" => None,
            "http" | "unix" => Some(false),
            "https" | "unixs" => Some(true),
            _ => return Err(invalid("unknown scheme")),
        };
        if rest.is_empty() {
            return Err(invalid("no address"));
        }
        if scheme.starts_with("unix") {
            return Ok(Endpoint {
                address: Address::Unix(rest.into()),
                tls,
            });
        }
        let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
        let parsed: http::uri::Authority = authority.parse().map_err(|_| invalid("not host:port"))?;
        let address = match parsed.port_u16() {
            Some(_) => authority.to_owned(),
            None if parsed.port().is_some() => return Err(invalid("bad port")),
            None if tls == Some(true) => format!("{authority}:443"),
            None if tls == Some(false) => format!("{authority}:80"),
            None => return Err(invalid("no port")),
        };
        Ok(Endpoint {
            address: Address::Tcp(address),
            tls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_users_write_them() {
        let tcp = |address: &str, tls| Endpoint {
            address: Address::Tcp(address.into()),
            tls,
        };
        let parse = |text| Endpoint::parse(text).unwrap();
        assert_eq!(parse("127.0.0.1:2379"), tcp("127.0.0.1:2379", None));
        assert_eq!(parse("https://db.example:1/"), tcp("db.example:1", Some(true)));
        assert_eq!(parse("http://[::1]:2379"), tcp("[::1]:2379", Some(false)));
        assert_eq!(
            parse("unix:/run/q.sock").address,
            Address::Unix("/run/q.sock".into())
        );
        for bad in ["", "host", "ftp://a:1", "a:b", "http://", "a b:1", "a:99999"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad:?}");
        }
    }
}
