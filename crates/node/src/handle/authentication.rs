//! Who callers are, and what they may ask of this member alone.

use super::Handle;
use super::keys::unexpected;
use crate::{Caller, Error, Result};
use auth::{Credentials, password};
use model::pb::etcdserverpb as pb;
use model::{Rejection, Reply, Request};

/// How often a login is repeated because users or roles changed under it.
const TRIES: usize = 10;

impl Handle {
    /// Checks name and password, has every member learn of the new token where tokens are simple, and returns the
    /// token. The password check takes some 60 ms of processor time and runs on a few blocking threads of its own
    /// pool, so that a storm of them starves nobody.
    pub async fn authenticate(&self, request: pb::AuthenticateRequest) -> Result<pb::AuthenticateResponse> {
        self.core.require_voter()?;
        for _ in 0..TRIES {
            self.core.read_barrier().await?;
            let revision = self.check_password(&request).await?;
            if self.rules().revision() != revision {
                continue;
            }
            let tokens = self.tokens();
            let now = self.core.clock.time_of_day().as_secs();
            if let Some(token) = tokens.sign(&request.name, revision, now) {
                return Ok(pb::AuthenticateResponse {
                    header: Some(pb::ResponseHeader {
                        revision: self.header().revision,
                        ..Default::default()
                    }),
                    token: token?,
                });
            }
            // Without the password: what is in the log is on every disk (etcd's audit, TOB-ETCD-012).
            let internal = pb::InternalAuthenticateRequest {
                name: request.name.clone(),
                password: String::new(),
                simple_token: tokens.prefix(&self.core.options.surroundings.random().to_be_bytes()),
            };
            let reply = self
                .core
                .propose(Request::Authenticate(internal), &Caller::anonymous())
                .await?;
            let Reply::Authenticate(response) = reply else {
                return Err(unexpected(&reply));
            };
            if self.rules().revision() == revision {
                return Ok(response);
            }
        }
        Err(Rejection::AuthOldRevision.into())
    }

    /// Finds out whose token it is, once the index that the token names has been applied here.
    pub async fn identify(&self, token: &str) -> Result<Caller> {
        let tokens = self.tokens();
        if let Some(index) = tokens.wait_for(token) {
            // A token that nobody issued may name any index.
            let waiting = self.core.wait_applied(index.0);
            match tokio::time::timeout(self.core.request_timeout(), waiting).await {
                Ok(result) => result?,
                Err(_) => return Err(Rejection::InvalidAuthToken.into()),
            }
        }
        let revision = self.rules().revision();
        let now = self.core.clock.now();
        Ok(tokens
            .identify(token, now, self.core.clock.time_of_day().as_secs(), revision)?
            .into())
    }

    /// Hashes a password for a command (`hashed_password`), on the same threads as password checks.
    pub async fn hash_password(&self, password: String) -> Result<String> {
        let _turn = self.password_turn().await?;
        let cost = self.core.options.bcrypt_cost;
        Ok(self
            .core
            .blocking(move || password::hash(&password, cost))
            .await??)
    }

    /// Refuses callers that are no known user while authentication is on.
    pub fn authorize_user(&self, caller: &Caller) -> Result<()> {
        Ok(self.rules().require_user(caller.principal())?)
    }

    /// Refuses callers without role root while authentication is on.
    pub fn authorize_root(&self, caller: &Caller) -> Result<()> {
        Ok(self.rules().require_root(caller.principal())?)
    }

    /// Answers the auth revision at which the password was right.
    async fn check_password(&self, request: &pb::AuthenticateRequest) -> Result<u64> {
        let known = match self.rules().credentials(&request.name) {
            Ok(credentials) => Some(credentials),
            // A stranger's password is checked against something as well: the time must not say who exists.
            Err(Rejection::AuthFailed) => None,
            Err(rejection) => return Err(rejection.into()),
        };
        let _turn = self.password_turn().await?;
        let (revision, hash) = match known {
            Some(Credentials { hash, revision }) => (Some(revision), hash),
            None => (None, password::NOBODY),
        };
        let password = request.password.clone();
        let right = self
            .core
            .blocking(move || password::verify(&password, &hash))
            .await?;
        match revision {
            Some(revision) if right => Ok(revision),
            _ => Err(Rejection::AuthFailed.into()),
        }
    }

    async fn password_turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        let turn = self.core.password_checks.acquire().await;
        turn.map_err(|_| Error::from(Rejection::Stopped))
    }
}
