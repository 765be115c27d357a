//! `auth`

use super::none;
use crate::context::{Context, say};
use crate::exit::Result;
use crate::print::Report;
use clap::Subcommand;
use client::Client;
use client::pb::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthStatusRequest, AuthUserGrantRoleRequest,
};
use model::Rejection;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Turn authentication on
    Enable { args: Vec<String> },
    /// Turn authentication off
    Disable { args: Vec<String> },
    /// Whether authentication is on
    Status { args: Vec<String> },
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Enable { args } => {
            none(&args, "auth enable command does not accept any arguments")?;
            enable(&context.client().await?).await?;
            say("Authentication Enabled")
        }
        Command::Disable { args } => {
            none(&args, "auth disable command does not accept any arguments")?;
            context
                .client()
                .await?
                .auth_disable(AuthDisableRequest {})
                .await?;
            say("Authentication Disabled")
        }
        Command::Status { args } => {
            none(&args, "auth status command does not accept any arguments")?;
            let response = context.client().await?.auth_status(AuthStatusRequest {}).await?;
            context.print(Report::AuthStatus(&response))
        }
    }
}

/// Gives the user root the role root if that is all that is missing.
async fn enable(client: &Client) -> client::Result<()> {
    match client.auth_enable(AuthEnableRequest {}).await {
        Err(error) if error.is(Rejection::RootRoleNotGranted) => {}
        other => return other.map(|_| ()),
    }
    let role = AuthRoleAddRequest { name: "root".into() };
    client.role_add(role).await?;
    let grant = AuthUserGrantRoleRequest {
        user: "root".into(),
        role: "root".into(),
    };
    client.user_grant_role(grant).await?;
    client.auth_enable(AuthEnableRequest {}).await.map(|_| ())
}
