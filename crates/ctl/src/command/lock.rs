//! `lock`

use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::go::io_error;
use crate::print::Report;
use clap::Args;
use client::pb::etcdserverpb::RangeRequest;
use client::{Mutex, Session};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Args, Debug)]
pub struct Flags {
    /// name of the lock, and a program to run while it is held
    args: Vec<String>,
    /// seconds after which the lock is free if we are gone
    #[arg(long, default_value_t = 10)]
    ttl: i64,
}

pub async fn run(context: &Context, flags: Flags) -> Result {
    let Some((name, command)) = flags.args.split_first() else {
        return Err(Failure::arguments(
            "lock takes a lock name argument and an optional command to execute",
        ));
    };
    let client = context.patient_client().await?;
    // etcdctl goes on with the session's own default here.
    let ttl = if flags.ttl > 0 { flags.ttl } else { 60 };
    let session = Session::begin(&client, ttl).await?;
    let mutex = tokio::select! {
        mutex = Mutex::lock(&session, name) => mutex?,
        signal = interrupted() => {
            signal?;
            // Our place in the queue goes with the lease.
            session.close().await?;
            return Err(Failure::error("context canceled"));
        }
    };
    if let Some((program, arguments)) = command.split_first() {
        let status = tokio::process::Command::new(program)
            .args(arguments)
            .env("ETCD_LOCK_KEY", OsStr::from_bytes(mutex.key()))
            .env("ETCD_LOCK_REV", mutex.revision().to_string())
            .status()
            .await;
        let unlocked = mutex.unlock().await;
        let status = status.map_err(|error| match program.contains('/') {
            true => Failure::error(format!("fork/exec {program}: {}", io_error(&error))),
            false => Failure::error(format!("exec: {program:?}: executable file not found in $PATH")),
        })?;
        return match status.code() {
            Some(0) => Ok(unlocked?),
            code => Err(Failure::with_code(
                code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
                status_text(status),
            )),
        };
    }
    let request = RangeRequest {
        key: mutex.key().clone(),
        ..Default::default()
    };
    let response = client.range(request).await?;
    if response.kvs.is_empty() {
        return Err(Failure::error("lock lost on init"));
    }
    context.print(Report::Get(&response))?;
    tokio::select! {
        signal = interrupted() => {
            signal?;
            Ok(mutex.unlock().await?)
        }
        () = session.expired() => Err(Failure::error("session expired")),
    }
}

/// Waits for a signal to end.
pub(super) async fn interrupted() -> Result {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::io)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::io)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Go's words for how a program ended.
pub(super) fn status_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => "unknown status".to_owned(),
    }
}
