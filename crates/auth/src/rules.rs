//! What users and roles amount to at one moment.

use crate::coverage::Coverage;
use bytes::Bytes;
use model::pb::authpb::permission::Type;
use model::pb::authpb::{Permission, Role, User};
use model::{KeyRange, Rejection};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The user who must exist, and the role that may do everything.
pub(crate) const ROOT: &str = "root";

/// Who asks, as it travels with a command: nobody by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Principal<'a> {
    /// User name; empty for nobody.
    pub user: &'a str,
    /// Auth revision that the proof of identity belongs to; 0 for nobody.
    pub revision: u64,
}

/// What a password is checked against.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The stored bcrypt hash.
    pub hash: Bytes,
    /// Auth revision at that moment: if it has changed once the token is made, the check must be repeated.
    pub revision: u64,
}

/// Users and roles, compiled for checks. A value: whoever holds it decides by the state of one moment. Copies share
/// users and roles.
#[derive(Clone, PartialEq, Debug)]
pub struct Rules {
    pub(crate) enabled: bool,
    pub(crate) revision: u64,
    pub(crate) users: BTreeMap<String, Arc<Account>>,
    pub(crate) roles: BTreeMap<String, Arc<Role>>,
}

/// A user, and what all his roles allow together.
#[derive(PartialEq)]
pub(crate) struct Account {
    pub user: User,
    is_root: bool,
    read: Coverage,
    write: Coverage,
}

/// What is done to keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Account {
    pub fn new(user: User, roles: &BTreeMap<String, Arc<Role>>) -> Account {
        let granted = user.roles.iter().filter_map(|name| roles.get(name));
        let permissions: Vec<&Permission> = granted.flat_map(|role| &role.key_permission).collect();
        let coverage = |wanted: Type| {
            let fits = |permission: &&&Permission| match Type::try_from(permission.perm_type) {
                Ok(Type::Readwrite) => true,
                Ok(found) => found == wanted,
                // A kind of permission that this version does not know allows nothing.
                Err(_) => false,
            };
            let range = |permission: &&Permission| {
                KeyRange::new(permission.key.clone(), permission.range_end.clone())
            };
            Coverage::new(permissions.iter().filter(fits).map(range))
        };
        Account {
            is_root: user.roles.iter().any(|role| role == ROOT),
            read: coverage(Type::Read),
            write: coverage(Type::Write),
            user,
        }
    }

    pub fn has_no_password(&self) -> bool {
        self.user.options.is_some_and(|options| options.no_password)
    }

    fn coverage(&self, access: Access) -> &Coverage {
        match access {
            Access::Read => &self.read,
            Access::Write => &self.write,
        }
    }
}

impl fmt::Debug for Credentials {
    /// Without the hash: it must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Account {
    /// Without the hash: it must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("roles", &self.user.roles)
            .finish_non_exhaustive()
    }
}

impl Default for Rules {
    /// No users, authentication off, auth revision 1.
    fn default() -> Rules {
        Rules {
            enabled: false,
            revision: 1,
            users: BTreeMap::new(),
            roles: BTreeMap::new(),
        }
    }
}

impl Rules {
    /// Whether anything is checked at all.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Auth revision: grows with every change of users and roles.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// For Authenticate: what the password is to be checked against.
    ///
    /// Refusals: authentication is off, no such user (as a wrong password), a user without password.
    pub fn credentials(&self, user: &str) -> Result<Credentials, Rejection> {
        if !self.enabled {
            return Err(Rejection::AuthNotEnabled);
        }
        let account = self.users.get(user).ok_or(Rejection::AuthFailed)?;
        if account.has_no_password() {
            return Err(Rejection::NoPasswordUser);
        }
        Ok(Credentials {
            hash: account.user.password.clone(),
            revision: self.revision,
        })
    }

    /// Whether the user has the role `root`.
    pub fn is_root(&self, user: &str) -> bool {
        self.users.get(user).is_some_and(|account| account.is_root)
    }

    /// Passes anybody who proved who he is (LeaseGrant, MemberList, Status, alarm list).
    pub fn require_user(&self, who: Principal<'_>) -> Result<(), Rejection> {
        if !self.enabled {
            Ok(())
        } else if who.user.is_empty() {
            Err(Rejection::UserEmpty)
        } else if self.users.contains_key(who.user) {
            Ok(())
        } else {
            // A certificate's name without a user, or a JWT that outlived its user.
            Err(Rejection::PermissionDenied)
        }
    }

    /// Passes users with the role `root` (maintenance, member changes, management of users).
    pub fn require_root(&self, who: Principal<'_>) -> Result<(), Rejection> {
        if !self.enabled {
            return Ok(());
        }
        if who.user.is_empty() {
            return Err(Rejection::UserEmpty);
        }
        match self.users.get(who.user) {
            None => Err(Rejection::UserNotFound),
            Some(account) if account.is_root => Ok(()),
            Some(_) => Err(Rejection::PermissionDenied),
        }
    }

    /// Passes who may read all of `range` (Range, Watch): the range as the client named it, before any normalisation.
    pub fn require_read(&self, who: Principal<'_>, range: &KeyRange) -> Result<(), Rejection> {
        self.require(who, Access::Read, |coverage| coverage.covers(range))
    }

    /// Passes who may write all of `range`.
    pub fn require_write(&self, who: Principal<'_>, range: &KeyRange) -> Result<(), Rejection> {
        self.require(who, Access::Write, |coverage| coverage.covers(range))
    }

    pub(crate) fn require_key(
        &self,
        who: Principal<'_>,
        access: Access,
        key: &[u8],
    ) -> Result<(), Rejection> {
        self.require(who, access, |coverage| coverage.contains(key))
    }

    fn require(
        &self,
        who: Principal<'_>,
        access: Access,
        covered: impl FnOnce(&Coverage) -> bool,
    ) -> Result<(), Rejection> {
        if !self.enabled {
            return Ok(());
        }
        if who.revision == 0 || who.user.is_empty() {
            return Err(Rejection::UserEmpty);
        }
        let old = who.revision < self.revision;
        #[cfg(feature = "planted")]
        let old = old && !planted::is(planted::Bug::OldTokensPass);
        if old {
            return Err(Rejection::AuthOldRevision);
        }
        match self.users.get(who.user) {
            Some(account) if account.is_root || covered(account.coverage(access)) => Ok(()),
            _ => Err(Rejection::PermissionDenied),
        }
    }
}
