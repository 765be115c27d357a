//! Certificates for clusters with TLS.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use time::OffsetDateTime;

/// An authority with a directory in which everything lies that it signs.
pub struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Identity {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
}

impl Authority {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Authority {
        let mut params = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let dir = TempDir::with_prefix("quorate-pki-").expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        write(&dir.path().join("ca.pem"), certificate.pem().as_bytes());
        Authority {
            dir,
            issuer: Issuer::new(params, key),
        }
    }

    /// Path of a file in its directory.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Its own certificate.
    pub fn file(&self) -> String {
        self.path("ca.pem")
    }

    /// A certificate for this machine, valid now.
    pub fn issue(&self, name: &str, serial: u64) -> Identity {
        self.sign(name, named(name), serial)
    }

    /// One that has expired.
    pub fn issue_expired(&self, name: &str) -> Identity {
        let mut params = named(name);
        params.not_after = days_ago(1);
        self.sign(name, params, 99)
    }

    fn sign(&self, name: &str, mut params: CertificateParams, serial: u64) -> Identity {
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let identity = Identity {
            certificate: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        };
        write(Path::new(&identity.key), key.serialize_pem().as_bytes());
        write(Path::new(&identity.certificate), certificate.pem().as_bytes());
        identity
    }

    /// Writes the list of revoked serial numbers.
    pub fn revoke(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: days_ago(9),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: days_ago(9),
            next_update: days_ago(8),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list");
        let path = self.path("revoked.crl");
        write(Path::new(&path), list.der());
        path
    }
}

impl Identity {
    /// Flags of etcd's clients.
    pub fn flags(&self) -> [String; 2] {
        [
            format!("--cert={}", self.certificate),
            format!("--key={}", self.key),
        ]
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let localhost = "localhost".try_into().expect("a name");
    let addresses =
        ["127.0.0.1", "::1"].map(|address| SanType::IpAddress(address.parse().expect("an address")));
    params.subject_alt_names = vec![SanType::DnsName(localhost)];
    params.subject_alt_names.extend(addresses);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.not_before = days_ago(10);
    params
}

fn days_ago(days: u32) -> OffsetDateTime {
    #[expect(clippy::disallowed_methods, reason = "servers ask the machine's clock")]
    let now = SystemTime::now();
    OffsetDateTime::from(now - Duration::from_secs(24 * 3600) * days)
}

/// In one step, so that a server sees all of it or nothing.
fn write(path: &Path, bytes: &[u8]) {
    let beside: PathBuf = path.with_extension("new");
    std::fs::write(&beside, bytes).expect("a file");
    std::fs::rename(beside, path).expect("a file");
}
