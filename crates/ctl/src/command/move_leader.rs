//! `move-leader`

use super::{number_error, single};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::Report;
use clap::Args;
use client::pb::etcdserverpb::{MoveLeaderRequest, StatusRequest};

#[derive(Args, Debug)]
pub struct Flags {
    /// id of the member that is to lead, in hexadecimal
    args: Vec<String>,
}

pub async fn run(context: &Context, flags: Flags) -> Result {
    let target = single(&flags.args, "move-leader command needs 1 argument")?;
    let target_id = u64::from_str_radix(target, 16)
        .map_err(|error| Failure::arguments(number_error("ParseUint", target, error.kind())))?;
    for endpoint in &context.endpoints {
        let client = context.client_at(endpoint).await?;
        let status = client.status(StatusRequest {}).await?;
        let member = status.header.map_or(0, |header| header.member_id);
        if member == status.leader {
            let response = client.move_leader(MoveLeaderRequest { target_id }).await?;
            return context.print(Report::MoveLeader(member, target_id, &response));
        }
    }
    Err(Failure::arguments(format!(
        "no leader endpoint given at [{}]",
        context.endpoints.join(" ")
    )))
}
