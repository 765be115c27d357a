//! Keys on the curve P-521, which Go knows and ring does not.

use p521::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p521::ecdsa::{DerSignature, Signature, SigningKey, VerifyingKey};
use p521::pkcs8::DecodePrivateKey;
use ring::digest::{self, Algorithm};
use rustls::crypto::{CryptoProvider, KeyProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, PrivateKeyDer, SignatureVerificationAlgorithm,
    SubjectPublicKeyInfoDer, alg_id,
};
use rustls::{Error, SignatureAlgorithm, SignatureScheme, sign};
use std::sync::{Arc, LazyLock};

/// Bytes of a coordinate.
const FIELD_BYTES: usize = 66;

/// Teaches a provider to check signatures by such keys, and to use them.
pub(crate) fn extend(provider: &mut CryptoProvider) {
    provider.signature_verification_algorithms = *ALGORITHMS;
    provider.key_provider = &Keys;
}

/// Ring's algorithms and ours. They live as long as the process, which is what rustls wants of them.
static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let ring = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let all: Vec<_> = ring.all.iter().copied().chain(CHECKS.iter().copied()).collect();
    let in_handshakes = (SignatureScheme::ECDSA_NISTP521_SHA512, &CHECKS[2..]);
    let mapping: Vec<_> = ring.mapping.iter().copied().chain([in_handshakes]).collect();
    WebPkiSupportedAlgorithms {
        all: all.leak(),
        mapping: mapping.leak(),
    }
});

/// Authorities sign with any hash: OpenSSL takes SHA-256 unless told otherwise.
static CHECKS: [&dyn SignatureVerificationAlgorithm; 3] = [&WITH_SHA256, &WITH_SHA384, &WITH_SHA512];

static WITH_SHA256: Check = Check {
    id: alg_id::ECDSA_SHA256,
    hash: &digest::SHA256,
};
static WITH_SHA384: Check = Check {
    id: alg_id::ECDSA_SHA384,
    hash: &digest::SHA384,
};
static WITH_SHA512: Check = Check {
    id: alg_id::ECDSA_SHA512,
    hash: &digest::SHA512,
};

#[derive(Debug)]
struct Check {
    id: AlgorithmIdentifier,
    hash: &'static Algorithm,
}

impl SignatureVerificationAlgorithm for Check {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let refused = |_| InvalidSignature;
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(refused)?;
        let signature = Signature::from_der(signature).map_err(refused)?;
        key.verify_prehash(&hashed(self.hash, message), &signature)
            .map_err(refused)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }
}

/// A hash as a number of the field's size: the library takes none that is shorter than half of it.
fn hashed(hash: &'static Algorithm, message: &[u8]) -> [u8; FIELD_BYTES] {
    let hash = digest::digest(hash, message);
    let mut number = [0; FIELD_BYTES];
    number[FIELD_BYTES - hash.as_ref().len()..].copy_from_slice(hash.as_ref());
    number
}

/// Loads private keys: ring's kinds and ours.
#[derive(Debug)]
struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, der: PrivateKeyDer<'static>) -> Result<Arc<dyn sign::SigningKey>, Error> {
        let secret = match &der {
            PrivateKeyDer::Sec1(der) => p521::SecretKey::from_sec1_der(der.secret_sec1_der()).ok(),
            PrivateKeyDer::Pkcs8(der) => p521::SecretKey::from_pkcs8_der(der.secret_pkcs8_der()).ok(),
            _ => None,
        };
        match secret.and_then(|secret| SigningKey::from_bytes(&secret.to_bytes()).ok()) {
            Some(key) => Ok(Arc::new(Key(key))),
            None => rustls::crypto::ring::default_provider()
                .key_provider
                .load_private_key(der),
        }
    }
}

#[derive(Clone)]
struct Key(SigningKey);

impl std::fmt::Debug for Key {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key on P-521")
    }
}

impl sign::SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn sign::Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP521_SHA512)
            .then(|| Box::new(self.clone()) as Box<dyn sign::Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        let point = VerifyingKey::from(&self.0).to_encoded_point(false);
        Some(sign::public_key_to_spki(&alg_id::ECDSA_P521, point.as_bytes()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl sign::Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature: Signature = self
            .0
            .sign_prehash(&hashed(&digest::SHA512, message))
            .map_err(|error| Error::General(format!("signing failed: {error}")))?;
        Ok(DerSignature::from(signature).as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP521_SHA512
    }
}
