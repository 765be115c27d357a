//! Passwords. These functions take some 50 ms on purpose: run them on a bounded pool of blocking threads.

use bytes::Bytes;
use model::Rejection;

/// bcrypt's cost where the flag gives none or an impossible one.
pub const COST_DEFAULT: u32 = 10;

/// Hashes a password for `hashed_password` of a command (base64 of the bcrypt hash). The plain password must never
/// enter the log. An impossible cost becomes [`COST_DEFAULT`]. Refused: more than 72 bytes.
pub fn hash(password: &str, cost: u32) -> Result<String, Rejection> {
    let _ = (password, cost);
    todo!()
}

/// Whether a password belongs to a stored hash.
pub fn verify(password: &str, hash: &Bytes) -> bool {
    let _ = (password, hash);
    todo!()
}
