//! `user`

use super::{none, single};
use crate::context::{Context, ask_password, say};
use crate::exit::{Failure, Result};
use crate::print::Report;
use clap::{ArgAction, Subcommand};
use client::pb::authpb::UserAddOptions;
use client::pb::etcdserverpb::{
    AuthRoleGetRequest, AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest,
    AuthUserGetRequest, AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest,
};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Add a user, given as name or name:password
    Add {
        args: Vec<String>,
        /// ask for the password on the terminal, not the standard input
        #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
        interactive: bool,
        /// the password
        #[arg(long, default_value = "", hide_default_value = true)]
        new_user_password: String,
        /// no password at all: the user comes with a certificate
        #[arg(long)]
        no_password: bool,
    },
    /// Remove a user
    Delete { args: Vec<String> },
    /// A user's roles
    Get {
        args: Vec<String>,
        /// the roles' permissions, too
        #[arg(long)]
        detail: bool,
    },
    /// All users
    List { args: Vec<String> },
    /// Set a user's password
    Passwd {
        args: Vec<String>,
        /// ask for the password on the terminal, not the standard input
        #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
        interactive: bool,
    },
    /// Give a user a role
    GrantRole { args: Vec<String> },
    /// Take a role from a user
    RevokeRole { args: Vec<String> },
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Add {
            args,
            interactive,
            new_user_password,
            no_password,
        } => {
            let user = single(&args, "user add command requires user name as its argument")?;
            let (name, password) = match user.split_once(':') {
                _ if no_password => (user.as_str(), String::new()),
                _ if !new_user_password.is_empty() => (user.as_str(), new_user_password),
                Some(("", _)) => return Err(Failure::arguments("empty user name is not allowed")),
                Some((name, password)) => (name, password.to_owned()),
                None => (user.as_str(), new_password(user, interactive)?),
            };
            let request = AuthUserAddRequest {
                name: name.to_owned(),
                password,
                options: Some(UserAddOptions { no_password }),
                ..Default::default()
            };
            let response = context.patient_client().await?.user_add(request).await?;
            context.print(Report::UserAdd(name, &response))
        }
        Command::Delete { args } => {
            let name = single(&args, "user delete command requires user name as its argument")?;
            let request = AuthUserDeleteRequest { name: name.clone() };
            let response = context.patient_client().await?.user_delete(request).await?;
            context.print(Report::UserDelete(name, &response))
        }
        Command::Get { args, detail } => {
            let name = single(&args, "user get command requires user name as its argument")?;
            get(context, name, detail).await
        }
        Command::List { args } => {
            none(&args, "user list command requires no arguments")?;
            let response = context
                .patient_client()
                .await?
                .user_list(AuthUserListRequest {})
                .await?;
            context.print(Report::UserList(&response))
        }
        Command::Passwd { args, interactive } => {
            let name = single(&args, "user passwd command requires user name as its argument")?;
            let request = AuthUserChangePasswordRequest {
                name: name.clone(),
                password: new_password(name, interactive)?,
                ..Default::default()
            };
            let response = context
                .patient_client()
                .await?
                .user_change_password(request)
                .await?;
            context.print(Report::UserChangePassword(&response))
        }
        Command::GrantRole { args } => {
            let usage = "user grant command requires user name and role name as its argument";
            let (user, role) = user_and_role(args, usage)?;
            let request = AuthUserGrantRoleRequest {
                user: user.clone(),
                role: role.clone(),
            };
            let response = context.patient_client().await?.user_grant_role(request).await?;
            context.print(Report::UserGrantRole(&user, &role, &response))
        }
        Command::RevokeRole { args } => {
            let usage = "user revoke-role requires user name and role name as its argument";
            let (user, role) = user_and_role(args, usage)?;
            let request = AuthUserRevokeRoleRequest {
                name: user.clone(),
                role: role.clone(),
            };
            let response = context.patient_client().await?.user_revoke_role(request).await?;
            context.print(Report::UserRevokeRole(&user, &role, &response))
        }
    }
}

async fn get(context: &Context, name: &str, detail: bool) -> Result {
    let client = context.patient_client().await?;
    let request = AuthUserGetRequest {
        name: name.to_owned(),
    };
    let response = client.user_get(request).await?;
    if !detail {
        return context.print(Report::UserGet(name, &response));
    }
    say(format!("User: {name}"))?;
    for role in &response.roles {
        say("")?;
        let request = AuthRoleGetRequest { role: role.clone() };
        let response = client.role_get(request).await?;
        context.print(Report::RoleGet(role, &response))?;
    }
    Ok(())
}

fn user_and_role(args: Vec<String>, usage: &str) -> Result<(String, String)> {
    match <[String; 2]>::try_from(args) {
        Ok([user, role]) => Ok((user, role)),
        Err(_) => Err(Failure::arguments(usage)),
    }
}

/// Asks twice on the terminal, or reads a word from the standard input.
fn new_password(name: &str, interactive: bool) -> Result<String> {
    if !interactive {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(Failure::io)?;
        return Ok(line.split_whitespace().next().unwrap_or_default().to_owned());
    }
    let password = ask_password(&format!("Password of {name}: "))?;
    if password.is_empty() {
        return Err(Failure::arguments("empty password"));
    }
    let again = ask_password(&format!("Type password of {name} again for confirmation: "))?;
    match password == again {
        true => Ok(password),
        false => Err(Failure::arguments("given passwords are different")),
    }
}
