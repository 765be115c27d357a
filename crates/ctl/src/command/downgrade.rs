//! `downgrade`

use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::Report;
use clap::Subcommand;
use client::pb::etcdserverpb::DowngradeRequest;
use client::pb::etcdserverpb::downgrade_request::DowngradeAction;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Whether the cluster can go to a version
    Validate { args: Vec<String> },
    /// Begin to go to a version
    Enable { args: Vec<String> },
    /// Stay at the version
    Cancel {
        #[arg(hide = true)]
        args: Vec<String>,
    },
}

pub async fn run(context: &Context, command: Command) -> Result {
    let (action, version) = match &command {
        Command::Validate { args } => (DowngradeAction::Validate, target(args)?),
        Command::Enable { args } => (DowngradeAction::Enable, target(args)?),
        Command::Cancel { .. } => (DowngradeAction::Cancel, String::new()),
    };
    let request = DowngradeRequest {
        action: action as i32,
        version,
    };
    let response = context.client().await?.downgrade(request).await?;
    context.print(match command {
        Command::Validate { .. } => Report::DowngradeValidate(&response),
        Command::Enable { .. } => Report::DowngradeEnable(&response),
        Command::Cancel { .. } => Report::DowngradeCancel(&response),
    })
}

fn target(args: &[String]) -> Result<String> {
    match args {
        [] => Err(Failure::arguments("TARGET_VERSION not provided")),
        [version] if version.is_empty() => Err(Failure::arguments("target version not provided")),
        [version] => Ok(version.clone()),
        _ => Err(Failure::arguments("too many arguments")),
    }
}
