//! On whose behalf a request is made.

use crate::core::ROOT;
use auth::{Principal, Rules};

/// The identity a gateway found out for a request: from a token, or from a client certificate.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Caller {
    /// User name; empty without credentials.
    pub username: String,
    /// Auth revision that the credentials belong to: the one in a JWT, otherwise the store's current one.
    pub auth_revision: u64,
}

impl Caller {
    /// Nobody in particular: all that is needed while authentication is off.
    pub fn anonymous() -> Caller {
        Caller::default()
    }

    /// The user who may do everything.
    pub(crate) fn root(rules: &Rules) -> Caller {
        Caller {
            username: ROOT.to_owned(),
            auth_revision: rules.revision(),
        }
    }

    pub(crate) fn principal(&self) -> Principal<'_> {
        Principal {
            user: &self.username,
            revision: self.auth_revision,
        }
    }
}

impl From<auth::Identity> for Caller {
    fn from(identity: auth::Identity) -> Caller {
        Caller {
            username: identity.user,
            auth_revision: identity.revision,
        }
    }
}
