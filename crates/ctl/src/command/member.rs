//! `member`

use super::{is_serializable, member_id, single};
use crate::context::{Context, say};
use crate::exit::{Failure, Result};
use crate::go::quote;
use crate::print::{Format, Report};
use clap::Subcommand;
use client::pb::etcdserverpb::{
    MemberAddRequest, MemberAddResponse, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest,
};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Add a member
    Add {
        /// its name
        args: Vec<String>,
        /// its addresses for other members, separated by commas
        #[arg(long, default_value = "", hide_default_value = true)]
        peer_urls: String,
        /// it does not vote yet
        #[arg(long)]
        learner: bool,
    },
    /// Remove a member
    Remove { args: Vec<String> },
    /// Change a member's addresses
    Update {
        args: Vec<String>,
        /// its addresses for other members, separated by commas
        #[arg(long, default_value = "", hide_default_value = true)]
        peer_urls: String,
    },
    /// All members: id, status, name, peer addresses, client addresses, whether it is a learner
    List {
        #[arg(hide = true)]
        args: Vec<String>,
        /// linearizable (l) or serializable (s)
        #[arg(long, default_value = "l")]
        consistency: String,
    },
    /// Make a learner a voter
    Promote { args: Vec<String> },
}

const NO_ID: &str = "member ID is not provided";

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Add {
            args,
            peer_urls,
            learner,
        } => add(context, &args, &peer_urls, learner).await,
        Command::Remove { args } => {
            let id = member_id(single(&args, NO_ID)?)?;
            let response = context
                .client()
                .await?
                .member_remove(MemberRemoveRequest { id })
                .await?;
            context.print(Report::MemberRemove(id, &response))
        }
        Command::Update { args, peer_urls } => {
            let id = member_id(single(&args, NO_ID)?)?;
            let request = MemberUpdateRequest {
                id,
                peer_urls: urls(&peer_urls)?,
            };
            let response = context.client().await?.member_update(request).await?;
            context.print(Report::MemberUpdate(id, &response))
        }
        Command::List { consistency, .. } => {
            let request = MemberListRequest {
                linearizable: !is_serializable(&consistency)?,
            };
            let response = context.client().await?.member_list(request).await?;
            context.print(Report::MemberList(&response))
        }
        Command::Promote { args } => {
            let id = member_id(single(&args, NO_ID)?)?;
            let response = context
                .client()
                .await?
                .member_promote(MemberPromoteRequest { id })
                .await?;
            context.print(Report::MemberPromote(id, &response))
        }
    }
}

fn urls(flag: &str) -> Result<Vec<String>> {
    match flag {
        "" => Err(Failure::arguments("member peer urls not provided")),
        urls => Ok(urls.split(',').map(str::to_owned).collect()),
    }
}

async fn add(context: &Context, args: &[String], peer_urls: &str, is_learner: bool) -> Result {
    let name = match args {
        [] => return Err(Failure::arguments("member name not provided")),
        [name] => name,
        _ => {
            let urls = args.iter().filter(|arg| arg.to_lowercase().starts_with("http"));
            let hint: String = urls
                .map(|url| format!(", did you mean --peer-urls={url}"))
                .collect();
            return Err(Failure::arguments(format!("too many arguments{hint}")));
        }
    };
    let request = MemberAddRequest {
        peer_urls: urls(peer_urls)?,
        is_learner,
    };
    let response = context.client().await?.member_add(request).await?;
    context.print(Report::MemberAdd(&response))?;
    if context.printer.format == Format::Simple {
        say(format!("\nETCD_NAME={}", quote(name.as_bytes())))?;
        say(format!(
            "ETCD_INITIAL_CLUSTER={}",
            quote(initial_cluster(name, &response).as_bytes())
        ))?;
        say(format!(
            "ETCD_INITIAL_ADVERTISE_PEER_URLS={}",
            quote(peer_urls.as_bytes())
        ))?;
        say("ETCD_INITIAL_CLUSTER_STATE=\"existing\"")?;
    }
    Ok(())
}

/// How the new member is told of all members.
fn initial_cluster(name: &str, response: &MemberAddResponse) -> String {
    let new = response.member.as_ref().map_or(0, |member| member.id);
    let mut parts = Vec::new();
    for member in &response.members {
        let name = if member.id == new { name } else { &member.name };
        parts.extend(member.peer_urls.iter().map(|url| format!("{name}={url}")));
    }
    parts.join(",")
}
