//! `del`

use super::key_range;
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::go::quote;
use crate::print::Report;
use clap::Args;
use client::pb::etcdserverpb::DeleteRangeRequest;
use std::ffi::OsString;
use std::time::Duration;

#[derive(Args, Debug)]
pub struct Flags {
    /// key, and end of the range
    args: Vec<OsString>,
    /// all keys that begin with the key
    #[arg(long)]
    prefix: bool,
    /// show what is deleted
    #[arg(long)]
    prev_kv: bool,
    /// all keys from the key on
    #[arg(long)]
    from_key: bool,
    /// a range is meant, do not wait for second thoughts
    #[arg(long)]
    range: bool,
}

pub async fn run(context: &Context, flags: Flags) -> Result {
    let request = flags.request()?;
    if let ([key, end], false) = (&flags.args[..], flags.range) {
        eprintln!(
            "Warning: Keys between {} and {} will be deleted. Please interrupt the command within next 2 seconds to \
             cancel. You can provide `--range` flag to avoid the delay.",
            quote(key.as_encoded_bytes()),
            quote(end.as_encoded_bytes())
        );
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let response = context.client().await?.delete_range(request).await?;
    context.print(Report::Delete(&response))
}

impl Flags {
    /// What the flags ask for.
    pub fn request(&self) -> Result<DeleteRangeRequest> {
        if self.args.is_empty() || self.args.len() > 2 {
            return Err(Failure::arguments(
                "del command needs one argument as key and an optional argument as range_end",
            ));
        }
        if self.prefix && self.from_key {
            return Err(Failure::arguments(
                "`--prefix` and `--from-key` cannot be set at the same time, choose one",
            ));
        }
        let (key, range_end) = key_range(&self.args[0], self.args.get(1), self.prefix, self.from_key)?;
        Ok(DeleteRangeRequest {
            key,
            range_end,
            prev_kv: self.prev_kv,
        })
    }
}
