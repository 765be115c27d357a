//! Which certificates are believed: those that rustls believes, and beside them, as in Go, those that are themselves
//! among the authorities. Of these, those are let in that have an allowed name and are not revoked.

use crate::files::Authorities;
use crate::revocation::Revoked;
use crate::{Allowed, Certificate};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;

/// What is asked beyond an authority's signature.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub allowed: Allowed,
    pub revoked: Option<Arc<Revoked>>,
}

impl Rules {
    fn check(&self, end: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), Error> {
        if !self.allowed.permits(end) {
            // Makes for the alert that Go sends; the words are found again by `explain`.
            return Err(CertificateError::NotValidForName.into());
        }
        let Some(revoked) = &self.revoked else {
            return Ok(());
        };
        Ok(revoked.check(std::iter::once(end).chain(others))?)
    }
}

/// A reason in etcd's words.
#[derive(Debug)]
pub(crate) struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Certificates that need no signature, for they were named themselves: often one that signed itself is both what a
/// server shows and what its clients are told to trust.
#[derive(Debug)]
struct Named(Vec<CertificateDer<'static>>);

impl Named {
    /// Whether it is one of them, and what speaks against it all the same.
    fn judge(
        &self,
        end: &CertificateDer<'_>,
        now: UnixTime,
        purpose: fn(&Certificate) -> bool,
    ) -> Option<Result<(), Error>> {
        if !self.0.iter().any(|named| named == end) {
            return None;
        }
        let certificate = Certificate::parse(end)?;
        let (from, until) = certificate.validity;
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let at =
            |seconds: i64| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds.max(0) as u64));
        let fault = if seconds < from {
            CertificateError::NotValidYetContext {
                time: now,
                not_before: at(from),
            }
        } else if seconds > until {
            CertificateError::ExpiredContext {
                time: now,
                not_after: at(until),
            }
        } else if !purpose(&certificate) {
            CertificateError::InvalidPurpose
        } else {
            return Some(Ok(()));
        };
        Some(Err(fault.into()))
    }
}

/// A server's judgement of its clients.
#[derive(Debug)]
pub(crate) struct Clients {
    chain: Arc<dyn ClientCertVerifier>,
    named: Named,
    rules: Rules,
}

impl Clients {
    pub fn new(
        authorities: Authorities,
        rules: Rules,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Clients, crate::Error> {
        if authorities.roots.is_empty() {
            return Err(crate::Error::NoAuthorities);
        }
        let chain = WebPkiClientVerifier::builder_with_provider(authorities.roots, Arc::clone(provider))
            .build()
            .map_err(|error| crate::Error::Setup(error.to_string()))?;
        Ok(Clients {
            chain,
            named: Named(authorities.certificates),
            rules,
        })
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.named.judge(end, now, |certificate| certificate.purpose.0) {
            Some(judgement) => judgement?,
            None => {
                self.chain.verify_client_cert(end, intermediates, now)?;
            }
        }
        self.rules.check(end, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

#[derive(Debug)]
enum Chain {
    /// Any certificate will do; that its key is there must be proved all the same.
    Unneeded,
    /// To one of the authorities.
    To(Arc<WebPkiServerVerifier>),
    /// There are no authorities: a system without any, and none named. No fault until something is dialled.
    Nowhere,
}

/// A dialler's judgement of servers.
#[derive(Debug)]
pub(crate) struct Servers {
    chain: Chain,
    named: Named,
    rules: Rules,
    provider: Arc<CryptoProvider>,
}

impl Servers {
    pub fn new(
        authorities: Option<Authorities>,
        rules: Rules,
        provider: Arc<CryptoProvider>,
    ) -> Result<Servers, crate::Error> {
        let mut named = Vec::new();
        let chain = match authorities {
            None => Chain::Unneeded,
            Some(authorities) if authorities.roots.is_empty() => Chain::Nowhere,
            Some(authorities) => {
                named = authorities.certificates;
                let built =
                    WebPkiServerVerifier::builder_with_provider(authorities.roots, Arc::clone(&provider))
                        .build()
                        .map_err(|error| crate::Error::Setup(error.to_string()))?;
                Chain::To(built)
            }
        };
        Ok(Servers {
            chain,
            named: Named(named),
            rules,
            provider,
        })
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = match &self.chain {
            Chain::Unneeded => return Ok(ServerCertVerified::assertion()),
            Chain::To(chain) => chain,
            Chain::Nowhere => return Err(CertificateError::UnknownIssuer.into()),
        };
        let judged = match self.named.judge(end, now, |certificate| certificate.purpose.1) {
            Some(judgement) => judgement
                .and_then(|()| ParsedCertificate::try_from(end))
                .and_then(|parsed| verify_server_name(&parsed, name)),
            None => chain
                .verify_server_cert(end, intermediates, name, ocsp, now)
                .map(drop),
        };
        judged.map_err(|error| with_names(error, end, name))?;
        self.rules.check(end, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A wrong name, with the right ones as people write them.
fn with_names(error: Error, end: &CertificateDer<'_>, name: &ServerName<'_>) -> Error {
    let is_name = matches!(
        &error,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        )
    );
    if !is_name {
        return error;
    }
    let valid_for = Certificate::parse(end).map(|certificate| certificate.valid_for());
    CertificateError::NotValidForNameContext {
        expected: name.to_owned(),
        presented: valid_for.into_iter().collect(),
    }
    .into()
}
