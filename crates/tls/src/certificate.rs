//! What a certificate says of whoever shows it.

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use std::io;
use std::net::IpAddr;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The parts of a certificate that matter here. Whether it is to be believed is another question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The subject's common name; the last one if there are several, as Go has it.
    pub common_name: Option<String>,
    /// Hosts it is valid for, `*.` for any below.
    pub dns_names: Vec<String>,
    /// Addresses it is valid for.
    pub ip_addresses: Vec<IpAddr>,
    /// Serial number, big endian, without leading zeros.
    pub(crate) serial: Vec<u8>,
    /// First and last second, since 1970, in which it is valid.
    pub(crate) validity: (i64, i64),
    /// May prove who a client, and who a server is.
    pub(crate) purpose: (bool, bool),
    der: CertificateDer<'static>,
}

/// Names of addresses and addresses of names, for peers whose certificates have only names. May block.
pub trait Resolver {
    /// Names of an address, without a dot at the end.
    fn names(&self, address: IpAddr) -> io::Result<Vec<String>>;
    /// Addresses of a name.
    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

impl Certificate {
    /// Reads it. `None` if it is none.
    pub fn parse(der: &CertificateDer<'_>) -> Option<Certificate> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let mut dns_names = Vec::new();
        let mut ip_addresses = Vec::new();
        let alternatives = parsed.subject_alternative_name().ok().flatten();
        for name in alternatives.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => ip_addresses.extend(ip(bytes)),
                _ => {}
            }
        }
        let purpose = match parsed.extended_key_usage() {
            Ok(None) => (true, true),
            Ok(Some(usage)) if usage.value.any => (true, true),
            Ok(Some(usage)) => (usage.value.client_auth, usage.value.server_auth),
            Err(_) => (false, false),
        };
        let common_name = parsed.subject().iter_common_name().last();
        Some(Certificate {
            common_name: common_name.and_then(|name| name.as_str().ok()).map(str::to_owned),
            dns_names,
            ip_addresses,
            serial: magnitude(parsed.raw_serial()),
            validity: (
                parsed.validity().not_before.timestamp(),
                parsed.validity().not_after.timestamp(),
            ),
            purpose,
            der: der.clone().into_owned(),
        })
    }

    /// Whether it names where a connection came from: one of its addresses, or a name of that address. A certificate
    /// with neither names nor addresses may come from anywhere. Etcd asks this of peers; the error is its words.
    pub fn check_origin(&self, origin: IpAddr, resolver: &dyn Resolver) -> Result<(), String> {
        let origin = origin.to_canonical();
        if self.names_address(origin) || (self.dns_names.is_empty() && self.ip_addresses.is_empty()) {
            return Ok(());
        }
        if self.dns_names.is_empty() {
            let valid_for = self.valid_for();
            return Err(format!(
                "x509: certificate is valid for {valid_for}, not {origin}"
            ));
        }
        let names = resolver.names(origin);
        for name in names.iter().flatten() {
            let matches = |own: &String| match own.strip_prefix('*') {
                Some(domain) if domain.starts_with('.') => name.ends_with(domain),
                _ => own == name,
            };
            if self.dns_names.iter().any(matches) {
                return Ok(());
            }
        }
        let mut fault = names.err();
        for name in self.dns_names.iter().filter(|name| !name.starts_with("*.")) {
            match resolver.addresses(name) {
                Ok(addresses) if addresses.contains(&origin) => return Ok(()),
                Ok(_) => {}
                Err(error) => fault = Some(error),
            }
        }
        let names: Vec<_> = self.dns_names.iter().map(|name| format!("{name:?}")).collect();
        let fault = fault.map(|error| format!(" ({error})")).unwrap_or_default();
        Err(format!(
            "tls: \"{origin}\" does not match any of DNSNames [{}]{fault}",
            names.join(" ")
        ))
    }

    /// Whether [`Certificate::check_origin`] would have to ask the resolver.
    pub fn needs_resolver(&self, origin: IpAddr) -> bool {
        !self.dns_names.is_empty() && !self.names_address(origin.to_canonical())
    }

    /// Everything it is valid for, for error messages.
    pub(crate) fn valid_for(&self) -> String {
        let addresses = self.ip_addresses.iter().map(IpAddr::to_string);
        let all: Vec<String> = self.dns_names.iter().cloned().chain(addresses).collect();
        all.join(", ")
    }

    fn names_address(&self, address: IpAddr) -> bool {
        !self.ip_addresses.is_empty()
            && ParsedCertificate::try_from(&self.der)
                .is_ok_and(|parsed| verify_server_name(&parsed, &ServerName::from(address)).is_ok())
    }
}

/// A number without the zeros before it.
pub(crate) fn magnitude(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[zeros..].to_vec()
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}
