//! Tokens of all kinds, with keys in all forms.

use auth::{Error, Identity, Tokens};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use model::Rejection;
use std::time::Duration;

const NOW: u64 = 1_700_000_000;

fn keys(name: &str) -> String {
    format!("{}/tests/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"))
}

/// `jwt,` with the names of keys written out.
fn jwt(method: &str, private: &str, public: &str) -> Result<Tokens, Error> {
    let mut option = format!("jwt,sign-method={method},ttl=10s");
    for (name, key) in [("priv-key", private), ("pub-key", public)] {
        if !key.is_empty() {
            option += &format!(",{name}={}", keys(key));
        }
    }
    Tokens::open(&option, Duration::ZERO)
}

fn identify(tokens: &Tokens, token: &str, unix_seconds: u64) -> Result<Identity, Rejection> {
    tokens.identify(token, Duration::ZERO, unix_seconds, 99)
}

fn ada(revision: u64) -> Result<Identity, Rejection> {
    Ok(Identity {
        user: "ada".into(),
        revision,
    })
}

#[test]
fn every_method_signs_what_its_public_key_verifies() {
    for (method, private, public) in [
        ("RS256", "rsa", "rsa_public"),
        ("RS384", "rsa", "rsa_cert"),
        ("RS512", "rsa", "rsa_pkcs1_public"),
        ("PS256", "rsa", "rsa_cert"),
        ("PS384", "rsa", "rsa_public"),
        ("PS512", "rsa", "rsa_public"),
        ("ES256", "ec256", "ec256_cert"),
        ("ES256", "ec256", "ec256_public"),
        ("ES384", "ec384_pkcs8", "ec384_public"),
        ("ES512", "ec521", "ec521_cert"),
        ("EdDSA", "ed25519", "ed25519_public"),
    ] {
        let token = jwt(method, private, "")
            .unwrap()
            .sign("ada", 7, NOW)
            .unwrap()
            .unwrap();
        for tokens in [
            jwt(method, private, ""),
            jwt(method, private, public),
            jwt(method, "", public),
        ] {
            let tokens = tokens.unwrap();
            assert_eq!(identify(&tokens, &token, NOW), ada(7), "{method} {public}");
            assert_eq!(identify(&tokens, &token, NOW + 9), ada(7));
            assert_eq!(
                identify(&tokens, &token, NOW + 10),
                Err(Rejection::InvalidAuthToken)
            );
            let forged = token.replacen('.', ".e30", 1);
            assert_eq!(identify(&tokens, &forged, NOW), Err(Rejection::InvalidAuthToken));
            assert_eq!(tokens.prefix(&[7; 16]), "");
            assert_eq!(tokens.wait_for(&token), None);
        }
        let verify_only = jwt(method, "", public).unwrap();
        assert_eq!(
            verify_only.sign("ada", 7, NOW),
            Some(Err(Rejection::TokenVerifyOnly))
        );
    }
}

#[test]
fn a_shared_secret_may_be_any_file() {
    for method in ["HS256", "HS384", "HS512"] {
        let tokens = jwt(method, "rsa_pkcs8", "").unwrap();
        let token = tokens.sign("ada", 7, NOW).unwrap().unwrap();
        assert_eq!(identify(&tokens, &token, NOW), ada(7));
        assert_eq!(
            identify(&jwt(method, "rsa", "").unwrap(), &token, NOW),
            Err(Rejection::InvalidAuthToken)
        );
    }
    assert!(jwt("HS256", "", "rsa_public").is_err());
}

#[test]
fn options_that_cannot_work_are_refused() {
    for (method, private, public, said) in [
        ("", "rsa", "", "invalid auth signature method"),
        ("none", "rsa", "", "invalid auth signature method"),
        ("rs256", "rsa", "", "invalid auth signature method"),
        ("RS256", "", "", "missing key data"),
        ("RS256", "rsa_pkcs8", "rsa_public", "don't match"),
        ("RS256", "ec256", "", "does not fit RS256"),
        ("RS256", "", "ec256_public", "does not fit RS256"),
        ("ES256", "ec384_pkcs8", "", "does not fit ES256"),
        ("ES384", "", "ec256_cert", "does not fit ES384"),
        ("ES512", "ec384_pkcs8", "", "does not fit ES512"),
        ("ES512", "", "ec256_cert", "does not fit ES512"),
        ("ES384", "ec521", "", "does not fit ES384"),
        ("EdDSA", "rsa", "", "does not fit EdDSA"),
        ("ES256", "ed25519", "", "does not fit ES256"),
        ("RS256", "rsa_public", "", "no private key"),
        ("RS256", "", "rsa", "no public key"),
        ("RS256", "missing", "", "cannot read key file"),
    ] {
        let error = jwt(method, private, public).unwrap_err().to_string();
        assert!(error.contains(said), "{method} {private} {public}: {error}");
    }
    for option in [
        "jwt",
        "jwt,",
        "jwt,sign-method",
        "jwt,a=b=c",
        "jwt,a=1,a=2",
        "magic",
        "simple,x",
    ] {
        assert!(Tokens::open(option, Duration::ZERO).is_err(), "{option}");
    }
}

#[test]
fn a_token_cannot_choose_how_it_is_checked() {
    let tokens = jwt("RS256", "rsa", "").unwrap();
    let token = tokens.sign("ada", 7, NOW).unwrap().unwrap();
    let (_, rest) = token.split_once('.').unwrap();
    let (claims, _) = rest.split_once('.').unwrap();
    // The public key taken for a shared secret, and no signature at all.
    let secret = jwt("HS256", "rsa_public", "")
        .unwrap()
        .sign("ada", 7, NOW)
        .unwrap()
        .unwrap();
    let none = format!("{}.{claims}.", BASE64.encode(r#"{"alg":"none","typ":"JWT"}"#));
    for forged in [
        secret,
        none,
        format!(".{claims}."),
        format!("{}.{rest}", BASE64.encode("{}")),
    ] {
        assert_eq!(
            identify(&tokens, &forged, NOW),
            Err(Rejection::InvalidAuthToken),
            "{forged}"
        );
    }
}

#[test]
fn claims_must_be_there_and_of_their_type() {
    // A secret that the test knows, to sign what no member would.
    let dir = std::env::temp_dir().join(format!("quorate-auth-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let secret = dir.join("secret");
    std::fs::write(&secret, b"open sesame").unwrap();
    let option = format!("jwt,sign-method=HS256,priv-key={}", secret.display());
    let tokens = Tokens::open(&option, Duration::ZERO).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let sign = |claims: &str| {
        let message = format!(
            "{}.{}",
            BASE64.encode(r#"{"alg":"HS256"}"#),
            BASE64.encode(claims)
        );
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"open sesame");
        let signature = BASE64.encode(ring::hmac::sign(&key, message.as_bytes()));
        format!("{message}.{signature}")
    };
    for (claims, answer) in [
        (r#"{"username":"ada","revision":7}"#, ada(7)),
        (r#"{"username":"ada","revision":7.0,"exp":1700000001.5}"#, ada(7)),
        (r#"{"username":"ada","revision":7,"nbf":1700000000}"#, ada(7)),
    ] {
        assert_eq!(identify(&tokens, &sign(claims), NOW), answer, "{claims}");
    }
    for claims in [
        "",
        "7",
        "{}",
        r#"{"username":"ada"}"#,
        r#"{"revision":7}"#,
        r#"{"username":7,"revision":7}"#,
        r#"{"username":"ada","revision":"7"}"#,
        r#"{"username":"ada","revision":-7}"#,
        r#"{"username":"ada","revision":null}"#,
        r#"{"username":"ada","revision":7,"exp":1700000000}"#,
        r#"{"username":"ada","revision":7,"exp":"never"}"#,
        r#"{"username":"ada","revision":7,"nbf":1700000001}"#,
    ] {
        let token = sign(claims);
        assert_eq!(
            identify(&tokens, &token, NOW),
            Err(Rejection::InvalidAuthToken),
            "{claims}"
        );
    }
}

#[test]
fn without_tokens_nobody_is_known() {
    let tokens = Tokens::open("", Duration::ZERO).unwrap();
    assert_eq!(identify(&tokens, "", NOW), Err(Rejection::InvalidAuthToken));
    assert_eq!(tokens.sign("ada", 7, NOW), None);
}

#[test]
fn the_letters_of_a_simple_token_are_letters() {
    let tokens = Tokens::open("simple", Duration::from_secs(300)).unwrap();
    let mut random = [0; 16];
    for (i, byte) in random.iter_mut().enumerate() {
        *byte = (i * 17) as u8;
    }
    let prefix = tokens.prefix(&random);
    assert_eq!(prefix.len(), 16);
    assert!(prefix.bytes().all(|letter| letter.is_ascii_alphabetic()));
    assert_eq!(tokens.sign("ada", 7, NOW), None);
}

/// Made by github.com/golang-jwt/jwt v5, which etcd uses, with the keys beside them.
#[test]
fn tokens_made_by_etcd_are_understood() {
    let known = include_str!("../keys/golang_jwt.txt");
    assert_eq!(known.lines().count(), 6);
    for line in known.lines() {
        let (method, token) = line.split_once(' ').unwrap();
        let tokens = match method {
            "RS256" | "PS256" => jwt(method, "", "rsa_cert"),
            "ES384" => jwt(method, "", "ec384_public"),
            "ES512" => jwt(method, "", "ec521_cert"),
            "EdDSA" => jwt(method, "", "ed25519_public"),
            _ => jwt(method, "ed25519", ""),
        };
        assert_eq!(identify(&tokens.unwrap(), token, NOW), ada(7), "{method}");
    }
    // Without randomness in the signature, ours is the same to the last byte.
    let (_, token) = known.lines().next().unwrap().split_once(' ').unwrap();
    let ours = jwt("RS256", "rsa", "")
        .unwrap()
        .sign("ada", 7, 4_102_444_790)
        .unwrap();
    assert_eq!(ours.as_deref(), Ok(token));
}

#[test]
fn secrets_do_not_show_when_printed() {
    let tokens = jwt("HS256", "ed25519", "").unwrap();
    let shown = format!("{tokens:?}");
    assert!(
        shown.contains("Hs256") && !shown.contains("PRIVATE") && !shown.contains("key"),
        "{shown}"
    );
}
