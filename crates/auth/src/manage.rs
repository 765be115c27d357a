//! Commands about users, roles and authentication (etcd server/auth/store.go).

use crate::rows::{self, Row};
use crate::rules::{Account, ROOT, Rules};
use crate::store::AuthStore;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::pb::authpb::permission::Type;
use model::pb::authpb::{Permission, Role, User, UserAddOptions};
use model::pb::etcdserverpb as pb;
use model::{KeyRange, LogIndex, Rejection};
use std::sync::Arc;

type Result<T = ()> = std::result::Result<T, Rejection>;

impl AuthStore {
    pub(crate) fn enable(&mut self, rows: &mut Vec<Row>) -> Result {
        if self.rules().enabled {
            return Ok(());
        }
        if !self.rules().users.contains_key(ROOT) {
            return Err(Rejection::RootUserNotExist);
        }
        if !self.rules().is_root(ROOT) {
            return Err(Rejection::RootRoleNotGranted);
        }
        self.rules_mut().enabled = true;
        rows.push(rows::enabled(true));
        Ok(())
    }

    pub(crate) fn disable(&mut self, rows: &mut Vec<Row>) -> Result {
        if !self.rules().enabled {
            return Ok(());
        }
        let rules = self.rules_mut();
        rules.enabled = false;
        rows.push(rows::enabled(false));
        rules.bump(rows);
        self.tokens().forget_all();
        Ok(())
    }

    /// The password was checked by the member that proposed this: bcrypt has no place in apply.
    pub(crate) fn authenticate(
        &mut self,
        request: &pb::InternalAuthenticateRequest,
        index: LogIndex,
    ) -> Result<String> {
        if !self.rules().enabled {
            return Err(Rejection::AuthNotEnabled);
        }
        match self.rules().users.get(&request.name) {
            Some(account) if !account.has_no_password() => {
                Ok(self.tokens().assign(&request.name, &request.simple_token, index))
            }
            _ => Err(Rejection::AuthFailed),
        }
    }

    pub(crate) fn user_add(&mut self, request: &pb::AuthUserAddRequest, rows: &mut Vec<Row>) -> Result {
        if request.name.is_empty() {
            return Err(Rejection::UserEmpty);
        }
        if self.rules().users.contains_key(&request.name) {
            return Err(Rejection::UserExists);
        }
        let options = request.options.unwrap_or(UserAddOptions { no_password: false });
        let password = stored_password(options.no_password, &request.hashed_password)?;
        let user = User {
            name: Bytes::copy_from_slice(request.name.as_bytes()),
            password,
            roles: Vec::new(),
            options: Some(options),
        };
        self.rules_mut().put_user(&request.name, user, rows);
        Ok(())
    }

    pub(crate) fn user_delete(&mut self, name: &str, rows: &mut Vec<Row>) -> Result {
        if self.rules().enabled && name == ROOT {
            return Err(Rejection::InvalidAuthManagement);
        }
        if !self.rules().users.contains_key(name) {
            return Err(Rejection::UserNotFound);
        }
        let rules = self.rules_mut();
        rules.users.remove(name);
        rows.push(rows::no_user(name));
        rules.bump(rows);
        self.tokens().forget_user(name);
        Ok(())
    }

    pub(crate) fn user_change_password(
        &mut self,
        request: &pb::AuthUserChangePasswordRequest,
        rows: &mut Vec<Row>,
    ) -> Result {
        let account = self
            .rules()
            .users
            .get(&request.name)
            .ok_or(Rejection::UserNotFound)?;
        let password = stored_password(account.has_no_password(), &request.hashed_password)?;
        let user = User {
            password,
            ..account.user.clone()
        };
        self.rules_mut().put_user(&request.name, user, rows);
        self.tokens().forget_user(&request.name);
        Ok(())
    }

    pub(crate) fn user_grant_role(&mut self, name: &str, role: &str, rows: &mut Vec<Row>) -> Result {
        let account = self.rules().users.get(name).ok_or(Rejection::UserNotFound)?;
        // The role root need not be stored: it means what it means.
        if role != ROOT && !self.rules().roles.contains_key(role) {
            return Err(Rejection::RoleNotFound);
        }
        let Err(place) = account
            .user
            .roles
            .binary_search_by(|held| held.as_str().cmp(role))
        else {
            return Ok(());
        };
        let mut user = account.user.clone();
        user.roles.insert(place, role.to_owned());
        self.rules_mut().put_user(name, user, rows);
        Ok(())
    }

    pub(crate) fn user_revoke_role(&mut self, name: &str, role: &str, rows: &mut Vec<Row>) -> Result {
        if self.rules().enabled && name == ROOT && role == ROOT {
            return Err(Rejection::InvalidAuthManagement);
        }
        let account = self.rules().users.get(name).ok_or(Rejection::UserNotFound)?;
        let user = without_role(&account.user, role).ok_or(Rejection::RoleNotGranted)?;
        self.rules_mut().put_user(name, user, rows);
        Ok(())
    }

    pub(crate) fn user_roles(&self, name: &str) -> Result<Vec<String>> {
        let account = self.rules().users.get(name).ok_or(Rejection::UserNotFound)?;
        Ok(account.user.roles.clone())
    }

    pub(crate) fn role_add(&mut self, name: &str, rows: &mut Vec<Row>) -> Result {
        if name.is_empty() {
            return Err(Rejection::RoleEmpty);
        }
        if self.rules().roles.contains_key(name) {
            return Err(Rejection::RoleExists);
        }
        let role = Role {
            name: Bytes::copy_from_slice(name.as_bytes()),
            key_permission: Vec::new(),
        };
        self.rules_mut().put_role(name, role, rows);
        Ok(())
    }

    pub(crate) fn role_delete(&mut self, name: &str, rows: &mut Vec<Row>) -> Result {
        if self.rules().enabled && name == ROOT {
            return Err(Rejection::InvalidAuthManagement);
        }
        if !self.rules().roles.contains_key(name) {
            return Err(Rejection::RoleNotFound);
        }
        let rules = self.rules_mut();
        rules.roles.remove(name);
        rows.push(rows::no_role(name));
        for account in rules.users.values_mut() {
            if let Some(user) = without_role(&account.user, name) {
                rows.push(rows::user(&user));
                *account = Arc::new(Account::new(user, &rules.roles));
            }
        }
        rules.bump(rows);
        Ok(())
    }

    pub(crate) fn role_permissions(&self, name: &str) -> Result<Vec<Permission>> {
        let role = self.rules().roles.get(name).ok_or(Rejection::RoleNotFound)?;
        if name == ROOT {
            return Ok(vec![Permission {
                perm_type: Type::Readwrite.into(),
                key: Bytes::new(),
                range_end: Bytes::from_static(&[0]),
            }]);
        }
        Ok(role.key_permission.clone())
    }

    pub(crate) fn role_grant_permission(
        &mut self,
        request: &pb::AuthRoleGrantPermissionRequest,
        rows: &mut Vec<Row>,
    ) -> Result {
        let granted = request.perm.as_ref().ok_or(Rejection::PermissionNotGiven)?;
        let range = KeyRange::new(granted.key.clone(), granted.range_end.clone());
        if granted.key.is_empty() || range.is_empty() {
            return Err(Rejection::InvalidAuthManagement);
        }
        let role = self
            .rules()
            .roles
            .get(&request.name)
            .ok_or(Rejection::RoleNotFound)?;
        let mut role = Role::clone(role);
        let same = |held: &&mut Permission| held.key == granted.key && held.range_end == granted.range_end;
        match role.key_permission.iter_mut().find(same) {
            Some(held) => held.perm_type = granted.perm_type,
            None => {
                let place = role
                    .key_permission
                    .partition_point(|held| held.key <= granted.key);
                role.key_permission.insert(place, granted.clone());
            }
        }
        self.rules_mut().put_role(&request.name, role, rows);
        Ok(())
    }

    pub(crate) fn role_revoke_permission(
        &mut self,
        request: &pb::AuthRoleRevokePermissionRequest,
        rows: &mut Vec<Row>,
    ) -> Result {
        let role = self
            .rules()
            .roles
            .get(&request.role)
            .ok_or(Rejection::RoleNotFound)?;
        let mut role = Role::clone(role);
        let before = role.key_permission.len();
        role.key_permission
            .retain(|held| held.key != request.key || held.range_end != request.range_end);
        if role.key_permission.len() == before {
            return Err(Rejection::PermissionNotGranted);
        }
        self.rules_mut().put_role(&request.role, role, rows);
        Ok(())
    }
}

impl Rules {
    fn bump(&mut self, rows: &mut Vec<Row>) {
        self.revision += 1;
        rows.push(rows::revision(self.revision));
    }

    fn put_user(&mut self, name: &str, user: User, rows: &mut Vec<Row>) {
        rows.push(rows::user(&user));
        let account = Account::new(user, &self.roles);
        self.users.insert(name.to_owned(), Arc::new(account));
        self.bump(rows);
    }

    fn put_role(&mut self, name: &str, role: Role, rows: &mut Vec<Row>) {
        rows.push(rows::role(&role));
        self.roles.insert(name.to_owned(), Arc::new(role));
        for account in self.users.values_mut() {
            if account.user.roles.iter().any(|held| held == name) {
                *account = Arc::new(Account::new(account.user.clone(), &self.roles));
            }
        }
        self.bump(rows);
    }
}

/// The bcrypt hash out of a command. Plain passwords are never in the log; what etcd before 3.5 wrote there is refused.
fn stored_password(no_password: bool, hashed: &str) -> Result<Bytes> {
    if no_password {
        return Ok(Bytes::new());
    }
    let hash = STANDARD.decode(hashed).map_err(|_| Rejection::NoPasswordUser)?;
    Ok(hash.into())
}

/// The user without a role; `None` if he does not have it.
fn without_role(user: &User, role: &str) -> Option<User> {
    let held = user.roles.iter().position(|held| held == role)?;
    let mut user = user.clone();
    user.roles.remove(held);
    Some(user)
}
