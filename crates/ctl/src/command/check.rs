//! `check`: what the two measurements have in common.

use super::{check_datascale, check_perf};
use crate::context::{Context, revision, say};
use crate::exit::{Failure, Result};
use crate::go::quote;
use bytes::Bytes;
use clap::Subcommand;
use client::Client;
use client::kv::prefix_end;
use client::pb::etcdserverpb::{CompactionRequest, DefragmentRequest, DeleteRangeRequest, RangeRequest};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Write for a minute, and judge throughput and latency
    Perf(check_perf::Flags),
    /// Write many keys, and see how much memory the endpoint takes for them
    Datascale(check_datascale::Flags),
}

pub async fn run(context: &Context, command: Command) -> Result {
    match command {
        Command::Perf(flags) => check_perf::run(context, flags).await,
        Command::Datascale(flags) => check_datascale::run(context, flags).await,
    }
}

/// Refuses a prefix under which there are keys: they would be deleted in the end.
pub(super) async fn is_unused(client: &Client, prefix: &Bytes) -> Result {
    let request = RangeRequest {
        key: prefix.clone(),
        range_end: prefix_end(prefix),
        limit: 1,
        ..Default::default()
    };
    if client.range(request).await?.kvs.is_empty() {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(prefix);
    Err(Failure::input(format!(
        "prefix {} has keys. Delete with 'etcdctl del --prefix {shown}' first",
        quote(prefix)
    )))
}

/// Deletes the keys, and what of their history the flags say.
pub(super) async fn clean_up(client: &Client, prefix: &Bytes, compact: bool, defragment: bool) -> Result {
    let request = DeleteRangeRequest {
        key: prefix.clone(),
        range_end: prefix_end(prefix),
        prev_kv: false,
    };
    let deleted = match client.delete_range(request).await {
        Ok(deleted) => revision(&deleted.header),
        Err(error) => {
            return say(format!(
                "FAIL: Cleanup failed during key deletion: ERROR({error})"
            ));
        }
    };
    if compact {
        say(format!("Compacting with revision {deleted}"))?;
        let request = CompactionRequest {
            revision: deleted,
            physical: true,
        };
        client.compact(request).await?;
        say(format!("Compacted with revision {deleted}"))?;
    }
    if defragment {
        for endpoint in client.endpoints() {
            say(format!("Defragmenting {}", quote(endpoint.as_bytes())))?;
            client.defragment(DefragmentRequest {}).await?;
            say(format!("Defragmented {}", quote(endpoint.as_bytes())))?;
        }
    }
    Ok(())
}

/// A key that is as good as unique, of a given length after the prefix.
pub(super) fn key(prefix: &Bytes, number: u32, len: usize) -> Bytes {
    // Any spread will do.
    let spread = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut key = prefix.to_vec();
    key.extend_from_slice(format!("{spread:0len$x}").as_bytes());
    key.into()
}

/// Says how often each error came.
pub(super) fn report_errors(mut errors: Vec<String>) -> Result {
    say("FAIL: too many errors")?;
    errors.sort();
    for same in errors.chunk_by(|one, other| one == other) {
        say(format!("FAIL: ERROR({}) -> {}", same[0], same.len()))?;
    }
    Ok(())
}
