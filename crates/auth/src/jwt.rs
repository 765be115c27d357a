//! JSON Web Tokens.

use crate::{Error, Identity};
use model::Rejection;

#[derive(Debug)]
pub(crate) struct Jwt {}

impl Jwt {
    pub fn open(options: &[(&str, &str)]) -> Result<Jwt, Error> {
        let _ = options;
        Err(Error::BadOptions("no".into()))
    }
    pub fn identify(&self, token: &str, unix_seconds: u64) -> Result<Identity, Rejection> {
        let _ = (token, unix_seconds);
        Err(Rejection::InvalidAuthToken)
    }
    pub fn sign(&self, user: &str, revision: u64, unix_seconds: u64) -> Result<String, Rejection> {
        let _ = (user, revision, unix_seconds);
        Err(Rejection::TokenVerifyOnly)
    }
}
