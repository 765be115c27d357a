//! Users and roles. Everything but Authenticate is a command: who may give it is decided when it is applied.

use super::kv::mismatch;
use crate::shared::Shared;
use crate::status;
use api::etcdserverpb::auth_server;
use model::pb::etcdserverpb as pb;
use model::{Reply, Request as Command};
use std::sync::Arc;
use tonic::{Request, Response, Status, async_trait};

pub(crate) struct Auth(pub Arc<Shared>);

impl Auth {
    async fn propose<T>(
        &self,
        request: Request<T>,
        command: impl FnOnce(T) -> Command,
    ) -> Result<Reply, Status> {
        let caller = self.0.caller(&request).await?;
        self.0
            .node
            .propose(command(request.into_inner()), &caller)
            .await
            .map_err(status)
    }
}

macro_rules! commands {
    ($($method:ident($request:ident) -> $response:ident is $variant:ident;)*) => {
        #[async_trait]
        impl auth_server::Auth for Auth {
            $(async fn $method(&self, request: Request<pb::$request>) -> Result<Response<pb::$response>, Status> {
                match self.propose(request, Command::$variant).await? {
                    Reply::$variant(mut response) => {
                        self.0.fill(&mut response.header);
                        Ok(Response::new(response))
                    }
                    _ => Err(mismatch()),
                }
            })*

            async fn authenticate(
                &self,
                request: Request<pb::AuthenticateRequest>,
            ) -> Result<Response<pb::AuthenticateResponse>, Status> {
                let mut response = self.0.node.authenticate(request.into_inner()).await.map_err(status)?;
                self.0.fill(&mut response.header);
                Ok(Response::new(response))
            }

            async fn user_add(
                &self,
                mut request: Request<pb::AuthUserAddRequest>,
            ) -> Result<Response<pb::AuthUserAddResponse>, Status> {
                // Before the hashing, which is a way to keep a processor busy.
                self.0.root_caller(&request).await?;
                let user = request.get_mut();
                let password = std::mem::take(&mut user.password);
                if !user.options.is_some_and(|options| options.no_password) {
                    user.hashed_password = self.0.node.hash_password(password).await.map_err(status)?;
                }
                match self.propose(request, Command::AuthUserAdd).await? {
                    Reply::AuthUserAdd(mut response) => {
                        self.0.fill(&mut response.header);
                        Ok(Response::new(response))
                    }
                    _ => Err(mismatch()),
                }
            }

            async fn user_change_password(
                &self,
                mut request: Request<pb::AuthUserChangePasswordRequest>,
            ) -> Result<Response<pb::AuthUserChangePasswordResponse>, Status> {
                // Before the hashing, which is a way to keep a processor busy.
                self.0.root_caller(&request).await?;
                let user = request.get_mut();
                let password = std::mem::take(&mut user.password);
                if !password.is_empty() {
                    user.hashed_password = self.0.node.hash_password(password).await.map_err(status)?;
                }
                match self.propose(request, Command::AuthUserChangePassword).await? {
                    Reply::AuthUserChangePassword(mut response) => {
                        self.0.fill(&mut response.header);
                        Ok(Response::new(response))
                    }
                    _ => Err(mismatch()),
                }
            }
        }
    };
}

commands! {
    auth_enable(AuthEnableRequest) -> AuthEnableResponse is AuthEnable;
    auth_disable(AuthDisableRequest) -> AuthDisableResponse is AuthDisable;
    auth_status(AuthStatusRequest) -> AuthStatusResponse is AuthStatus;
    user_get(AuthUserGetRequest) -> AuthUserGetResponse is AuthUserGet;
    user_list(AuthUserListRequest) -> AuthUserListResponse is AuthUserList;
    user_delete(AuthUserDeleteRequest) -> AuthUserDeleteResponse is AuthUserDelete;
    user_grant_role(AuthUserGrantRoleRequest) -> AuthUserGrantRoleResponse is AuthUserGrantRole;
    user_revoke_role(AuthUserRevokeRoleRequest) -> AuthUserRevokeRoleResponse is AuthUserRevokeRole;
    role_add(AuthRoleAddRequest) -> AuthRoleAddResponse is AuthRoleAdd;
    role_get(AuthRoleGetRequest) -> AuthRoleGetResponse is AuthRoleGet;
    role_list(AuthRoleListRequest) -> AuthRoleListResponse is AuthRoleList;
    role_delete(AuthRoleDeleteRequest) -> AuthRoleDeleteResponse is AuthRoleDelete;
    role_grant_permission(AuthRoleGrantPermissionRequest) -> AuthRoleGrantPermissionResponse is AuthRoleGrantPermission;
    role_revoke_permission(AuthRoleRevokePermissionRequest) -> AuthRoleRevokePermissionResponse is AuthRoleRevokePermission;
}
