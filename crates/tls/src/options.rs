//! What a listener or a dialler is told.

use crate::Protocol;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use std::path::PathBuf;

/// Files and rules. Files are named, not read: they may be others at the next handshake.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Shown by a server; by a dialler, too, unless there is one of its own.
    pub certificate: Option<Pair>,
    /// Shown by a dialler that is asked for one.
    pub client_certificate: Option<Pair>,
    /// Whose signatures are believed; without it the system's authorities are.
    pub authorities: Option<PathBuf>,
    /// A server asks for a certificate even where [`Options::authorities`] names nobody.
    pub require_certificate: bool,
    /// A list of revoked certificates, PEM or DER. Serial numbers are compared, and nothing else: neither its dates nor
    /// its issuer count, as in etcd.
    pub revoked: Option<PathBuf>,
    /// Which of the certificates that are believed are let in.
    pub allowed: Allowed,
    /// A dialler believes every certificate: all of the cluster signed their own.
    pub believe_all: bool,
    /// Versions and cipher suites.
    pub protocol: Protocol,
}

/// A certificate with its key, PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair {
    /// The certificate, and behind it those that lead to an authority.
    pub certificate: PathBuf,
    /// PKCS #1, PKCS #8 or SEC 1, not encrypted.
    pub key: PathBuf,
}

/// Names that the other side's certificate must have, beside an authority's signature.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Allowed {
    /// All.
    #[default]
    Any,
    /// One of these as its common name.
    CommonNames(Vec<String>),
    /// Valid for one of these hosts.
    Hosts(Vec<String>),
}

impl Options {
    /// Whether a server asks its clients for a certificate. etcd does as soon as it has an authority to check it with.
    pub fn asks_for_certificate(&self) -> bool {
        self.require_certificate || self.authorities.is_some()
    }
}

impl Allowed {
    /// Whether a certificate that is believed is let in.
    pub(crate) fn permits(&self, certificate: &CertificateDer<'_>) -> bool {
        match self {
            Allowed::Any => true,
            Allowed::CommonNames(names) => crate::Certificate::parse(certificate)
                .and_then(|certificate| certificate.common_name)
                .is_some_and(|name| names.contains(&name)),
            Allowed::Hosts(hosts) => {
                let Ok(parsed) = ParsedCertificate::try_from(certificate) else {
                    return false;
                };
                hosts.iter().any(|host| {
                    ServerName::try_from(host.as_str())
                        .is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
                })
            }
        }
    }
}
