//! `make-mirror`

use super::single;
use crate::context::{Context, credentials, identity, revision, say};
use crate::exit::{Failure, Result};
use bytes::Bytes;
use clap::{ArgAction, Args};
use client::kv::{self, prefix_end};
use client::pb::etcdserverpb::request_op::Request;
use client::pb::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest,
};
use client::pb::mvccpb::event::EventType;
use client::{Client, Tls};
use std::cell::Cell;
use std::time::Duration;

#[derive(Args, Debug)]
pub struct Flags {
    /// endpoint of the other cluster
    args: Vec<String>,
    /// only keys that begin with this
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// only changes from this revision on; 0: all keys first
    #[arg(long, default_value_t = 0)]
    rev: i64,
    /// most operations in one transaction
    #[arg(long, default_value_t = 128)]
    max_txn_ops: usize,
    /// what the keys begin with there
    #[arg(long, default_value = "", hide_default_value = true)]
    dest_prefix: String,
    /// leave the prefix out there
    #[arg(long)]
    no_dest_prefix: bool,
    /// our TLS certificate for the other cluster
    #[arg(long, default_value = "", hide_default_value = true)]
    dest_cert: String,
    /// key of that certificate
    #[arg(long, default_value = "", hide_default_value = true)]
    dest_key: String,
    /// authorities that sign the other cluster's certificates
    #[arg(long, default_value = "", hide_default_value = true)]
    dest_cacert: String,
    /// do without TLS where nothing asks for it
    #[arg(long, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    dest_insecure_transport: bool,
    /// user, or user:password, at the other cluster
    #[arg(long, default_value = "", hide_default_value = true)]
    dest_user: String,
    /// password, if the user does not hold it
    #[arg(long, default_value = "", hide_default_value = true)]
    dest_password: String,
}

/// Keys read at a time.
const PAGE: i64 = 1000;
/// How often it says how many keys it has copied.
const REPORT: Duration = Duration::from_secs(30);

pub async fn run(context: &Context, flags: Flags) -> Result {
    let destination = single(&flags.args, "make-mirror takes one destination argument")?;
    if flags.no_dest_prefix && !flags.dest_prefix.is_empty() {
        return Err(Failure::arguments(
            "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one",
        ));
    }
    let identity = identity(&flags.dest_cert, &flags.dest_key)?;
    let secure = identity.is_some() || !flags.dest_cacert.is_empty() || !flags.dest_insecure_transport;
    let tls = secure.then(|| Tls {
        authorities: (!flags.dest_cacert.is_empty()).then(|| flags.dest_cacert.clone().into()),
        identity,
        ..Default::default()
    });
    let credentials = credentials(
        &flags.dest_user,
        &flags.dest_password,
        "",
        "Destination Password: ",
    )?;
    let to = context
        .client_with(|options| {
            options.endpoints = vec![destination.clone()];
            options.credentials = credentials;
            options.token = None;
            options.tls = tls;
        })
        .await?;
    let mirror = Mirror {
        from: context.patient_client().await?,
        to,
        prefix: flags.prefix.clone().into(),
        new_prefix: match (flags.no_dest_prefix, &*flags.dest_prefix) {
            (true, _) => Bytes::new(),
            // With a start revision etcdctl leaves the prefix out unless told otherwise; here it stays.
            (false, "") => flags.prefix.clone().into(),
            (false, new) => new.to_owned().into(),
        },
        ops_max: flags.max_txn_ops.max(1),
        total: Cell::new(0),
    };
    let reporting = async {
        loop {
            tokio::time::sleep(REPORT).await;
            if let Err(failure) = say(mirror.total.get()) {
                return failure;
            }
        }
    };
    tokio::select! {
        failure = reporting => Err(failure),
        result = mirror.run(flags.rev) => result,
    }
}

struct Mirror {
    from: Client,
    to: Client,
    prefix: Bytes,
    new_prefix: Bytes,
    ops_max: usize,
    total: Cell<u64>,
}

impl Mirror {
    async fn run(&self, start: i64) -> Result {
        let start = match start {
            // As etcdctl: the first revisions are as good as none given.
            ..=1 => self.copy().await? + 1,
            start => start,
        };
        let (key, range_end) = self.range();
        let mut watcher = self.from.watch(WatchCreateRequest {
            key,
            range_end,
            start_revision: start,
            ..Default::default()
        });
        loop {
            let response = watcher.next().await?;
            let mut ops = Vec::new();
            let mut last = 0;
            for event in &response.events {
                let event = kv::event(event)?;
                // A revision is copied as one, unless it is too large for a transaction.
                if event.kv.mod_revision != last || ops.len() >= self.ops_max {
                    self.execute(&mut ops).await?;
                }
                last = event.kv.mod_revision;
                ops.push(match event.kind {
                    EventType::Put => Request::RequestPut(self.put(&event.kv.key, event.kv.value)),
                    EventType::Delete => Request::RequestDeleteRange(DeleteRangeRequest {
                        key: self.rename(&event.kv.key),
                        ..Default::default()
                    }),
                });
            }
            self.execute(&mut ops).await?;
        }
    }

    /// Copies all keys as they are at one revision, and returns that.
    async fn copy(&self) -> Result<i64> {
        let (mut key, range_end) = self.range();
        let mut at = 0;
        loop {
            let page = self
                .from
                .range(RangeRequest {
                    key: key.clone(),
                    range_end: range_end.clone(),
                    limit: PAGE,
                    revision: at,
                    ..Default::default()
                })
                .await?;
            if at == 0 {
                at = revision(&page.header);
            }
            for found in kv::key_values(&page.kvs)? {
                key = [&found.key[..], &[0]].concat().into();
                self.to.put(self.put(&found.key, found.value)).await?;
                self.total.set(self.total.get() + 1);
            }
            if !page.more {
                return Ok(at);
            }
        }
    }

    fn range(&self) -> (Bytes, Bytes) {
        match self.prefix.is_empty() {
            true => (Bytes::from_static(&[0]), Bytes::from_static(&[0])),
            false => (self.prefix.clone(), prefix_end(&self.prefix)),
        }
    }

    fn rename(&self, key: &Bytes) -> Bytes {
        let rest = key.strip_prefix(&self.prefix[..]).unwrap_or(key);
        [&self.new_prefix[..], rest].concat().into()
    }

    fn put(&self, key: &Bytes, value: Bytes) -> PutRequest {
        PutRequest {
            key: self.rename(key),
            value,
            ..Default::default()
        }
    }

    async fn execute(&self, ops: &mut Vec<Request>) -> Result {
        if ops.is_empty() {
            return Ok(());
        }
        let op = |request| RequestOp {
            request: Some(request),
        };
        let count = ops.len() as u64;
        let request = TxnRequest {
            success: ops.drain(..).map(op).collect(),
            ..Default::default()
        };
        self.to.txn(request).await?;
        self.total.set(self.total.get() + count);
        Ok(())
    }
}
