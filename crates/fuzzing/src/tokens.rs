//! Tokens that clients send, and key files that tokens are signed with.

use auth::Tokens;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use std::sync::LazyLock;
use std::time::Duration;

struct Known {
    simple: Tokens,
    signed: Tokens,
}

/// Of the seeds: tokens of this secret are believed, so that what is in them is read.
const SECRET: &str = "a secret of thirty-two bytes or more";

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let ttl = Duration::from_secs(300);
    let dir = crate::scratch::directory();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, SECRET).expect("a temporary file can be written");
    let signed = format!("jwt,sign-method=HS256,priv-key={},ttl=10m", secret.display());
    Known {
        simple: Tokens::open("simple", ttl).expect("simple tokens"),
        signed: Tokens::open(&signed, ttl).expect("signed tokens"),
    }
});

/// The first byte says whether the others are a token, the claims of one that is well signed, or a key file.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((kind, body)) = data.split_first() else {
        return false;
    };
    match kind % 8 {
        0 => key_file(body),
        1 => option(body),
        2..5 => believed(&signed(body)),
        _ => token(body),
    }
}

fn key_file(body: &[u8]) -> bool {
    let path = crate::scratch::file("key", body);
    let mut sound = false;
    for method in ["RS256", "PS512", "ES256", "ES384", "EdDSA", "HS256"] {
        for part in ["pub-key", "priv-key"] {
            let option = format!("jwt,sign-method={method},{part}={}", path.display());
            if let Ok(tokens) = Tokens::open(&option, Duration::ZERO) {
                sound = true;
                let _ = tokens.sign("somebody", 1, 1);
            }
        }
    }
    sound
}

fn option(body: &[u8]) -> bool {
    // Without any path: the decoder would open whatever file the bytes name.
    std::str::from_utf8(body)
        .is_ok_and(|option| !option.contains('/') && Tokens::open(option, Duration::ZERO).is_ok())
}

fn token(body: &[u8]) -> bool {
    let Ok(token) = std::str::from_utf8(body) else {
        return false;
    };
    let identified = KNOWN.simple.identify(token, Duration::ZERO, 0, 1);
    assert!(identified.is_err(), "nobody was given {token:?}");
    KNOWN.simple.wait_for(token).is_some() | believed(token)
}

fn believed(token: &str) -> bool {
    KNOWN.signed.identify(token, Duration::ZERO, 1, 1).is_ok()
}

/// A token with these claims.
pub(crate) fn signed(claims: &[u8]) -> String {
    let message = format!(
        "{}.{}",
        BASE64.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
        BASE64.encode(claims)
    );
    let signature = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()),
        message.as_bytes(),
    );
    format!("{message}.{}", BASE64.encode(signature))
}
