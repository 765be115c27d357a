//! Tokens: proof of who somebody is, without his password.

use crate::{Error, Principal};
use model::{LogIndex, Rejection};
use std::time::Duration;

/// Somebody known by a token or a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// User name.
    pub user: String,
    /// Auth revision that the proof belongs to.
    pub revision: u64,
}

impl Identity {
    /// As it travels with a request.
    pub fn principal(&self) -> Principal<'_> {
        Principal {
            user: &self.user,
            revision: self.revision,
        }
    }
}

/// The kind of tokens that `--auth-token` asks for, and those that live. Shared by all threads.
#[derive(Debug)]
pub struct Tokens {}

impl Tokens {
    /// Reads `--auth-token`: `simple`, `jwt,sign-method=…,pub-key=…,priv-key=…,ttl=…`, or empty for no tokens at all.
    /// Key files are read here. `ttl` is `--auth-token-ttl`, for simple tokens.
    pub fn open(option: &str, ttl: Duration) -> Result<Tokens, Error> {
        let _ = (option, ttl);
        todo!()
    }

    /// What goes into `InternalAuthenticateRequest.simple_token`: 16 letters from `random`; empty for JWT.
    pub fn prefix(&self, random: &[u8; 16]) -> String {
        let _ = random;
        todo!()
    }

    /// Which log index must be applied here before the token can be judged; `None` if it needs none.
    pub fn wait_for(&self, token: &str) -> Option<LogIndex> {
        let _ = token;
        todo!()
    }

    /// Whose token it is. A simple token lives on for its TTL from now, and carries the current auth revision; a JWT
    /// carries the one it was made at. `now` is monotonic, `unix_seconds` the time of day.
    pub fn identify(
        &self,
        token: &str,
        now: Duration,
        unix_seconds: u64,
        current_revision: u64,
    ) -> Result<Identity, Rejection> {
        let _ = (token, now, unix_seconds, current_revision);
        todo!()
    }

    /// A JWT for a user whose password was checked at `revision`; `None` for other kinds of tokens, whose text is in
    /// the reply to the applied command. Slow (a signature): not for the apply thread.
    pub fn sign(&self, user: &str, revision: u64, unix_seconds: u64) -> Option<Result<String, Rejection>> {
        let _ = (user, revision, unix_seconds);
        todo!()
    }

    /// Forgets tokens that have run out. To be called once a second or so.
    pub fn sweep(&self, now: Duration) {
        let _ = now;
        todo!()
    }
}
