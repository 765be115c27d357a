//! Certificates and keys out of PEM files.

use crate::{Error, Pair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// Bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

/// All certificates of a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unusable = |reason: String| Error::Content {
        path: path.to_owned(),
        what: "certificate",
        reason,
    };
    let certificates = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unusable("there is no PEM block of a certificate".to_owned()));
    }
    Ok(certificates)
}

/// A certificate with its key, ready to sign.
pub(crate) fn certified_key(pair: &Pair, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let chain = certificates(&pair.certificate)?;
    let unusable = |reason: String| Error::Content {
        path: pair.key.clone(),
        what: "private key",
        reason,
    };
    let key = PrivateKeyDer::from_pem_slice(&read(&pair.key)?)
        .map_err(|error| unusable(format!("{error}; keys that are encrypted cannot be used")))?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| {
        unusable(format!(
            "{error}; RSA, ECDSA on P-256, P-384 or P-521, and Ed25519 can be used"
        ))
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Unknown: the key cannot tell its public half.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(certified)),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Error::Mismatch {
            certificate: pair.certificate.clone(),
            key: pair.key.clone(),
        }),
        Err(error) => Err(Error::Content {
            path: pair.certificate.clone(),
            what: "certificate",
            reason: error.to_string(),
        }),
    }
}

/// Those whose signatures are believed.
pub(crate) struct Authorities {
    /// As anchors of chains.
    pub roots: Arc<RootCertStore>,
    /// As they are in the file. Not filled from the system's.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// The authorities of a file, or else the system's.
pub(crate) fn authorities(path: Option<&Path>) -> Result<Authorities, Error> {
    let mut roots = RootCertStore::empty();
    let Some(path) = path else {
        // Some systems have a few that cannot be read; the others still count.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(Authorities {
            roots: Arc::new(roots),
            certificates: Vec::new(),
        });
    };
    let certificates = certificates(path)?;
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| Error::Content {
            path: path.to_owned(),
            what: "certificate of an authority",
            reason: error.to_string(),
        })?;
    }
    Ok(Authorities {
        roots: Arc::new(roots),
        certificates,
    })
}
