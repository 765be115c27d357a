//! Certificates for `--auto-tls`: encryption without anybody to vouch for anybody.

use crate::{Certificate, Error, Options, Pair, files};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// Clocks differ: a certificate is valid a little before it is made.
const LEEWAY: Duration = Duration::from_secs(3600);

/// Options with the certificate that is in `dir`, which is made for these hosts if there is none or if it has expired.
/// The names of the files are etcd's: `cert.pem` and `key.pem`. `years` at least 1.
///
/// Unlike etcd's its key is on P-256: it is for one cluster's own use, and P-521 is something that few libraries can verify, and slow.
pub fn self_signed(dir: &Path, hosts: &[String], years: u32, now: SystemTime) -> Result<Options, Error> {
    let pair = Pair {
        certificate: dir.join("cert.pem"),
        key: dir.join("key.pem"),
    };
    let complete = pair.certificate.exists() && pair.key.exists();
    if !complete || is_expired(&pair.certificate, now)? {
        make(dir, &pair, hosts, years.max(1), now)?;
    }
    Ok(Options {
        certificate: Some(pair),
        believe_all: true,
        ..Options::default()
    })
}

fn is_expired(path: &Path, now: SystemTime) -> Result<bool, Error> {
    let certificates = files::certificates(path)?;
    let until = certificates
        .first()
        .and_then(Certificate::parse)
        .map_or(0, |certificate| certificate.validity.1);
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Ok(until < i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn make(dir: &Path, pair: &Pair, hosts: &[String], years: u32, now: SystemTime) -> Result<(), Error> {
    let until = now + YEAR * years;
    tracing::warn!(
        days = u64::from(years) * 365,
        hosts = hosts.join(","),
        "automatically generate certificates"
    );
    let (certificate, key) =
        sign(hosts, now - LEEWAY, until).map_err(|error| Error::Setup(error.to_string()))?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| Error::Write {
            path: dir.to_owned(),
            source,
        })?;
    // The key first: a certificate without it is made again, one with another's is not.
    write(&pair.key, &key, 0o600)?;
    tracing::info!(path = %pair.key.display(), "created key file");
    write(&pair.certificate, &certificate, 0o644)?;
    tracing::info!(path = %pair.certificate.display(), "created cert file");
    Ok(())
}

fn sign(hosts: &[String], from: SystemTime, until: SystemTime) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "quorate");
    for host in hosts.iter().filter(|host| !host.is_empty()) {
        params.subject_alt_names.push(match host.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.as_str().try_into()?),
        });
    }
    params.not_before = OffsetDateTime::from(from);
    params.not_after = OffsetDateTime::from(until);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Beside the target first, so that a crash leaves no half of a file.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let fault = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let beside = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(&beside).map_err(fault)?;
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(fault)?;
    file.write_all(text.as_bytes()).map_err(fault)?;
    file.sync_all().map_err(fault)?;
    std::fs::rename(&beside, path).map_err(fault)
}
