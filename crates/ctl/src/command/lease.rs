//! `lease`

use super::{none, number_error, single};
use crate::context::{Context, say};
use crate::exit::{Failure, Result};
use crate::print::{Format, Report};
use clap::Subcommand;
use client::pb::etcdserverpb::{
    LeaseGrantRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest,
};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a lease of so many seconds
    Grant { args: Vec<String> },
    /// End a lease, and delete the keys that hang on it
    Revoke { args: Vec<String> },
    /// How long a lease still has
    Timetolive {
        args: Vec<String>,
        /// show the keys that hang on it
        #[arg(long)]
        keys: bool,
    },
    /// All leases
    List { args: Vec<String> },
    /// Renew a lease again and again
    KeepAlive {
        args: Vec<String>,
        /// renew it once
        #[arg(long)]
        once: bool,
    },
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Grant { args } => {
            let ttl = single(&args, "lease grant command needs TTL argument")?;
            let ttl = ttl.parse::<i64>().map_err(|error| {
                let reason = number_error("ParseInt", ttl, error.kind());
                Failure::arguments(format!("bad TTL ({reason})"))
            })?;
            let request = LeaseGrantRequest { ttl, id: 0 };
            let response = context.client().await?.lease_grant(request).await;
            let response =
                response.map_err(|error| Failure::error(format!("failed to grant lease ({error})")))?;
            context.print(Report::Grant(&response))
        }
        Command::Revoke { args } => {
            let id = lease_id(single(&args, "lease revoke command needs 1 argument")?)?;
            let response = context
                .client()
                .await?
                .lease_revoke(LeaseRevokeRequest { id })
                .await;
            let response =
                response.map_err(|error| Failure::error(format!("failed to revoke lease ({error})")))?;
            context.print(Report::Revoke(id, &response))
        }
        Command::Timetolive { args, keys } => {
            let id = single(&args, "lease timetolive command needs lease ID as argument")?;
            let request = LeaseTimeToLiveRequest {
                id: lease_id(id)?,
                keys,
            };
            let client = context.patient_client().await?;
            let response = client
                .lease_time_to_live(request)
                .await
                .map_err(Failure::connection)?;
            context.print(Report::TimeToLive(&response, keys))
        }
        Command::List { args } => {
            none(&args, "lease list command accepts no arguments")?;
            let client = context.patient_client().await?;
            let response = client
                .lease_leases(LeaseLeasesRequest {})
                .await
                .map_err(Failure::connection)?;
            context.print(Report::Leases(&response))
        }
        Command::KeepAlive { args, once } => {
            let id = lease_id(single(
                &args,
                "lease keep-alive command needs lease ID as argument",
            )?)?;
            keep_alive(context, id, once).await
        }
    }
}

async fn keep_alive(context: &Context, id: i64, once: bool) -> Result {
    let client = context.patient_client().await?;
    if once {
        let response = client.keep_alive_once(id).await.map_err(Failure::connection)?;
        if response.ttl <= 0 {
            return Err(Failure::connection("etcdserver: requested lease not found"));
        }
        return context.print(Report::KeepAlive(&response));
    }
    let mut renewals = client.keep_alive(id);
    while let Some(response) = renewals.next().await.map_err(Failure::connection)? {
        context.print(Report::KeepAlive(&response))?;
    }
    match context.printer.format {
        Format::Simple => say(format!("lease {id:016x} expired or revoked.")),
        _ => Ok(()),
    }
}

fn lease_id(text: &str) -> Result<i64> {
    i64::from_str_radix(text, 16).map_err(|error| {
        let reason = number_error("ParseInt", text, error.kind());
        Failure::arguments(format!("bad lease ID arg ({reason}), expecting ID in Hex"))
    })
}
