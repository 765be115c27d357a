//! `compaction`

use super::{number_error, single};
use crate::context::{Context, say};
use crate::exit::{Failure, Result};
use clap::Args;
use client::pb::etcdserverpb::CompactionRequest;

#[derive(Args, Debug)]
pub struct Flags {
    /// oldest revision to keep
    args: Vec<String>,
    /// wait until the space is free
    #[arg(long)]
    physical: bool,
}

pub async fn run(context: &Context, flags: Flags) -> Result {
    let revision = single(&flags.args, "compaction command needs 1 argument")?;
    let revision: i64 = revision.parse().map_err(|error: std::num::ParseIntError| {
        Failure::error(number_error("ParseInt", revision, error.kind()))
    })?;
    let request = CompactionRequest {
        revision,
        physical: flags.physical,
    };
    context.client().await?.compact(request).await?;
    say(format!("compacted revision {revision}"))
}
