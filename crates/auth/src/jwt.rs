//! JSON Web Tokens (RFC 7519), signed and checked by ring; on P-521, which it has not, by RustCrypto.
//!
//! The claims are etcd's: `username`, `revision`, `exp`. The signature's algorithm is the configured one, never the one
//! that a token asks for.

use crate::keys::{self, Curve, Private, Public};
use crate::{Error, Identity};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use model::Rejection;
use p521::ecdsa::signature::{Signer as _, Verifier as _};
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair, UnparsedPublicKey};
use ring::{hmac, rand::SystemRandom};
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

const TTL_DEFAULT: Duration = Duration::from_secs(300);

/// A key and what it is used for.
pub(crate) struct Jwt {
    method: Method,
    ttl: Duration,
    key: Key,
}

enum Key {
    Secret(hmac::Key),
    Pair {
        /// Absent on members that only check tokens.
        private: Option<Signer>,
        public: Verifier,
    },
}

enum Signer {
    Rsa(Box<RsaKeyPair>, &'static dyn signature::RsaEncoding),
    Ec(EcdsaKeyPair),
    P521(Box<p521::ecdsa::SigningKey>),
    Ed25519(Ed25519KeyPair),
}

enum Verifier {
    Ring(UnparsedPublicKey<Vec<u8>>),
    P521(Box<p521::ecdsa::VerifyingKey>),
}

/// A signing method, by its name in RFC 7518 and 8037.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Method {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Method {
    fn parse(name: &str) -> Option<Method> {
        use Method::*;
        let all = [
            Hs256, Hs384, Hs512, Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, Es512, EdDsa,
        ];
        all.into_iter().find(|method| method.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Method::Hs256 => "HS256",
            Method::Hs384 => "HS384",
            Method::Hs512 => "HS512",
            Method::Rs256 => "RS256",
            Method::Rs384 => "RS384",
            Method::Rs512 => "RS512",
            Method::Ps256 => "PS256",
            Method::Ps384 => "PS384",
            Method::Ps512 => "PS512",
            Method::Es256 => "ES256",
            Method::Es384 => "ES384",
            Method::Es512 => "ES512",
            Method::EdDsa => "EdDSA",
        }
    }

    fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Method::Hs256 => Some(hmac::HMAC_SHA256),
            Method::Hs384 => Some(hmac::HMAC_SHA384),
            Method::Hs512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    fn rsa(self) -> Option<&'static dyn signature::RsaEncoding> {
        match self {
            Method::Rs256 => Some(&signature::RSA_PKCS1_SHA256),
            Method::Rs384 => Some(&signature::RSA_PKCS1_SHA384),
            Method::Rs512 => Some(&signature::RSA_PKCS1_SHA512),
            Method::Ps256 => Some(&signature::RSA_PSS_SHA256),
            Method::Ps384 => Some(&signature::RSA_PSS_SHA384),
            Method::Ps512 => Some(&signature::RSA_PSS_SHA512),
            _ => None,
        }
    }

    fn ecdsa(self) -> Option<(Curve, &'static signature::EcdsaSigningAlgorithm)> {
        match self {
            Method::Es256 => Some((Curve::P256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING)),
            Method::Es384 => Some((Curve::P384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING)),
            _ => None,
        }
    }

    /// How signatures are checked, and the key's bytes, if the key is of the method's kind.
    fn verifier(self, public: Public) -> Option<Verifier> {
        if let (Method::Es512, Public::Ec(Curve::P521, point)) = (self, &public) {
            return p521::ecdsa::VerifyingKey::from_sec1_bytes(point)
                .ok()
                .map(|key| Verifier::P521(Box::new(key)));
        }
        let algorithm: &'static dyn signature::VerificationAlgorithm = match (self, &public) {
            (Method::Rs256, Public::Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (Method::Rs384, Public::Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Method::Rs512, Public::Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (Method::Ps256, Public::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA256,
            (Method::Ps384, Public::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA384,
            (Method::Ps512, Public::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA512,
            (Method::Es256, Public::Ec(Curve::P256, _)) => &signature::ECDSA_P256_SHA256_FIXED,
            (Method::Es384, Public::Ec(Curve::P384, _)) => &signature::ECDSA_P384_SHA384_FIXED,
            (Method::EdDsa, Public::Ed25519(_)) => &signature::ED25519,
            _ => return None,
        };
        let (Public::Rsa(bytes) | Public::Ec(_, bytes) | Public::Ed25519(bytes)) = public;
        Some(Verifier::Ring(UnparsedPublicKey::new(algorithm, bytes)))
    }

    fn signer(self, private: Private) -> Result<Signer, String> {
        let wrong = || format!("the private key does not fit {}", self.name());
        let refused = |error: ring::error::KeyRejected| format!("the private key cannot be used: {error}");
        match private {
            Private::Rsa(der) => {
                let encoding = self.rsa().ok_or_else(wrong)?;
                let pair = RsaKeyPair::from_der(&der).map_err(refused)?;
                Ok(Signer::Rsa(Box::new(pair), encoding))
            }
            Private::Ec(key) if self == Method::Es512 && key.curve == Curve::P521 => {
                p521::ecdsa::SigningKey::from_slice(&key.secret)
                    .map(|key| Signer::P521(Box::new(key)))
                    .map_err(|error| format!("the private key cannot be used: {error}"))
            }
            Private::Ec(key) => {
                let (curve, algorithm) = self.ecdsa().ok_or_else(wrong)?;
                if key.curve != curve {
                    return Err(wrong());
                }
                let random = SystemRandom::new();
                EcdsaKeyPair::from_private_key_and_public_key(algorithm, &key.secret, &key.public, &random)
                    .map(Signer::Ec)
                    .map_err(refused)
            }
            Private::Ed25519(seed) if self == Method::EdDsa => Ed25519KeyPair::from_seed_unchecked(&seed)
                .map(Signer::Ed25519)
                .map_err(refused),
            Private::Ed25519(_) => Err(wrong()),
        }
    }
}

impl Signer {
    fn public(&self) -> Public {
        match self {
            Signer::Rsa(pair, _) => Public::Rsa(pair.public_key().as_ref().to_vec()),
            Signer::Ec(pair) => {
                let point = pair.public_key().as_ref().to_vec();
                // Uncompressed: a byte, and two coordinates.
                let curve = if point.len() == 65 {
                    Curve::P256
                } else {
                    Curve::P384
                };
                Public::Ec(curve, point)
            }
            Signer::P521(key) => {
                let point = p521::ecdsa::VerifyingKey::from(&**key).to_encoded_point(false);
                Public::Ec(Curve::P521, point.as_bytes().to_vec())
            }
            Signer::Ed25519(pair) => Public::Ed25519(pair.public_key().as_ref().to_vec()),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        let random = SystemRandom::new();
        match self {
            Signer::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)?;
                Ok(signature)
            }
            Signer::Ec(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Signer::P521(key) => {
                let signature: p521::ecdsa::Signature =
                    key.try_sign(message).map_err(|_| ring::error::Unspecified)?;
                Ok(signature.to_vec())
            }
            Signer::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl Verifier {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        match self {
            Verifier::Ring(key) => key.verify(message, signature).ok(),
            Verifier::P521(key) => {
                let signature = p521::ecdsa::Signature::from_slice(signature).ok()?;
                key.verify(message, &signature).ok()
            }
        }
    }
}

impl Jwt {
    /// Options of `--auth-token=jwt,…`; unknown ones are ignored, as etcd does.
    pub fn open(options: &[(&str, &str)]) -> Result<Jwt, Error> {
        let bad = |reason: &str| Error::BadOptions(reason.to_owned());
        let get = |name: &str| {
            let found = options
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value);
            found.filter(|value| !value.is_empty())
        };
        let method = Method::parse(get("sign-method").unwrap_or_default())
            .ok_or_else(|| bad("invalid auth signature method"))?;
        let ttl = match get("ttl") {
            Some(ttl) => parse_duration(ttl).ok_or_else(|| bad("ttl is not a duration"))?,
            None => TTL_DEFAULT,
        };
        let private = get("priv-key").map(read).transpose()?;
        let public = get("pub-key").map(read).transpose()?;
        let key = match method.hmac() {
            Some(algorithm) => {
                let secret = private.filter(|secret| !secret.is_empty());
                Key::Secret(hmac::Key::new(
                    algorithm,
                    &secret.ok_or_else(|| bad("missing key data"))?,
                ))
            }
            None => key_pair(method, private.as_deref(), public.as_deref()).map_err(Error::BadOptions)?,
        };
        Ok(Jwt { method, ttl, key })
    }

    /// Whose token it is, if it is one of ours and has not run out.
    pub fn identify(&self, token: &str, unix_seconds: u64) -> Result<Identity, Rejection> {
        self.claims(token, unix_seconds)
            .ok_or(Rejection::InvalidAuthToken)
    }

    fn claims(&self, token: &str, unix_seconds: u64) -> Option<Identity> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Value = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
        if header.get("alg")?.as_str()? != self.method.name() {
            return None;
        }
        let signature = BASE64.decode(signature).ok()?;
        match &self.key {
            Key::Secret(key) => hmac::verify(key, message.as_bytes(), &signature).ok()?,
            Key::Pair { public, .. } => public.verify(message.as_bytes(), &signature)?,
        }
        let claims: Value = serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()?;
        // A time that is there must be a number; one that is absent sets no limit.
        let time = |name: &str| match claims.get(name) {
            None => Some(None),
            Some(time) => time.as_f64().map(Some),
        };
        let now = unix_seconds as f64;
        if time("exp")?.is_some_and(|end| now >= end) || time("nbf")?.is_some_and(|start| now < start) {
            return None;
        }
        let revision = claims
            .get("revision")?
            .as_f64()
            .filter(|revision| *revision >= 0.0)?;
        Some(Identity {
            user: claims.get("username")?.as_str()?.to_owned(),
            revision: revision as u64,
        })
    }

    pub fn sign(&self, user: &str, revision: u64, unix_seconds: u64) -> Result<String, Rejection> {
        let header = json!({ "alg": self.method.name(), "typ": "JWT" });
        let claims = json!({
            "exp": unix_seconds.saturating_add(self.ttl.as_secs()),
            "revision": revision,
            "username": user,
        });
        let message = format!(
            "{}.{}",
            BASE64.encode(header.to_string()),
            BASE64.encode(claims.to_string())
        );
        let signature = match &self.key {
            Key::Secret(key) => hmac::sign(key, message.as_bytes()).as_ref().to_vec(),
            Key::Pair {
                private: Some(signer),
                ..
            } => {
                // Fails only where the system has no random bytes: then nobody gets a token.
                signer
                    .sign(message.as_bytes())
                    .map_err(|_| Rejection::AuthFailed)?
            }
            Key::Pair { private: None, .. } => return Err(Rejection::TokenVerifyOnly),
        };
        Ok(format!("{message}.{}", BASE64.encode(signature)))
    }
}

impl fmt::Debug for Jwt {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("method", &self.method)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

fn key_pair(method: Method, private: Option<&[u8]>, public: Option<&[u8]>) -> Result<Key, String> {
    let public = match public {
        Some(pem) => Some(keys::public(pem).ok_or("no public key in the file of pub-key")?),
        None => None,
    };
    let private = match private {
        Some(pem) => {
            Some(method.signer(keys::private(pem).ok_or("no private key in the file of priv-key")?)?)
        }
        None => None,
    };
    let derived = private.as_ref().map(Signer::public);
    if let (Some(derived), Some(public)) = (&derived, &public)
        && derived != public
    {
        return Err("public and private keys don't match".into());
    }
    let public = public.or(derived).ok_or("missing key data")?;
    let public = method
        .verifier(public)
        .ok_or_else(|| format!("the public key does not fit {}", method.name()))?;
    Ok(Key::Pair { private, public })
}

fn read(path: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::KeyFile {
        path: path.to_owned(),
        source,
    })
}

/// A duration as Go writes it, for example `1h30m` or `1.5s`. Negative ones are refused.
fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * seconds;
        rest = tail;
    }
    if text.is_empty() {
        None
    } else {
        Duration::try_from_secs_f64(sum).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, millis) in [
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1500),
            ("2s500ms", 2500),
            ("0", 0),
            ("10s", 10_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in ["", "5", "m", "-5m", "5 m", "5x", "1..5s", "5m3"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
