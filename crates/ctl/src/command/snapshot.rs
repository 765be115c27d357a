//! `snapshot save`

use super::single;
use crate::context::{Context, say};
use crate::exit::{Failure, Result};
use crate::go::{bytes, format_duration, io_error};
use crate::log;
use clap::Subcommand;
use futures::StreamExt;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tokio::time::Instant;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Copy the store of the endpoint into a file
    Save { args: Vec<String> },
}

/// Bytes of the checksum at the end of a copy; what is before it comes in multiples of a disk sector.
const CHECKSUM_LEN: u64 = 32;
const SECTOR_LEN: u64 = 512;

pub async fn run(context: &Context, Command::Save { args }: Command) -> Result {
    let path = single(&args, "snapshot save expects one argument <filename>")?;
    if context.endpoints.len() != 1 {
        return Err(Failure::interrupted(format!(
            "snapshot must be requested to one selected node, not multiple [{}]",
            context.endpoints.join(" ")
        )));
    }
    let part = format!("{path}.part");
    let saving = save(context, path, &part);
    let saved = match context.timeout_given {
        false => saving.await,
        true => tokio::time::timeout(context.timeout, saving)
            .await
            .unwrap_or(Err("context deadline exceeded".to_owned())),
    };
    if saved.is_err() {
        // What is left of a failed attempt is of no use, and may never have come to be.
        _ = std::fs::remove_file(&part);
    }
    let version = saved.map_err(Failure::interrupted)?;
    say(format!("Snapshot saved at {path}"))?;
    match &*version {
        "" => Ok(()),
        version => say(format!("Server version {version}")),
    }
}

/// Receives into a file beside the target, and puts it in place once it is whole and on disk.
async fn save(context: &Context, path: &str, part: &str) -> Result<String, String> {
    let endpoint = &context.endpoints[0];
    let text = |error: std::io::Error| error.to_string();
    let client = context
        .client()
        .await
        .map_err(|failure| failure.message.unwrap_or_default())?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(part)
        .map_err(|error| format!("could not open {part} (open {part}: {})", io_error(&error)))?;
    log("info", "created temporary db file", &[("path", part)]);
    let begin = Instant::now();
    let mut stream = client
        .with_timeout(None)
        .snapshot()
        .await
        .map_err(|error| error.to_string())?;
    log("info", "fetching snapshot", &[("endpoint", endpoint)]);
    let mut size = 0;
    let mut version = String::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|status| {
            let error = client::Error::from(status);
            format!("could not write snapshot: {error}")
        })?;
        if version.is_empty() {
            version = piece.version;
        }
        file.write_all(&piece.blob)
            .map_err(|error| format!("could not write snapshot: {error}"))?;
        size += piece.blob.len() as u64;
    }
    if size % SECTOR_LEN != CHECKSUM_LEN {
        return Err(format!("sha256 checksum not found [bytes: {size}]"));
    }
    file.sync_all()
        .map_err(|error| format!("could not fsync snapshot: {error}"))?;
    drop(file);
    let took = format_duration(begin.elapsed());
    log(
        "info",
        "fetched snapshot",
        &[
            ("endpoint", endpoint),
            ("size", &bytes(size)),
            ("took", &took),
            ("etcd-version", &version),
        ],
    );
    std::fs::rename(part, path).map_err(|error| format!("could not rename {part} to {path} ({error})"))?;
    // The name is on disk only once its directory is.
    let directory = match Path::new(path).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(text)?;
    log("info", "saved", &[("path", path)]);
    Ok(version)
}
