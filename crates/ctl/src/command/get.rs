//! `get`

use super::{is_serializable, key_range};
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::{Format, Printer, Report};
use clap::Args;
use client::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use client::pb::etcdserverpb::{RangeRequest, RangeResponse};
use futures::StreamExt;
use std::ffi::OsString;

#[derive(Args, Debug)]
pub struct Flags {
    /// key, and end of the range
    args: Vec<OsString>,
    /// linearizable (l) or serializable (s)
    #[arg(long, default_value = "l")]
    consistency: String,
    /// ASCEND or DESCEND
    #[arg(long, default_value = "", hide_default_value = true)]
    order: String,
    /// CREATE, KEY, MODIFY, VALUE or VERSION
    #[arg(long, default_value = "", hide_default_value = true)]
    sort_by: String,
    /// most results; 0 for all
    #[arg(long, default_value_t = 0)]
    limit: i64,
    /// all keys that begin with the key
    #[arg(long)]
    prefix: bool,
    /// all keys from the key on
    #[arg(long)]
    from_key: bool,
    /// revision to read at; 0 for the newest
    #[arg(long, default_value_t = 0)]
    rev: i64,
    /// leave out values
    #[arg(long)]
    keys_only: bool,
    /// only how many there are, with --write-out=fields
    #[arg(long)]
    count_only: bool,
    /// leave out keys, with --write-out=simple
    #[arg(long)]
    print_value_only: bool,
    /// oldest creation
    #[arg(long, default_value_t = 0)]
    min_create_rev: i64,
    /// newest creation; 0 for any
    #[arg(long, default_value_t = 0)]
    max_create_rev: i64,
    /// oldest modification
    #[arg(long, default_value_t = 0)]
    min_mod_rev: i64,
    /// newest modification; 0 for any
    #[arg(long, default_value_t = 0)]
    max_mod_rev: i64,
    /// receive the answer in chunks
    #[arg(long)]
    stream: bool,
}

pub async fn run(context: &Context, flags: Flags) -> Result {
    let request = flags.request()?;
    let client = context.client().await?;
    let response = match flags.stream {
        false => client.range(request).await?,
        true => {
            let streamed = streamed(&client, request);
            tokio::time::timeout(context.timeout, streamed)
                .await
                .unwrap_or(Err(client::Error::Timeout.into()))?
        }
    };
    if flags.count_only && context.printer.format != Format::Fields {
        return Err(Failure::arguments(
            "--count-only is only for `--write-out=fields`",
        ));
    }
    if flags.print_value_only && context.printer.format != Format::Simple {
        return Err(Failure::arguments(
            "print-value-only is only for `--write-out=simple`",
        ));
    }
    let printer = Printer {
        value_only: flags.print_value_only,
        ..context.printer
    };
    crate::context::write_out(&printer.render(&Report::Get(&response))?)
}

async fn streamed(client: &client::Client, request: RangeRequest) -> Result<RangeResponse> {
    let mut stream = client.range_stream(request).await?;
    let mut whole = RangeResponse::default();
    while let Some(part) = stream.next().await {
        let part = part.map_err(client::Error::from)?;
        let Some(part) = part.range_response else {
            continue;
        };
        whole.header = part.header.or(whole.header);
        whole.kvs.extend(part.kvs);
        whole.more |= part.more;
        whole.count = whole.count.max(part.count);
    }
    Ok(whole)
}

impl Flags {
    /// What the flags ask for.
    pub fn request(&self) -> Result<RangeRequest> {
        let Some(key) = self.args.first() else {
            return Err(Failure::arguments(
                "get command needs one argument as key and an optional argument as range_end",
            ));
        };
        let exclusive = |one: &str, other: &str| {
            let message = format!("`{one}` and `{other}` cannot be set at the same time, choose one");
            Err(Failure::arguments(message))
        };
        if self.prefix && self.from_key {
            return exclusive("--prefix", "--from-key");
        }
        if self.keys_only && self.count_only {
            return exclusive("--keys-only", "--count-only");
        }
        let serializable = is_serializable(&self.consistency)?;
        let (key, range_end) = key_range(key, self.args.get(1), self.prefix, self.from_key)?;
        let sort_order = match &*self.order.to_uppercase() {
            "" => SortOrder::None,
            "ASCEND" => SortOrder::Ascend,
            "DESCEND" => SortOrder::Descend,
            _ => return Err(Failure::feature(format!("bad sort order {}", self.order))),
        };
        let sort_target = match &*self.sort_by.to_uppercase() {
            "" | "KEY" => SortTarget::Key,
            "CREATE" => SortTarget::Create,
            "MODIFY" => SortTarget::Mod,
            "VALUE" => SortTarget::Value,
            "VERSION" => SortTarget::Version,
            _ => return Err(Failure::feature(format!("bad sort target {}", self.sort_by))),
        };
        // Ascending by key is how keys come anyway; asking for it would only keep the server from streaming.
        let sort_order = match (sort_target, sort_order) {
            (SortTarget::Key, SortOrder::Ascend) => SortOrder::None,
            _ => sort_order,
        };
        let bounds = |name: &str, min: i64, max: i64| {
            if max > 0 && min > max {
                let message = format!("getMin{name}Rev(={min}) > getMax{name}Rev(={max})");
                return Err(Failure::feature(message));
            }
            Ok((min.max(0), max.max(0)))
        };
        let (min_create_revision, max_create_revision) =
            bounds("Create", self.min_create_rev, self.max_create_rev)?;
        let (min_mod_revision, max_mod_revision) = bounds("Mod", self.min_mod_rev, self.max_mod_rev)?;
        Ok(RangeRequest {
            key,
            range_end,
            limit: self.limit,
            revision: self.rev.max(0),
            sort_order: sort_order as i32,
            sort_target: sort_target as i32,
            serializable,
            keys_only: self.keys_only,
            count_only: self.count_only,
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
        })
    }
}
