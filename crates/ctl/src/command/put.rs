//! `put`

use super::{number_error, to_bytes};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::Report;
use bytes::Bytes;
use clap::Args;
use client::pb::etcdserverpb::PutRequest;
use std::ffi::OsString;
use std::io::Read;

/// The value is read from the standard input if it is not given. Where it begins with a hyphen, write `--` before it.
#[derive(Args, Debug)]
pub struct Flags {
    /// key and value
    args: Vec<OsString>,
    /// lease to attach the key to, in hexadecimal
    #[arg(long, default_value = "0")]
    lease: String,
    /// show the version before
    #[arg(long)]
    prev_kv: bool,
    /// keep the value
    #[arg(long)]
    ignore_value: bool,
    /// keep the lease
    #[arg(long)]
    ignore_lease: bool,
}

pub async fn run(context: &Context, flags: Flags) -> Result {
    let request = flags.request()?;
    let response = context.client().await?.put(request).await?;
    context.print(Report::Put(&response))
}

impl Flags {
    /// What the flags ask for; may read the standard input.
    pub fn request(&self) -> Result<PutRequest> {
        const USAGE: &str = "put command needs 1 argument and input from stdin or 2 arguments";
        let Some(key) = self.args.first() else {
            return Err(Failure::arguments(USAGE));
        };
        let value = match self.args.get(1) {
            Some(_) if self.ignore_value => {
                let message = "put command needs only 1 argument when 'ignore-value' is set";
                return Err(Failure::arguments(message));
            }
            Some(value) => to_bytes(value),
            None if self.ignore_value => Bytes::new(),
            None => {
                let mut value = Vec::new();
                let read = std::io::stdin().read_to_end(&mut value);
                if read.is_err() || value.is_empty() {
                    return Err(Failure::arguments(USAGE));
                }
                value.into()
            }
        };
        let lease = i64::from_str_radix(&self.lease, 16).map_err(|error| {
            let reason = number_error("ParseInt", &self.lease, error.kind());
            Failure::arguments(format!("bad lease ID ({reason}), expecting ID in Hex"))
        })?;
        Ok(PutRequest {
            key: to_bytes(key),
            value,
            lease,
            prev_kv: self.prev_kv,
            ignore_value: self.ignore_value,
            ignore_lease: self.ignore_lease,
        })
    }
}
