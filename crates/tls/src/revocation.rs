//! Lists of revoked certificates.

use crate::cached::Cached;
use crate::certificate::magnitude;
use crate::verify::Refused;
use crate::{Certificate, Error, files};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::{CertificateError, OtherError};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

/// A list in a file, which is looked at with every handshake.
#[derive(Debug)]
pub(crate) struct Revoked {
    path: PathBuf,
    serials: Cached<HashSet<Vec<u8>>>,
}

impl Revoked {
    pub fn open(path: &Path) -> Result<Revoked, Error> {
        Ok(Revoked {
            path: path.to_owned(),
            serials: Cached::new(vec![path.to_owned()], || serials(path))?,
        })
    }

    /// Refuses certificates that are on the list; and all of them while the list cannot be read, for any of them might
    /// be on it.
    pub fn check<'a>(
        &self,
        presented: impl IntoIterator<Item = &'a CertificateDer<'a>>,
    ) -> Result<(), CertificateError> {
        let serials = self.serials.current(|| serials(&self.path)).map_err(|error| {
            let reason = format!("revoked certificates are not known: {error}");
            CertificateError::Other(OtherError(Arc::new(Refused(reason))))
        })?;
        for certificate in presented {
            let Some(certificate) = Certificate::parse(certificate) else {
                return Err(CertificateError::BadEncoding);
            };
            if serials.contains(&certificate.serial) {
                let serial: String = certificate
                    .serial
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                tracing::warn!(
                    serial,
                    "common-name" = certificate.common_name.unwrap_or_default(),
                    "refused a revoked certificate"
                );
                return Err(CertificateError::Revoked);
            }
        }
        Ok(())
    }
}

fn serials(path: &Path) -> Result<HashSet<Vec<u8>>, Error> {
    let unusable = |reason: String| Error::Content {
        path: path.to_owned(),
        what: "list of revoked certificates",
        reason,
    };
    let bytes = files::read(path)?;
    let der = match bytes.starts_with(b"-----BEGIN") {
        true => CertificateRevocationListDer::from_pem_slice(&bytes)
            .map_err(|error| unusable(error.to_string()))?,
        false => CertificateRevocationListDer::from(bytes),
    };
    let (_, list) = CertificateRevocationList::from_der(&der).map_err(|error| unusable(error.to_string()))?;
    Ok(list
        .iter_revoked_certificates()
        .map(|revoked| magnitude(revoked.raw_serial()))
        .collect())
}
