//! `defrag`

use crate::context::{Context, say};
use crate::exit::{Failure, Result};
use crate::go::format_duration;
use clap::Args;
use client::pb::etcdserverpb::DefragmentRequest;
use tokio::time::Instant;

#[derive(Args, Debug)]
pub struct Flags {
    #[arg(hide = true)]
    args: Vec<String>,
    /// all members, not only the endpoints given
    #[arg(long)]
    cluster: bool,
}

pub async fn run(context: &Context, flags: Flags) -> Result {
    let mut failed = false;
    for endpoint in context.endpoints(flags.cluster).await? {
        let client = context.client_at(&endpoint).await?;
        let begin = Instant::now();
        let result = client.defragment(DefragmentRequest {}).await;
        let took = format_duration(begin.elapsed());
        match result {
            Ok(_) => say(format!(
                "Finished defragmenting etcd member[{endpoint}]. took {took}"
            ))?,
            Err(error) => {
                eprintln!("Failed to defragment etcd member[{endpoint}]. took {took}. ({error})");
                failed = true;
            }
        }
    }
    match failed {
        true => Err(Failure::silent(1)),
        false => Ok(()),
    }
}
