//! Simple tokens: random letters that live in memory.

use crate::Identity;
use model::{LogIndex, Rejection};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Letters in front of the dot.
pub(crate) const PREFIX_LEN: usize = 16;

/// A token is made when its command is applied, on every member, and used from any thread. A token that is in use takes
/// the lock for reading only: its deadline is a number beside it.
pub(crate) struct SimpleTokens {
    ttl: Duration,
    tokens: RwLock<HashMap<String, Token>>,
}

struct Token {
    user: Arc<str>,
    /// Milliseconds of the caller's clock; [`UNARMED`] until the first look at it, for apply has none.
    deadline: AtomicU64,
}

const UNARMED: u64 = u64::MAX;

impl SimpleTokens {
    pub fn new(ttl: Duration) -> SimpleTokens {
        SimpleTokens {
            ttl,
            tokens: RwLock::default(),
        }
    }

    pub fn assign(&self, user: &str, prefix: &str, index: LogIndex) -> String {
        let token = format!("{prefix}.{index}");
        // A member that makes other tokens gives no letters: such a token could be guessed.
        if prefix.len() >= PREFIX_LEN {
            let fresh = Token {
                user: user.into(),
                deadline: AtomicU64::new(UNARMED),
            };
            self.tokens.write().insert(token.clone(), fresh);
        }
        token
    }

    pub fn identify(&self, token: &str, now: Duration, revision: u64) -> Result<Identity, Rejection> {
        let tokens = self.tokens.read();
        let found = tokens.get(token).ok_or(Rejection::InvalidAuthToken)?;
        let now = millis(now);
        if found.deadline.load(Ordering::Relaxed) <= now {
            return Err(Rejection::InvalidAuthToken);
        }
        found.deadline.store(self.deadline(now), Ordering::Relaxed);
        Ok(Identity {
            user: found.user.to_string(),
            revision,
        })
    }

    pub fn sweep(&self, now: Duration) {
        let now = millis(now);
        let dead = |token: &Token| token.deadline.load(Ordering::Relaxed) <= now;
        let arm = |token: &Token| {
            let deadline = self.deadline(now);
            // Fails where the token has been used meanwhile, and is armed by that.
            let _ = token
                .deadline
                .compare_exchange(UNARMED, deadline, Ordering::Relaxed, Ordering::Relaxed);
        };
        let any_dead = {
            let tokens = self.tokens.read();
            tokens.values().for_each(arm);
            tokens.values().any(dead)
        };
        if any_dead {
            self.tokens.write().retain(|_, token| !dead(token));
        }
    }

    pub fn forget_user(&self, user: &str) {
        self.tokens.write().retain(|_, token| &*token.user != user);
    }

    pub fn forget_all(&self) {
        self.tokens.write().clear();
    }

    fn deadline(&self, now: u64) -> u64 {
        now.saturating_add(millis(self.ttl)).min(UNARMED - 1)
    }
}

impl fmt::Debug for SimpleTokens {
    /// Without the tokens: who reads them in a log could use them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleTokens")
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// The log index that a token ends in; `None` for what cannot be a simple token.
pub(crate) fn index_of(token: &str) -> Option<LogIndex> {
    let (_, index) = token.split_once('.')?;
    let plain = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| index.parse().ok()).flatten().map(LogIndex)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(UNARMED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTERS: &str = "abcdefghijklmnop";

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn user(tokens: &SimpleTokens, token: &str, seconds: u64) -> Option<String> {
        tokens
            .identify(token, at(seconds), 7)
            .ok()
            .map(|identity| identity.user)
    }

    #[test]
    fn a_token_lives_on_while_it_is_used() {
        let tokens = SimpleTokens::new(at(300));
        let token = tokens.assign("ada", LETTERS, LogIndex(12));
        assert_eq!(token, "abcdefghijklmnop.12");
        for seconds in [1000, 1299, 1598] {
            assert_eq!(user(&tokens, &token, seconds).as_deref(), Some("ada"));
        }
        assert_eq!(user(&tokens, &token, 1898), None);
    }

    #[test]
    fn an_unused_token_is_swept_away_after_its_time() {
        let tokens = SimpleTokens::new(at(300));
        let token = tokens.assign("ada", LETTERS, LogIndex(12));
        // The first sweep is the first look at the clock.
        for seconds in [500, 799] {
            tokens.sweep(at(seconds));
            assert_eq!(tokens.tokens.read().len(), 1);
        }
        tokens.sweep(at(800));
        assert_eq!(tokens.tokens.read().len(), 0);
        assert_eq!(user(&tokens, &token, 801), None);
    }

    #[test]
    fn tokens_end_with_their_user() {
        let tokens = SimpleTokens::new(at(300));
        let ada = tokens.assign("ada", LETTERS, LogIndex(1));
        let bob = tokens.assign("bob", LETTERS, LogIndex(2));
        tokens.forget_user("ada");
        assert_eq!(
            (user(&tokens, &ada, 0), user(&tokens, &bob, 0)),
            (None, Some("bob".into()))
        );
        tokens.forget_all();
        assert_eq!(user(&tokens, &bob, 0), None);
    }

    #[test]
    fn a_token_without_letters_proves_nothing() {
        let tokens = SimpleTokens::new(at(300));
        let token = tokens.assign("root", "", LogIndex(1));
        assert_eq!(user(&tokens, &token, 0), None);
    }

    #[test]
    fn a_token_tells_which_entry_made_it() {
        assert_eq!(index_of("abc.12"), Some(LogIndex(12)));
        for other in [
            "",
            "abc",
            "abc.",
            "abc.x",
            "abc.+1",
            "a.b.1",
            "abc.99999999999999999999",
        ] {
            assert_eq!(index_of(other), None, "{other}");
        }
    }
}
