//! What users and roles amount to at one moment.

use bytes::Bytes;
use model::{KeyRange, Rejection};

/// Who asks, as it travels with a command: nobody by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Principal<'a> {
    /// User name; empty for nobody.
    pub user: &'a str,
    /// Auth revision that the proof of identity belongs to; 0 for nobody.
    pub revision: u64,
}

/// What a password is checked against.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// The stored bcrypt hash.
    pub hash: Bytes,
    /// Auth revision at that moment: if it has changed once the token is made, the check must be repeated.
    pub revision: u64,
}

/// Users and roles, compiled for checks. Immutable, and cheap to share.
#[derive(Clone, Debug, Default)]
pub struct Rules {}

impl Rules {
    /// Whether anything is checked at all.
    pub fn is_enabled(&self) -> bool {
        todo!()
    }

    /// Auth revision: grows with every change of users and roles.
    pub fn revision(&self) -> u64 {
        todo!()
    }

    /// For Authenticate: what the password is to be checked against.
    ///
    /// Refusals: authentication is off, no such user (as a wrong password), a user without password.
    pub fn credentials(&self, user: &str) -> Result<Credentials, Rejection> {
        let _ = user;
        todo!()
    }

    /// Whether the user has the role `root`.
    pub fn is_root(&self, user: &str) -> bool {
        let _ = user;
        todo!()
    }

    /// Passes anybody who proved who he is (LeaseGrant, MemberList, Status, alarm list).
    pub fn require_user(&self, who: Principal<'_>) -> Result<(), Rejection> {
        let _ = who;
        todo!()
    }

    /// Passes users with the role `root` (maintenance, member changes, management of users).
    pub fn require_root(&self, who: Principal<'_>) -> Result<(), Rejection> {
        let _ = who;
        todo!()
    }

    /// Passes who may read all of `range` (Range, Watch).
    pub fn require_read(&self, who: Principal<'_>, range: &KeyRange) -> Result<(), Rejection> {
        let _ = (who, range);
        todo!()
    }

    /// Passes who may write all of `range`.
    pub fn require_write(&self, who: Principal<'_>, range: &KeyRange) -> Result<(), Rejection> {
        let _ = (who, range);
        todo!()
    }
}
