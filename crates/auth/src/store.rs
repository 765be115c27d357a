//! The replicated part: what applied commands change.

use crate::rows::{self, Stored};
use crate::rules::Account;
use crate::{Error, Row, Rules, Tokens};
use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use model::{LogIndex, Rejection, Reply, Request};
use std::sync::Arc;

/// Users, roles and whether they count: the same on every member at the same applied index.
///
/// Tokens are not part of that: they live in memory, on the members that applied their making, and are only made and
/// dropped from here.
#[derive(Debug)]
pub struct AuthStore {
    rules: Arc<Rules>,
    tokens: Arc<Tokens>,
}

impl AuthStore {
    /// No users, authentication off, auth revision 1.
    pub fn new(tokens: Arc<Tokens>) -> AuthStore {
        AuthStore {
            rules: Arc::default(),
            tokens,
        }
    }

    /// From the rows (key, value) of the auth family; none at all is a new store.
    pub fn load(
        rows: impl IntoIterator<Item = (Bytes, Bytes)>,
        tokens: Arc<Tokens>,
    ) -> Result<AuthStore, Error> {
        let mut rules = Rules::default();
        let mut users = Vec::new();
        for (key, value) in rows {
            match rows::decode(&key, &value)? {
                Stored::Enabled(enabled) => rules.enabled = enabled,
                Stored::Revision(revision) => rules.revision = revision,
                Stored::User(name, user) => users.push((name, user)),
                Stored::Role(name, role) => {
                    rules.roles.insert(name, Arc::new(role));
                }
            }
        }
        for (name, user) in users {
            rules
                .users
                .insert(name, Arc::new(Account::new(user, &rules.roles)));
        }
        Ok(AuthStore {
            rules: Arc::new(rules),
            tokens,
        })
    }

    /// What holds now. Published by the caller after each command that changed it ([`AuthStore::apply`] gave rows).
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Where this member keeps its tokens.
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// Carries out a command about users, roles or authentication, already authorized; `None` for any other request.
    /// Rows to be written are added to `rows`; a refusal adds none. `index` is the command's place in the log: it
    /// becomes part of a simple token. Headers of replies are left out.
    pub fn apply(
        &mut self,
        request: &Request,
        index: LogIndex,
        rows: &mut Vec<Row>,
    ) -> Option<Result<Reply, Rejection>> {
        macro_rules! done {
            ($result:expr, $reply:ident, $response:ident) => {
                $result.map(|()| Reply::$reply(pb::$response::default()))
            };
        }
        Some(match request {
            Request::AuthEnable(_) => done!(self.enable(rows), AuthEnable, AuthEnableResponse),
            Request::AuthDisable(_) => done!(self.disable(rows), AuthDisable, AuthDisableResponse),
            Request::AuthStatus(_) => Ok(Reply::AuthStatus(pb::AuthStatusResponse {
                header: None,
                enabled: self.rules.enabled,
                auth_revision: self.rules.revision,
            })),
            Request::Authenticate(request) => self
                .authenticate(request, index)
                .map(|token| Reply::Authenticate(pb::AuthenticateResponse { header: None, token })),
            Request::AuthUserAdd(request) => {
                done!(self.user_add(request, rows), AuthUserAdd, AuthUserAddResponse)
            }
            Request::AuthUserDelete(request) => {
                done!(
                    self.user_delete(&request.name, rows),
                    AuthUserDelete,
                    AuthUserDeleteResponse
                )
            }
            Request::AuthUserChangePassword(request) => done!(
                self.user_change_password(request, rows),
                AuthUserChangePassword,
                AuthUserChangePasswordResponse
            ),
            Request::AuthUserGrantRole(request) => done!(
                self.user_grant_role(&request.user, &request.role, rows),
                AuthUserGrantRole,
                AuthUserGrantRoleResponse
            ),
            Request::AuthUserRevokeRole(request) => done!(
                self.user_revoke_role(&request.name, &request.role, rows),
                AuthUserRevokeRole,
                AuthUserRevokeRoleResponse
            ),
            Request::AuthUserGet(request) => self
                .user_roles(&request.name)
                .map(|roles| Reply::AuthUserGet(pb::AuthUserGetResponse { header: None, roles })),
            Request::AuthUserList(_) => Ok(Reply::AuthUserList(pb::AuthUserListResponse {
                header: None,
                users: self.rules.users.keys().cloned().collect(),
            })),
            Request::AuthRoleAdd(request) => {
                done!(
                    self.role_add(&request.name, rows),
                    AuthRoleAdd,
                    AuthRoleAddResponse
                )
            }
            Request::AuthRoleDelete(request) => {
                done!(
                    self.role_delete(&request.role, rows),
                    AuthRoleDelete,
                    AuthRoleDeleteResponse
                )
            }
            Request::AuthRoleGet(request) => self
                .role_permissions(&request.role)
                .map(|perm| Reply::AuthRoleGet(pb::AuthRoleGetResponse { header: None, perm })),
            Request::AuthRoleList(_) => Ok(Reply::AuthRoleList(pb::AuthRoleListResponse {
                header: None,
                roles: self.rules.roles.keys().cloned().collect(),
            })),
            Request::AuthRoleGrantPermission(request) => done!(
                self.role_grant_permission(request, rows),
                AuthRoleGrantPermission,
                AuthRoleGrantPermissionResponse
            ),
            Request::AuthRoleRevokePermission(request) => done!(
                self.role_revoke_permission(request, rows),
                AuthRoleRevokePermission,
                AuthRoleRevokePermissionResponse
            ),
            _ => return None,
        })
    }

    /// The rules to be changed: a copy if somebody still decides by the old ones.
    pub(crate) fn rules_mut(&mut self) -> &mut Rules {
        Arc::make_mut(&mut self.rules)
    }
}
