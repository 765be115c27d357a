//! `check datascale`: how much memory the server takes for so many keys.

use super::check;
use crate::context::{Context, say};
use crate::exit::{Failure, Result};
use bytes::Bytes;
use clap::Args;
use client::Client;
use client::pb::etcdserverpb::PutRequest;
use std::cell::RefCell;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Args, Debug)]
pub struct Flags {
    #[arg(hide = true)]
    args: Vec<String>,
    /// s, m, l or xl: how many keys from how many clients
    #[arg(long, default_value = "s")]
    load: String,
    /// what the keys begin with; must not be in use
    #[arg(long, default_value = "/etcdctl-check-datascale/")]
    prefix: String,
    /// compact the history afterwards
    #[arg(long)]
    auto_compact: bool,
    /// give unused space back afterwards
    #[arg(long)]
    auto_defrag: bool,
}

const KEY_LEN: usize = 512;
const VALUE_LEN: usize = 512;
const METRIC: &str = "process_resident_memory_bytes";
/// More than any server's metrics page, and little enough to hold.
const PAGE_BYTES_MAX: u64 = 64 << 20;

pub async fn run(context: &Context, flags: Flags) -> Result {
    let (keys, clients_count) = match &*flags.load {
        "s" | "small" => (10_000, 50),
        "m" | "medium" => (100_000, 200),
        "l" | "large" => (1_000_000, 500),
        "xl" | "xLarge" => (3_000_000, 1000),
        load => return Err(Failure::feature(format!("unknown load option {load}"))),
    };
    let mut clients = Vec::new();
    for _ in 0..clients_count {
        clients.push(context.patient_client().await?);
    }
    let prefix = Bytes::from(flags.prefix.clone());
    check::is_unused(&clients[0], &prefix).await?;
    let endpoint = &context.endpoints[0];
    let before = memory(endpoint, "before").await?;
    say(format!(
        "Start data scale check for work load [{keys} key-value pairs, {} bytes per key-value, {clients_count} \
         concurrent clients].",
        KEY_LEN + VALUE_LEN
    ))?;
    let errors = RefCell::new(Vec::new());
    let workers = clients.iter().enumerate().map(|(number, client)| {
        let numbers = (number as u32..keys).step_by(clients_count);
        write(client, &prefix, numbers, &errors)
    });
    tokio::select! {
        _ = futures::future::join_all(workers) => {}
        signal = super::lock::interrupted() => signal?,
    }
    let after = memory(endpoint, "after").await?;
    check::clean_up(&clients[0], &prefix, flags.auto_compact, flags.auto_defrag).await?;
    let errors = errors.into_inner();
    if !errors.is_empty() {
        check::report_errors(errors)?;
        return Err(Failure::silent(1));
    }
    let used = (after - before) / f64::from(1 << 20);
    say(format!("PASS: Approximate system memory used : {used:.2} MB."))
}

async fn write(
    client: &Client,
    prefix: &Bytes,
    numbers: impl Iterator<Item = u32>,
    errors: &RefCell<Vec<String>>,
) {
    let value = Bytes::from(vec![0; VALUE_LEN]);
    for number in numbers {
        let request = PutRequest {
            key: check::key(prefix, number, KEY_LEN),
            value: value.clone(),
            ..Default::default()
        };
        if let Err(error) = client.put(request).await {
            errors.borrow_mut().push(error.to_string());
        }
    }
}

/// Memory of the server's process, from its metrics page.
async fn memory(endpoint: &str, when: &str) -> Result<f64> {
    match metric(endpoint).await {
        Ok(Some(bytes)) if bytes > 0.0 => return Ok(bytes),
        Ok(_) => say(format!("could not find: {METRIC}"))?,
        Err(error) => say(format!("fetch error: {error}"))?,
    }
    say(format!(
        "FAIL: Could not read {METRIC} {when} the put operations."
    ))?;
    Err(Failure::silent(1))
}

/// One request in the plainest HTTP, so that no client for it has to be linked; without TLS.
async fn metric(endpoint: &str) -> std::io::Result<Option<f64>> {
    let address = endpoint.strip_prefix("http://").unwrap_or(endpoint);
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut page = Vec::new();
    stream.take(PAGE_BYTES_MAX).read_to_end(&mut page).await?;
    let page = String::from_utf8_lossy(&page);
    let line = page.lines().find_map(|line| line.strip_prefix(METRIC));
    Ok(line.and_then(|value| value.trim().parse().ok()))
}
