//! Keys out of PEM files: just as much of ASN.1 as the forms need that OpenSSL and Go write.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A private key, in parts.
pub(crate) enum Private {
    /// PKCS #1, DER.
    Rsa(Vec<u8>),
    Ec(EcPrivate),
    /// The seed.
    Ed25519(Vec<u8>),
}

pub(crate) struct EcPrivate {
    pub curve: Curve,
    pub secret: Vec<u8>,
    /// Uncompressed point.
    pub public: Vec<u8>,
}

/// A public key, in parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Public {
    /// PKCS #1, DER.
    Rsa(Vec<u8>),
    /// Uncompressed point.
    Ec(Curve, Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
const ED25519: &[u8] = b"\x2b\x65\x70";
const P256: &[u8] = b"\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x2b\x81\x04\x00\x22";
const P521: &[u8] = b"\x2b\x81\x04\x00\x23";

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// The first private key in a PEM file; `None` if there is none of a known kind.
pub(crate) fn private(pem: &[u8]) -> Option<Private> {
    blocks(pem).find_map(|(label, der)| match label.as_str() {
        "RSA PRIVATE KEY" => Some(Private::Rsa(der)),
        "EC PRIVATE KEY" => sec1(&der, None).map(Private::Ec),
        "PRIVATE KEY" => pkcs8(&der),
        _ => None,
    })
}

/// The first public key in a PEM file, or that of the first certificate.
pub(crate) fn public(pem: &[u8]) -> Option<Public> {
    blocks(pem).find_map(|(label, der)| match label.as_str() {
        "PUBLIC KEY" => subject_public_key(&der),
        "CERTIFICATE" => certificate(&der),
        "RSA PUBLIC KEY" => Some(Public::Rsa(der)),
        _ => None,
    })
}

fn blocks(pem: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let text = String::from_utf8_lossy(pem).into_owned();
    let mut lines = text
        .lines()
        .map(|line| line.trim().to_owned())
        .collect::<Vec<_>>()
        .into_iter();
    std::iter::from_fn(move || {
        let label = lines.find_map(|line| {
            Some(
                line.strip_prefix("-----BEGIN ")?
                    .strip_suffix("-----")?
                    .to_owned(),
            )
        })?;
        let body: String = lines
            .by_ref()
            .take_while(|line| !line.starts_with("-----END "))
            .collect();
        Some((label, STANDARD.decode(body).unwrap_or_default()))
    })
}

/// RFC 5958.
fn pkcs8(der: &[u8]) -> Option<Private> {
    let mut key = Der(Der(der).take(SEQUENCE)?);
    key.take(INTEGER)?;
    let (algorithm, curve) = key.algorithm()?;
    let inner = key.take(OCTET_STRING)?;
    match algorithm {
        RSA => Some(Private::Rsa(inner.to_vec())),
        EC => sec1(inner, Some(curve?)).map(Private::Ec),
        ED25519 => Some(Private::Ed25519(Der(inner).take(OCTET_STRING)?.to_vec())),
        _ => None,
    }
}

/// RFC 5915. The public key is optional there, but OpenSSL and Go always write it.
fn sec1(der: &[u8], curve: Option<Curve>) -> Option<EcPrivate> {
    let mut key = Der(Der(der).take(SEQUENCE)?);
    key.take(INTEGER)?;
    let secret = key.take(OCTET_STRING)?.to_vec();
    let named = key
        .take(0xa0)
        .and_then(|parameters| self::curve(Der(parameters).take(OID)?));
    let public = Der(key.take(0xa1)?).bits()?.to_vec();
    Some(EcPrivate {
        curve: named.or(curve)?,
        secret,
        public,
    })
}

/// RFC 5280, section 4.1.
fn certificate(der: &[u8]) -> Option<Public> {
    let mut signed = Der(Der(der).take(SEQUENCE)?);
    let mut fields = Der(signed.take(SEQUENCE)?);
    fields.take(0xa0); // version, absent in the oldest form
    fields.take(INTEGER)?;
    for _ in ["signature", "issuer", "validity", "subject"] {
        fields.take(SEQUENCE)?;
    }
    spki(fields)
}

fn subject_public_key(der: &[u8]) -> Option<Public> {
    spki(Der(der))
}

fn spki(mut outer: Der<'_>) -> Option<Public> {
    let mut key = Der(outer.take(SEQUENCE)?);
    let (algorithm, curve) = key.algorithm()?;
    let bits = key.bits()?.to_vec();
    match algorithm {
        RSA => Some(Public::Rsa(bits)),
        EC => Some(Public::Ec(curve?, bits)),
        ED25519 => Some(Public::Ed25519(bits)),
        _ => None,
    }
}

fn curve(oid: &[u8]) -> Option<Curve> {
    match oid {
        P256 => Some(Curve::P256),
        P384 => Some(Curve::P384),
        P521 => Some(Curve::P521),
        _ => None,
    }
}

/// What is left to read of a DER value.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next value if it has that tag; else nothing is consumed.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (len, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (
                    len.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
                    rest,
                )
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        if found != tag {
            return None;
        }
        self.0 = rest;
        Some(content)
    }

    /// The whole bytes of a bit string.
    fn bits(&mut self) -> Option<&'a [u8]> {
        self.take(BIT_STRING)?.strip_prefix(&[0])
    }

    /// An AlgorithmIdentifier, and the curve if its parameters name one.
    fn algorithm(&mut self) -> Option<(&'a [u8], Option<Curve>)> {
        let mut algorithm = Der(self.take(SEQUENCE)?);
        Some((algorithm.take(OID)?, algorithm.take(OID).and_then(curve)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_keys_are_no_keys_and_no_panic() {
        for pem in [
            &include_bytes!("../tests/keys/rsa_cert.pem")[..],
            include_bytes!("../tests/keys/ec256_cert.pem"),
            include_bytes!("../tests/keys/ec256.pem"),
            include_bytes!("../tests/keys/ec384_pkcs8.pem"),
            include_bytes!("../tests/keys/ec521.pem"),
            include_bytes!("../tests/keys/ed25519.pem"),
            include_bytes!("../tests/keys/rsa_public.pem"),
        ] {
            assert!(private(pem).is_some() != public(pem).is_some());
            for (_, der) in blocks(pem) {
                for cut in 0..der.len() {
                    let cut_off = &der[..cut];
                    assert!(certificate(cut_off).is_none());
                    assert!(subject_public_key(cut_off).is_none());
                    assert!(pkcs8(cut_off).is_none() && sec1(cut_off, None).is_none());
                    let mut flipped = der.clone();
                    flipped[cut] ^= 0x80;
                    let _ = (certificate(&flipped), subject_public_key(&flipped));
                    let _ = (pkcs8(&flipped), sec1(&flipped, None));
                }
            }
        }
        assert!(public(b"-----BEGIN CERTIFICATE-----").is_none());
        assert!(private(b"\xff-----BEGIN PRIVATE KEY-----\n*\n-----END PRIVATE KEY-----").is_none());
    }
}
