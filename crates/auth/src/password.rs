//! Passwords. These functions take some 50 ms on purpose: run them on a bounded pool of blocking threads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::Rejection;

/// bcrypt's cost where the flag gives none or an impossible one.
pub const COST_DEFAULT: u32 = 10;

/// Costs that bcrypt knows; each step takes twice the time.
pub const COSTS: std::ops::RangeInclusive<u32> = 4..=31;

/// bcrypt looks at no more bytes than these.
const LEN_MAX: usize = 72;

/// A hash that no password belongs to. Verify against it where there is no such user: the time that an answer takes
/// would else tell who exists.
pub const NOBODY: Bytes = Bytes::from_static(b"$2b$10$N0b0dyN0b0dyN0b0dyN0beWb9WpPu9lYjXfXf5k0dQqFQK3mF0l4u");

/// Hashes a password for `hashed_password` of a command (base64 of the bcrypt hash). The plain password must never
/// enter the log. An impossible cost becomes [`COST_DEFAULT`]. Refused: more than 72 bytes.
pub fn hash(password: &str, cost: u32) -> Result<String, Rejection> {
    if password.len() > LEN_MAX {
        return Err(Rejection::PasswordTooLong);
    }
    let cost = if COSTS.contains(&cost) { cost } else { COST_DEFAULT };
    // Fails only for impossible costs and where the system has no random bytes: then nobody gets a password.
    let hash = bcrypt::hash(password, cost).map_err(|_| Rejection::AuthFailed)?;
    Ok(STANDARD.encode(hash))
}

/// Whether a password belongs to a stored hash. What is no hash belongs to no password.
pub fn verify(password: &str, hash: &Bytes) -> bool {
    let Ok(hash) = std::str::from_utf8(hash) else {
        return false;
    };
    let verified = bcrypt::verify(password, hash).unwrap_or(false);
    // Beyond its limit bcrypt would take any end for right.
    verified && password.len() <= LEN_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(password: &str) -> Bytes {
        STANDARD.decode(hash(password, 4).unwrap()).unwrap().into()
    }

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let hash = stored("correct horse");
        assert!(verify("correct horse", &hash));
        assert!(!verify("correct horse ", &hash) && !verify("", &hash));
        assert!(verify("", &stored("")));
        for nonsense in ["", "x", "$2b$", "$2b$99$", "$2b$04$short"] {
            assert!(!verify("", &Bytes::from(nonsense)), "{nonsense}");
        }
        assert!(!verify("\u{ff}", &Bytes::from_static(&[0xff])));
    }

    #[test]
    fn hashes_made_by_go_are_understood() {
        // golang.org/x/crypto/bcrypt, its own test vector.
        let hash = Bytes::from_static(b"$2a$10$XajjQvNhvvRt5GSeFk1xFeyqRrsxkhBkUiQeg0dt.wU1qD4aFDcga");
        assert!(verify("allmine", &hash) && !verify("allmin", &hash));
    }

    #[test]
    fn passwords_beyond_bcrypts_limit_are_refused() {
        let longest = "x".repeat(72);
        let hash_of_longest = stored(&longest);
        assert!(verify(&longest, &hash_of_longest));
        assert!(!verify(&"x".repeat(73), &hash_of_longest));
        assert_eq!(hash(&"x".repeat(73), 4), Err(Rejection::PasswordTooLong));
    }

    #[test]
    fn nobody_has_a_hash_of_the_usual_cost() {
        assert!(!verify("nobody", &NOBODY));
        assert!(bcrypt::verify("nobody", std::str::from_utf8(&NOBODY).unwrap()).is_ok());
    }
}
