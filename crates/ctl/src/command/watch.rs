//! `watch`: one watch, or with -i as many as are asked for on the standard input.

use super::txn::words;
use super::watch_args::{Sources, WatchArgs, resolve};
use super::{key_range, to_bytes};
use crate::context::{Context, revision, say, write_out};
use crate::exit::{Failure, Result};
use crate::go::quote;
use crate::print::{Printer, Report};
use bytes::Bytes;
use clap::{Args, FromArgMatches};
use client::pb::etcdserverpb::{WatchCreateRequest, WatchResponse};
use client::{Client, Watcher, kv};
use std::ffi::OsString;
use std::io::BufRead;
use std::os::unix::ffi::OsStringExt;
use tokio::process;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[derive(Args, Debug)]
pub struct Flags {
    /// key, and end of the range
    args: Vec<OsString>,
    /// program to run for each event, and its arguments
    #[arg(last = true)]
    command: Vec<OsString>,
    /// read requests from the standard input: watch with arguments, progress
    #[arg(short, long)]
    interactive: bool,
    /// all keys that begin with the key
    #[arg(long)]
    prefix: bool,
    /// revision to begin at; 0 for now
    #[arg(long, default_value_t = 0)]
    rev: i64,
    /// show the version before, too
    #[arg(long)]
    prev_kv: bool,
    /// hear from time to time that nothing happened
    #[arg(long)]
    progress_notify: bool,
}

pub async fn run(context: &Context, flags: Flags) -> Result {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let env = (variable("ETCDCTL_WATCH_KEY"), variable("ETCDCTL_WATCH_RANGE_END"));
    if let (None, Some(range_end)) = &env {
        let message = format!(
            "ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={}",
            quote(range_end.as_encoded_bytes())
        );
        return Err(Failure::arguments(message));
    }
    if flags.interactive {
        return interactive(context, env).await;
    }
    // A separator with nothing after it leaves no trace in what was parsed.
    let separated = std::env::args_os().any(|arg| arg == "--");
    let what = resolve(flags.sources(separated, env))?;
    let request = flags.request(&what)?;
    let client = context.patient_client().await?;
    follow(client.watch(request), context.printer, what.command, None).await?;
    Err(Failure::interrupted("watch is canceled by the server"))
}

type Environment = (Option<OsString>, Option<OsString>);

impl Flags {
    fn sources(&self, separated: bool, (env_key, env_range_end): Environment) -> Sources {
        Sources {
            args: self.args.clone(),
            command: separated.then(|| self.command.clone()),
            env_key,
            env_range_end,
        }
    }

    fn request(&self, what: &WatchArgs) -> Result<WatchCreateRequest> {
        if self.prefix && what.range_end.is_some() {
            return Err(Failure::arguments(
                "`range_end` and `--prefix` are mutually exclusive",
            ));
        }
        let (key, range_end) = match &what.range_end {
            Some(end) => (to_bytes(&what.key), to_bytes(end)),
            None => key_range(&what.key, None, self.prefix, false)?,
        };
        Ok(WatchCreateRequest {
            key,
            range_end,
            start_revision: self.rev,
            prev_kv: self.prev_kv,
            progress_notify: self.progress_notify,
            ..Default::default()
        })
    }
}

/// Shows responses until the server ends the watch.
async fn follow(
    mut watcher: Watcher,
    printer: Printer,
    command: Vec<OsString>,
    mut asked: Option<mpsc::Receiver<()>>,
) -> Result {
    loop {
        let next = tokio::select! {
            next = watcher.next() => next,
            Some(()) = async {
                match &mut asked {
                    Some(asked) => asked.recv().await,
                    None => std::future::pending().await,
                }
            } => {
                watcher.request_progress().await;
                continue;
            }
        };
        match next {
            Ok(response) if response.created => {}
            Ok(response) => {
                if response.events.is_empty() {
                    say(format!("progress notify: {}", revision(&response.header)))?;
                }
                write_out(&printer.render(&Report::Watch(&response))?)?;
                if !command.is_empty() {
                    run_for_events(&command, &response).await?;
                }
            }
            Err(error) => {
                eprintln!("watch was canceled ({error})");
                if let client::Error::WatchEnded(response) = error {
                    write_out(&printer.render(&Report::Watch(&response))?)?;
                }
                return Ok(());
            }
        }
    }
}

async fn run_for_events(command: &[OsString], response: &WatchResponse) -> Result {
    for event in &response.events {
        let event = kv::event(event)?;
        let status = process::Command::new(&command[0])
            .args(&command[1..])
            .env("ETCD_WATCH_REVISION", revision(&response.header).to_string())
            .env(
                "ETCD_WATCH_EVENT_TYPE",
                quote(event.kind.as_str_name().as_bytes()),
            )
            .env("ETCD_WATCH_KEY", quote(&event.kv.key))
            .env("ETCD_WATCH_VALUE", quote(&event.kv.value))
            .status()
            .await;
        let problem = match status {
            Ok(status) if status.success() => continue,
            Ok(status) => super::lock::status_text(status),
            Err(error) => error.to_string(),
        };
        let words: Vec<_> = command
            .iter()
            .map(|word| quote(word.as_encoded_bytes()))
            .collect();
        eprintln!("command [{}] error ({problem})", words.join(" "));
        return Err(Failure::silent(1));
    }
    Ok(())
}

async fn interactive(context: &Context, env: Environment) -> Result {
    let client = context.patient_client().await?;
    let mut lines = lines();
    let mut watches = JoinSet::new();
    let mut askers: Vec<mpsc::Sender<()>> = Vec::new();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            // Only a failure ends the program: a watch that the server ended has said so.
            Some(Ok(Err(failure))) = watches.join_next() => return Err(failure),
        };
        let Some(line) = line else {
            return Err(Failure::input("error reading watch request line: EOF"));
        };
        let words = words(&String::from_utf8_lossy(&line))?;
        let text = String::from_utf8_lossy(&line);
        match words.first().map(Vec::as_slice) {
            None => eprintln!("Invalid command: {text} (watch and progress supported)"),
            Some(b"watch") if words.len() < 2 && env.0.is_none() => {
                eprintln!("Invalid command {text} (command type or key is not provided)");
            }
            Some(b"watch") => {
                let (watcher, command) = match start(&client, &words, env.clone())? {
                    Ok(started) => started,
                    Err(reason) => {
                        eprintln!("Invalid command {text} ({reason})");
                        continue;
                    }
                };
                let (asker, asked) = mpsc::channel(16);
                askers.push(asker);
                watches.spawn(follow(watcher, context.printer, command, Some(asked)));
            }
            Some(b"progress") => {
                askers.retain(|asker| !asker.is_closed());
                for asker in &askers {
                    // A watch that is sixteen requests behind will report soon enough.
                    _ = asker.try_send(());
                }
            }
            Some(_) => eprintln!("Invalid command {text} (only support watch)"),
        }
    }
}

/// A watch asked for on a line; the inner error is for the user, who may try again.
fn start(
    client: &Client,
    words: &[Vec<u8>],
    env: Environment,
) -> Result<std::result::Result<(Watcher, Vec<OsString>), String>> {
    let words: Vec<OsString> = words.iter().cloned().map(OsString::from_vec).collect();
    let separated = words.iter().any(|word| word == "--");
    let grammar = crate::grammar::adapt(Flags::augment_args(clap::Command::new("watch")));
    let flags = grammar
        .try_get_matches_from(&words)
        .and_then(|matches| Flags::from_arg_matches(&matches))
        .map_err(|error| Failure::arguments(error.to_string().trim_start_matches("error: ").trim_end()))?;
    let what = resolve(flags.sources(separated, env))?;
    match flags.request(&what) {
        Ok(request) => Ok(Ok((client.watch(request), what.command))),
        Err(failure) => Ok(Err(failure.message.unwrap_or_default())),
    }
}

/// Lines of the standard input, read on a thread of its own since such a read cannot be interrupted.
fn lines() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match stdin.read_until(b'\n', &mut line) {
                Ok(_) if line.pop() == Some(b'\n') => {}
                _ => return,
            }
            if sender.blocking_send(line.into()).is_err() {
                return;
            }
        }
    });
    receiver
}
