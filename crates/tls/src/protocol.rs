//! Versions of TLS and cipher suites, by the names that Go and etcd have for them.

use crate::Error;
use rustls::crypto::{CryptoProvider, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};
use std::sync::Arc;

/// What may be spoken.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Protocol {
    /// Suites of TLS 1.2; empty for all there are. Those of TLS 1.3 are never restricted: Go does not do it either.
    suites: Vec<CipherSuite>,
    without_12: bool,
    without_13: bool,
}

/// Go's names of the suites that there are. The last two are names of its first years.
const AVAILABLE: &[(&str, CipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Suites that Go has, most of them only for the asking, and this server does not.
const MISSING: &[&str] = &[
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

impl Protocol {
    /// Reads `--tls-min-version`, `--tls-max-version` and `--cipher-suites`. An empty version leaves that end open;
    /// what is older than TLS 1.2 is never spoken.
    pub fn new(min: &str, max: &str, suites: &[String]) -> Result<Protocol, Error> {
        let (least, greatest) = (version(min)?, version(max)?);
        let without_12 = least == Some(Version::Tls13);
        let without_13 = greatest == Some(Version::Tls12);
        if without_12 && without_13 {
            return Err(Error::Versions {
                min: min.to_owned(),
                max: max.to_owned(),
            });
        }
        if without_12 && !suites.is_empty() {
            return Err(Error::SuitesWithoutUse);
        }
        Ok(Protocol {
            suites: suites.iter().map(|name| suite(name)).collect::<Result<_, _>>()?,
            without_12,
            without_13,
        })
    }

    pub(crate) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let all = [(!self.without_13, &TLS13), (!self.without_12, &TLS12)];
        all.into_iter()
            .filter_map(|(wanted, version)| wanted.then_some(version))
            .collect()
    }

    /// Ring's algorithms and P-521, with the suites that were asked for, in the order in which they were.
    pub(crate) fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = ring::default_provider();
        crate::p521::extend(&mut provider);
        if !self.suites.is_empty() {
            let all = std::mem::take(&mut provider.cipher_suites);
            let is_13 = |suite: &&SupportedCipherSuite| suite.version() == &TLS13;
            provider.cipher_suites = all.iter().filter(is_13).copied().collect();
            for wanted in &self.suites {
                let found = all.iter().find(|suite| suite.suite() == *wanted);
                provider
                    .cipher_suites
                    .extend(found.filter(|suite| !is_13(suite)).copied());
            }
        }
        Arc::new(provider)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Version {
    Tls12,
    Tls13,
}

fn version(name: &str) -> Result<Option<Version>, Error> {
    match name {
        "" => Ok(None),
        "TLS1.2" => Ok(Some(Version::Tls12)),
        "TLS1.3" => Ok(Some(Version::Tls13)),
        _ => Err(Error::Version(name.to_owned())),
    }
}

fn suite(name: &str) -> Result<CipherSuite, Error> {
    if let Some((_, suite)) = AVAILABLE.iter().find(|(known, _)| *known == name) {
        return Ok(*suite);
    }
    if MISSING.contains(&name) {
        let names: Vec<_> = AVAILABLE[..AVAILABLE.len() - 2]
            .iter()
            .map(|(name, _)| *name)
            .collect();
        return Err(Error::MissingSuite {
            suite: name.to_owned(),
            available: names.join(", "),
        });
    }
    Err(Error::UnknownSuite(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol(min: &str, max: &str, suites: &[&str]) -> Result<Protocol, String> {
        let suites: Vec<_> = suites.iter().map(|suite| (*suite).to_owned()).collect();
        Protocol::new(min, max, &suites).map_err(|error| error.to_string())
    }

    #[test]
    fn contradictions_are_told_in_etcds_words() {
        let refusal = |min, max, suites: &[&str]| protocol(min, max, suites).unwrap_err();
        assert_eq!(
            refusal("TLS1.1", "", &[]),
            "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)"
        );
        assert_eq!(
            refusal("TLS1.3", "TLS1.2", &[]),
            "min version (TLS1.3) is greater than max version (TLS1.2)"
        );
        assert_eq!(
            refusal("TLS1.3", "", &["TLS_AES_128_GCM_SHA256"]),
            "cipher suites cannot be configured when only TLS1.3 is enabled"
        );
        assert_eq!(
            refusal("", "", &["TLS_NONSENSE"]),
            "unexpected TLS cipher suite \"TLS_NONSENSE\""
        );
        let missing = refusal("", "", &["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"]);
        assert!(
            missing.contains("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
            "{missing}"
        );
        assert!(
            missing.contains("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
            "{missing}"
        );
    }

    #[test]
    fn ends_that_are_left_open_reach_from_1_2_to_1_3() {
        let versions = |min, max| protocol(min, max, &[]).unwrap().versions().len();
        assert_eq!(versions("", ""), 2);
        assert_eq!(versions("TLS1.2", "TLS1.3"), 2);
        assert_eq!(versions("TLS1.3", ""), 1);
        assert_eq!(versions("", "TLS1.2"), 1);
    }

    #[test]
    fn suites_restrict_tls_1_2_alone() {
        let protocol = protocol("", "", &["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"]).unwrap();
        let suites: Vec<_> = protocol
            .provider()
            .cipher_suites
            .iter()
            .map(|suite| suite.suite())
            .collect();
        assert_eq!(suites.len(), 4, "three of TLS 1.3 and the one: {suites:?}");
        assert!(suites.contains(&CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256));
    }

    #[test]
    fn every_name_stands_for_a_suite_that_is_there() {
        let all = ring::default_provider().cipher_suites;
        for (name, suite) in AVAILABLE {
            assert!(all.iter().any(|known| known.suite() == *suite), "{name}");
        }
        assert_eq!(all.len(), AVAILABLE.len() - 2, "a suite has no name");
    }
}
