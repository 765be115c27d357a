//! Tokens: proof of who somebody is, without his password.

use crate::jwt::Jwt;
use crate::simple::{self, PREFIX_LEN, SimpleTokens};
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
pub struct Tokens {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Simple(SimpleTokens),
    Jwt(Box<Jwt>),
    None,
}

impl Tokens {
    /// Reads `--auth-token`: `simple`, `jwt,sign-method=…,pub-key=…,priv-key=…,ttl=…`, or empty for no tokens at all.
    /// Key files are read here. `ttl` is `--auth-token-ttl`, for simple tokens.
    pub fn open(option: &str, ttl: Duration) -> Result<Tokens, Error> {
        let (kind, rest) = option.split_once(',').unwrap_or((option, ""));
        let mut options = Vec::new();
        for pair in rest.split(',').filter(|_| option.contains(',')) {
            match pair.split_once('=') {
                Some((name, value)) if !value.contains('=') => {
                    if options.iter().any(|(known, _)| *known == name) {
                        return Err(Error::BadOptions(format!("{name} is given twice")));
                    }
                    options.push((name, value));
                }
                _ => return Err(Error::BadOptions(format!("{pair:?} is not name=value"))),
            }
        }
        let kind = match kind {
            "simple" => Kind::Simple(SimpleTokens::new(ttl)),
            "jwt" => Kind::Jwt(Box::new(Jwt::open(&options)?)),
            "" => Kind::None,
            other => return Err(Error::BadOptions(format!("unknown token type {other:?}"))),
        };
        Ok(Tokens { kind })
    }

    /// What goes into `InternalAuthenticateRequest.simple_token`: 16 letters from `random`; empty for JWT.
    pub fn prefix(&self, random: &[u8; PREFIX_LEN]) -> String {
        const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        match &self.kind {
            // 256 is no multiple of 52, so some letters come a little oftener: 90 bits are left of 91.
            Kind::Simple(_) => random
                .iter()
                .map(|byte| char::from(LETTERS[usize::from(*byte) % 52]))
                .collect(),
            Kind::Jwt(_) | Kind::None => String::new(),
        }
    }

    /// Which log index must be applied here before the token can be judged; `None` if it needs none.
    pub fn wait_for(&self, token: &str) -> Option<LogIndex> {
        match &self.kind {
            Kind::Simple(_) => simple::index_of(token),
            Kind::Jwt(_) | Kind::None => None,
        }
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
        match &self.kind {
            Kind::Simple(tokens) => tokens.identify(token, now, current_revision),
            Kind::Jwt(jwt) => jwt.identify(token, unix_seconds),
            Kind::None => Err(Rejection::InvalidAuthToken),
        }
    }

    /// A JWT for a user whose password was checked at `revision`; `None` for other kinds of tokens, whose text is in
    /// the reply to the applied command. Slow (a signature): not for the apply thread.
    pub fn sign(&self, user: &str, revision: u64, unix_seconds: u64) -> Option<Result<String, Rejection>> {
        match &self.kind {
            Kind::Jwt(jwt) => Some(jwt.sign(user, revision, unix_seconds)),
            Kind::Simple(_) | Kind::None => None,
        }
    }

    /// Forgets tokens that have run out. To be called once a second or so.
    pub fn sweep(&self, now: Duration) {
        if let Kind::Simple(tokens) = &self.kind {
            tokens.sweep(now);
        }
    }

    /// Makes a simple token; gives nothing for other kinds.
    pub(crate) fn assign(&self, user: &str, prefix: &str, index: LogIndex) -> String {
        match &self.kind {
            Kind::Simple(tokens) => tokens.assign(user, prefix, index),
            Kind::Jwt(_) | Kind::None => String::new(),
        }
    }

    pub(crate) fn forget_user(&self, user: &str) {
        if let Kind::Simple(tokens) = &self.kind {
            tokens.forget_user(user);
        }
    }

    pub(crate) fn forget_all(&self) {
        if let Kind::Simple(tokens) = &self.kind {
            tokens.forget_all();
        }
    }
}
