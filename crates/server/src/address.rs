//! URLs that members listen on and advertise.

use crate::settings::SettingsError;
use std::fmt;
use std::net::IpAddr;

/// How a URL is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// TCP, plain.
    Http,
    /// TCP with TLS.
    Https,
    /// A unix socket, plain.
    Unix,
    /// A unix socket with TLS.
    Unixs,
}

impl Scheme {
    /// Whether TLS is spoken.
    pub fn is_tls(self) -> bool {
        matches!(self, Scheme::Https | Scheme::Unixs)
    }
}

/// `scheme://host:port`, without a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// How it is spoken.
    pub scheme: Scheme,
    /// Name or IP address, without the brackets of IPv6; for unix sockets the part before the last colon.
    pub host: String,
    /// 0 asks for any free port. For unix sockets what follows the last colon, 0 where nothing does.
    pub port: u16,
    text: String,
}

impl Address {
    /// Reads a URL; the errors are etcd's (etcd client/pkg/types/urls.go).
    pub fn parse(text: &str) -> Result<Address, SettingsError> {
        let wrong = |reason: String| Err(SettingsError(reason));
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("unix", rest)) => (Scheme::Unix, rest),
            Some(("unixs", rest)) => (Scheme::Unixs, rest),
            _ => return wrong(format!("URL scheme must be http, https, unix, or unixs: {text}")),
        };
        if matches!(scheme, Scheme::Unix | Scheme::Unixs) {
            let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "0"));
            let port = port.parse().unwrap_or(0);
            return Ok(Address {
                scheme,
                host: host.to_owned(),
                port,
                text: text.to_owned(),
            });
        }
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, path),
            None => (rest, ""),
        };
        if !path.is_empty() {
            return wrong(format!("URL must not contain a path: {text}"));
        }
        let Some((host, port)) = authority.rsplit_once(':') else {
            return wrong(format!(
                "URL address does not have the form \"host:port\": {text}"
            ));
        };
        let Ok(port) = port.parse() else {
            return wrong(format!(
                "URL address does not have the form \"host:port\": {text}"
            ));
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let text = text.trim_end_matches('/').to_owned();
        Ok(Address {
            scheme,
            host: host.to_owned(),
            port,
            text,
        })
    }

    /// Every URL of a comma-separated list.
    pub fn parse_list(list: &str) -> Result<Vec<Address>, SettingsError> {
        crate::value::list(list)
            .iter()
            .map(|text| Address::parse(text))
            .collect()
    }

    /// Whether one can bind to it: an IP address, `localhost`, nothing (all addresses), or a socket file.
    pub fn check_bindable(&self) -> Result<(), SettingsError> {
        let bindable = self.is_unix()
            || self.host.is_empty()
            || self.host == "localhost"
            || self.host.parse::<IpAddr>().is_ok();
        if bindable {
            return Ok(());
        }
        Err(SettingsError(format!("expected IP in URL for binding ({self})")))
    }

    /// Whether it names a socket file.
    pub fn is_unix(&self) -> bool {
        matches!(self.scheme, Scheme::Unix | Scheme::Unixs)
    }

    /// The socket file's path, as etcd names it: host and port with the colon between.
    pub fn unix_path(&self) -> &str {
        self.text.split_once("://").map_or("", |(_, path)| path)
    }

    /// What is bound, whichever scheme is spoken there.
    pub fn place(&self) -> String {
        match self.is_unix() {
            true => self.unix_path().to_owned(),
            false => self.socket(),
        }
    }

    /// What to bind a TCP socket to.
    pub fn socket(&self) -> String {
        match self.host.as_str() {
            "" => format!("0.0.0.0:{}", self.port),
            host if host.contains(':') => format!("[{host}]:{}", self.port),
            host => format!("{host}:{}", self.port),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Texts of a list of addresses.
pub fn texts(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(Address::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_etcd_reads_them() {
        let address = Address::parse("http://127.0.0.1:2379").unwrap();
        assert_eq!(
            (address.socket().as_str(), address.to_string().as_str()),
            ("127.0.0.1:2379", "http://127.0.0.1:2379")
        );
        assert_eq!(Address::parse("http://[::1]:0").unwrap().socket(), "[::1]:0");
        assert_eq!(Address::parse("http://:2379").unwrap().socket(), "0.0.0.0:2379");
        assert_eq!(
            Address::parse("unix://localhost:20000").unwrap().unix_path(),
            "localhost:20000"
        );
    }

    #[test]
    fn a_wrong_address_is_shown_with_what_is_wrong() {
        let message = |text| Address::parse(text).unwrap_err().0;
        assert_eq!(
            message("ftp://a:1"),
            "URL scheme must be http, https, unix, or unixs: ftp://a:1"
        );
        assert_eq!(
            message("http://a"),
            "URL address does not have the form \"host:port\": http://a"
        );
        assert_eq!(
            message("http://a:b"),
            "URL address does not have the form \"host:port\": http://a:b"
        );
        assert_eq!(
            message("http://a:1/x"),
            "URL must not contain a path: http://a:1/x"
        );
        let name = Address::parse("http://example.com:1")
            .unwrap()
            .check_bindable()
            .unwrap_err()
            .0;
        assert_eq!(name, "expected IP in URL for binding (http://example.com:1)");
    }
}
