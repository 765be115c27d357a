//! `alarm`

use super::none;
use crate::context::Context;
use crate::exit::Result;
use crate::print::Report;
use clap::Subcommand;
use client::Client;
use client::pb::etcdserverpb::alarm_request::AlarmAction;
use client::pb::etcdserverpb::{AlarmMember, AlarmRequest, AlarmResponse};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Clear all alarms
    Disarm { args: Vec<String> },
    /// All alarms
    List { args: Vec<String> },
}

pub async fn run(context: &Context, command: Command) -> Result {
    let response = match command {
        Command::Disarm { args } => {
            none(&args, "alarm disarm command accepts no arguments")?;
            disarm(&context.client().await?).await?
        }
        Command::List { args } => {
            none(&args, "alarm list command accepts no arguments")?;
            list(&context.client().await?).await?
        }
    };
    context.print(Report::Alarm(&response))
}

pub(super) async fn list(client: &Client) -> client::Result<AlarmResponse> {
    client.alarm(AlarmRequest::default()).await
}

/// Clears what is raised, one after the other; the answer has all that were cleared.
async fn disarm(client: &Client) -> client::Result<AlarmResponse> {
    let mut cleared = AlarmResponse::default();
    for AlarmMember { member_id, alarm } in list(client).await?.alarms {
        let request = AlarmRequest {
            action: AlarmAction::Deactivate as i32,
            member_id,
            alarm,
        };
        cleared.alarms.extend(client.alarm(request).await?.alarms);
    }
    Ok(cleared)
}
