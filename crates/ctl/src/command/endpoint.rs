//! `endpoint`: each endpoint asked for itself.

use super::alarm;
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::{Format, Health, Report};
use clap::{Args, Subcommand};
use client::pb::etcdserverpb::{AlarmType, HashKvRequest, RangeRequest, StatusRequest};
use tokio::time::Instant;

#[derive(Args, Debug)]
#[command(infer_subcommands = true)]
pub struct Flags {
    /// all members, not only the endpoints given
    #[arg(long, global = true)]
    cluster: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Whether the endpoint can commit
    Health {
        #[arg(hide = true)]
        args: Vec<String>,
    },
    /// What the endpoint is and how far it has come
    Status {
        #[arg(hide = true)]
        args: Vec<String>,
    },
    /// Hash of all keys and their history
    Hashkv {
        #[arg(hide = true)]
        args: Vec<String>,
        /// revision up to which to hash; 0 for all
        #[arg(long, default_value_t = 0)]
        rev: i64,
    },
}

pub async fn run(context: &Context, flags: Flags) -> Result {
    let endpoints = context.endpoints(flags.cluster).await?;
    match flags.command {
        Command::Health { .. } => health(context, endpoints).await,
        Command::Status { .. } => status(context, endpoints).await,
        Command::Hashkv { rev, .. } => hash_kv(context, endpoints, rev).await,
    }
}

async fn health(context: &Context, endpoints: Vec<String>) -> Result {
    let checks = endpoints.into_iter().map(|endpoint| check(context, endpoint));
    let found = futures::future::join_all(checks).await;
    context.print(Report::Health(&found))?;
    let unhealthy = found.iter().filter(|health| !health.error.is_empty());
    if context.printer.format == Format::Simple {
        for health in unhealthy.clone() {
            eprintln!(
                "{} is unhealthy: failed to commit proposal: {}",
                health.endpoint, health.error
            );
        }
    }
    match unhealthy.count() {
        0 => Ok(()),
        _ => Err(Failure::error("unhealthy cluster")),
    }
}

/// Reads a key, which needs a quorum, and looks for alarms.
async fn check(context: &Context, endpoint: String) -> Health {
    let client = match context.client_at(&endpoint).await {
        Ok(client) => client,
        Err(failure) => {
            return Health {
                endpoint,
                took: None,
                error: failure.message.unwrap_or_default(),
            };
        }
    };
    let begin = Instant::now();
    let request = RangeRequest {
        key: "health".into(),
        ..Default::default()
    };
    let answer = client.range(request).await;
    let took = Some(begin.elapsed());
    let error = match answer {
        // Who may not read the key has been told so after the quorum had agreed.
        Err(error) if !error.is(model::Rejection::PermissionDenied) => error.to_string(),
        _ => match alarm::list(&client).await {
            Err(_) => "Unable to fetch the alarm list".to_owned(),
            Ok(response) if response.alarms.is_empty() => String::new(),
            Ok(response) => {
                let name = |alarm: &client::pb::etcdserverpb::AlarmMember| match alarm.alarm() {
                    AlarmType::Nospace => "NOSPACE ",
                    AlarmType::Corrupt => "CORRUPT ",
                    AlarmType::None => "UNKNOWN ",
                };
                let names: String = response.alarms.iter().map(name).collect();
                format!("Active Alarm(s): {names}")
            }
        },
    };
    Health {
        endpoint,
        took,
        error,
    }
}

async fn status(context: &Context, endpoints: Vec<String>) -> Result {
    let mut found = Vec::new();
    let mut failed = false;
    for endpoint in endpoints {
        let client = context.client_at(&endpoint).await?;
        match client.status(StatusRequest {}).await {
            Ok(status) => found.push((endpoint, status)),
            Err(error) => {
                eprintln!("Failed to get the status of endpoint {endpoint} ({error})");
                failed = true;
            }
        }
    }
    context.print(Report::Status(&found))?;
    match failed {
        true => Err(Failure::silent(1)),
        false => Ok(()),
    }
}

async fn hash_kv(context: &Context, endpoints: Vec<String>, revision: i64) -> Result {
    let mut found = Vec::new();
    let mut failure = Ok(());
    for endpoint in endpoints {
        let client = context.client_at(&endpoint).await?;
        match client.hash_kv(HashKvRequest { revision }).await {
            Ok(hash) => found.push((endpoint, hash)),
            Err(error) => {
                eprintln!("Failed to get the hash of endpoint {endpoint} ({error})");
                failure = Err(error.into());
            }
        }
    }
    context.print(Report::HashKv(&found))?;
    failure
}
