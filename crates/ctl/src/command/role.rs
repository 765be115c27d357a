//! `role`

use super::{none, single};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::Report;
use bytes::Bytes;
use clap::{Args, Subcommand};
use client::kv::prefix_end;
use client::pb::authpb::Permission;
use client::pb::authpb::permission::Type;
use client::pb::etcdserverpb::{
    AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest, AuthRoleGrantPermissionRequest,
    AuthRoleListRequest, AuthRoleRevokePermissionRequest,
};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Add a role
    Add { args: Vec<String> },
    /// Remove a role
    Delete { args: Vec<String> },
    /// A role's permissions
    Get { args: Vec<String> },
    /// All roles
    List { args: Vec<String> },
    /// Give a role a permission: role, read, write or readwrite, key, end of the range
    GrantPermission(Range),
    /// Take a permission from a role: role, key, end of the range
    RevokePermission(Range),
}

#[derive(Args, Debug)]
pub struct Range {
    args: Vec<String>,
    /// all keys that begin with the key
    #[arg(long)]
    prefix: bool,
    /// all keys from the key on
    #[arg(long)]
    from_key: bool,
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Add { args } => {
            let role = single(&args, "role add command requires role name as its argument")?;
            let request = AuthRoleAddRequest { name: role.clone() };
            let response = context.patient_client().await?.role_add(request).await?;
            context.print(Report::RoleAdd(role, &response))
        }
        Command::Delete { args } => {
            let role = single(&args, "role delete command requires role name as its argument")?;
            let request = AuthRoleDeleteRequest { role: role.clone() };
            let response = context.patient_client().await?.role_delete(request).await?;
            context.print(Report::RoleDelete(role, &response))
        }
        Command::Get { args } => {
            let role = single(&args, "role get command requires role name as its argument")?;
            let request = AuthRoleGetRequest { role: role.clone() };
            let response = context.patient_client().await?.role_get(request).await?;
            context.print(Report::RoleGet(role, &response))
        }
        Command::List { args } => {
            none(&args, "role list command requires no arguments")?;
            let response = context
                .patient_client()
                .await?
                .role_list(AuthRoleListRequest {})
                .await?;
            context.print(Report::RoleList(&response))
        }
        Command::GrantPermission(flags) => {
            let [role, kind, keys @ ..] = &flags.args[..] else {
                return Err(Failure::arguments(GRANT_USAGE));
            };
            if keys.is_empty() {
                return Err(Failure::arguments(GRANT_USAGE));
            }
            let Some(kind) = Type::from_str_name(&kind.to_uppercase()) else {
                return Err(Failure::arguments(format!("invalid permission type: {kind}")));
            };
            let (key, range_end) = flags.range(keys)?;
            let request = AuthRoleGrantPermissionRequest {
                name: role.clone(),
                perm: Some(Permission {
                    perm_type: kind as i32,
                    key,
                    range_end,
                }),
            };
            let response = context
                .patient_client()
                .await?
                .role_grant_permission(request)
                .await?;
            context.print(Report::RoleGrantPermission(role, &response))
        }
        Command::RevokePermission(flags) => {
            let [role, keys @ ..] = &flags.args[..] else {
                return Err(Failure::arguments(REVOKE_USAGE));
            };
            let Some(shown) = keys.first() else {
                return Err(Failure::arguments(REVOKE_USAGE));
            };
            let (key, range_end) = flags.range(keys)?;
            let request = AuthRoleRevokePermissionRequest {
                role: role.clone(),
                key,
                range_end: range_end.clone(),
            };
            let response = context
                .patient_client()
                .await?
                .role_revoke_permission(request)
                .await?;
            context.print(Report::RoleRevokePermission(role, shown, &range_end, &response))
        }
    }
}

const GRANT_USAGE: &str =
    "role grant command requires role name, permission type, and key [endkey] as its argument";
const REVOKE_USAGE: &str =
    "role revoke-permission command requires role name and key [endkey] as its argument";

impl Range {
    /// The range that the last arguments and the flags name. An empty key stands for the first possible one.
    fn range(&self, keys: &[String]) -> Result<(Bytes, Bytes)> {
        if self.prefix && self.from_key {
            return Err(Failure::arguments(
                "--from-key and --prefix flags are mutually exclusive",
            ));
        }
        let everything = Bytes::from_static(&[0]);
        let key = Bytes::from(keys[0].clone());
        if key.is_empty() {
            let open = self.prefix || self.from_key;
            return Ok((everything.clone(), if open { everything } else { Bytes::new() }));
        }
        let unexpected = |flag: &str| {
            let message = format!("unexpected endkey argument with {flag} flag");
            Err(Failure::arguments(message))
        };
        let range_end = match keys.get(1) {
            Some(_) if self.prefix => return unexpected("--prefix"),
            Some(_) if self.from_key => return unexpected("--from-key"),
            Some(end) => end.clone().into(),
            None if self.prefix => prefix_end(&key),
            None if self.from_key => everything,
            None => Bytes::new(),
        };
        Ok((key, range_end))
    }
}
