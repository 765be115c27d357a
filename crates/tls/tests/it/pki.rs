//! Authorities and certificates in files.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use time::OffsetDateTime;
use tls::Pair;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An authority with a directory.
pub struct Authority {
    pub dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate says.
#[derive(Clone)]
pub struct Leaf {
    pub name: String,
    pub hosts: Vec<String>,
    pub serial: u64,
    pub from: i64,
    pub until: i64,
    pub client: bool,
    pub authority: bool,
}

impl Leaf {
    /// Of a host on this machine, valid now, for servers and clients.
    pub fn new(name: &str) -> Leaf {
        Leaf {
            name: name.to_owned(),
            hosts: vec!["localhost".into(), "127.0.0.1".into()],
            serial: 7,
            from: -1,
            until: 1,
            client: true,
            authority: false,
        }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, self.name.as_str());
        params.serial_number = Some(SerialNumber::from(self.serial));
        params.not_before = day(self.from);
        params.not_after = day(self.until);
        for host in &self.hosts {
            params.subject_alt_names.push(match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(host.as_str().try_into().unwrap()),
            });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if self.client {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        if self.authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::CrlSign,
                KeyUsagePurpose::DigitalSignature,
            ];
            params.extended_key_usages.clear();
        }
        params
    }
}

#[expect(clippy::disallowed_methods, reason = "rustls asks the machine's clock")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

fn day(days: i64) -> OffsetDateTime {
    let distance = DAY * days.unsigned_abs() as u32;
    OffsetDateTime::from(if days < 0 {
        now() - distance
    } else {
        now() + distance
    })
}

impl Authority {
    pub fn new() -> Authority {
        let dir = TempDir::new().unwrap();
        let leaf = Leaf {
            authority: true,
            hosts: Vec::new(),
            ..Leaf::new("authority")
        };
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.params().self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(leaf.params(), key);
        Authority { dir, issuer }
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate with its key in files of that name, over those that were there.
    pub fn issue_as(&self, file: &str, leaf: &Leaf) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.params().signed_by(&key, &self.issuer).unwrap();
        write(self.dir.path(), file, &certificate.pem(), &key)
    }

    pub fn issue(&self, leaf: &Leaf) -> Pair {
        self.issue_as(&leaf.name, leaf)
    }

    /// Revokes serial numbers, in a list that ran out long ago.
    pub fn revoke(&self, serials: &[u64]) -> PathBuf {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: day(-9),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: day(-10),
            next_update: day(-5),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.dir.path().join("revoked.crl");
        std::fs::write(&path, list.signed_by(&self.issuer).unwrap().der()).unwrap();
        path
    }
}

/// A certificate that signed itself.
pub fn self_made(dir: &Path, leaf: &Leaf) -> Pair {
    let key = KeyPair::generate().unwrap();
    let certificate = leaf.params().self_signed(&key).unwrap();
    write(dir, &leaf.name, &certificate.pem(), &key)
}

fn write(dir: &Path, name: &str, certificate: &str, key: &KeyPair) -> Pair {
    let pair = Pair {
        certificate: dir.join(format!("{name}.pem")),
        key: dir.join(format!("{name}.key")),
    };
    std::fs::write(&pair.certificate, certificate).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    pair
}
