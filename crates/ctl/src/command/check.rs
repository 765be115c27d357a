//! `check perf`: whether the cluster is as fast as its size should be.

use crate::context::{Context, revision, say};
use crate::exit::{Failure, Result};
use crate::go::quote;
use bytes::Bytes;
use clap::{Args, Subcommand};
use client::Client;
use client::kv::prefix_end;
use client::pb::etcdserverpb::{
    CompactionRequest, DefragmentRequest, DeleteRangeRequest, PutRequest, RangeRequest,
};
use std::cell::RefCell;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Write for a minute, and judge throughput and latency
    Perf(Flags),
}

#[derive(Args, Debug)]
pub struct Flags {
    #[arg(hide = true)]
    args: Vec<String>,
    /// s, m, l or xl: how many writes from how many clients
    #[arg(long, default_value = "s")]
    load: String,
    /// what the keys begin with; must not be in use
    #[arg(long, default_value = "/etcdctl-check-perf/")]
    prefix: String,
    /// compact the history afterwards
    #[arg(long)]
    auto_compact: bool,
    /// give unused space back afterwards
    #[arg(long)]
    auto_defrag: bool,
}

/// What is asked of the cluster.
struct Load {
    writes_per_second: u32,
    clients: u32,
}

const DURATION: Duration = Duration::from_secs(60);
const KEY_LEN: usize = 256;
const VALUE_LEN: usize = 1024;
const SLOWEST_MAX: f64 = 0.5;
const DEVIATION_MAX: f64 = 0.1;

impl Load {
    fn parse(text: &str) -> Result<Load> {
        let (writes_per_second, clients) = match text {
            "s" | "small" => (150, 50),
            "m" | "medium" => (1000, 200),
            "l" | "large" => (8000, 500),
            "xl" | "xLarge" => (15000, 1000),
            _ => return Err(Failure::feature(format!("unknown load option {text}"))),
        };
        Ok(Load {
            writes_per_second,
            clients,
        })
    }
}

pub async fn run(context: &Context, Command::Perf(flags): Command) -> Result {
    let load = Load::parse(&flags.load)?;
    let mut clients = Vec::new();
    for _ in 0..load.clients {
        clients.push(context.patient_client().await?);
    }
    let client = &clients[0];
    let prefix = Bytes::from(flags.prefix.clone());
    let used = client
        .range(RangeRequest {
            key: prefix.clone(),
            range_end: prefix_end(&prefix),
            limit: 1,
            ..Default::default()
        })
        .await?;
    if !used.kvs.is_empty() {
        return Err(Failure::input(format!(
            "prefix {} has keys. Delete with 'etcdctl del --prefix {}' first",
            quote(&prefix),
            flags.prefix
        )));
    }
    let results = RefCell::new(Results::default());
    let begin = Instant::now();
    let workers = clients
        .iter()
        .enumerate()
        .map(|(number, client)| worker(client, &prefix, &load, number as u32, begin, &results));
    tokio::select! {
        _ = futures::future::join_all(workers) => {}
        signal = super::lock::interrupted() => signal?,
    }
    let elapsed = begin.elapsed();
    clean_up(client, &flags).await?;
    judge(&results.into_inner(), &load, elapsed)
}

/// Every client writes its share of the load at times that are fixed beforehand, so that a slow answer does not slow
/// the load down.
async fn worker(
    client: &Client,
    prefix: &Bytes,
    load: &Load,
    number: u32,
    begin: Instant,
    results: &RefCell<Results>,
) {
    let interval = Duration::from_secs(1) / load.writes_per_second;
    let value = Bytes::from(vec![0; VALUE_LEN]);
    for turn in (number..).step_by(load.clients as usize) {
        let due = begin + interval * turn;
        if due >= begin + DURATION {
            return;
        }
        sleep_until(due).await;
        // Any spread of keys will do.
        let spread = u64::from(turn).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut key = prefix.to_vec();
        key.extend_from_slice(format!("{spread:0KEY_LEN$x}").as_bytes());
        let request = PutRequest {
            key: key.into(),
            value: value.clone(),
            ..Default::default()
        };
        let sent = Instant::now();
        let result = client.put(request).await;
        let mut results = results.borrow_mut();
        match result {
            Ok(_) => results.seconds.push(sent.elapsed().as_secs_f64()),
            Err(error) => results.errors.push(error.to_string()),
        }
    }
}

#[derive(Default)]
struct Results {
    seconds: Vec<f64>,
    errors: Vec<String>,
}

async fn clean_up(client: &Client, flags: &Flags) -> Result {
    let prefix = Bytes::from(flags.prefix.clone());
    let request = DeleteRangeRequest {
        range_end: prefix_end(&prefix),
        key: prefix,
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
    if flags.auto_compact {
        say(format!("Compacting with revision {deleted}"))?;
        let request = CompactionRequest {
            revision: deleted,
            physical: true,
        };
        client.compact(request).await?;
        say(format!("Compacted with revision {deleted}"))?;
    }
    if flags.auto_defrag {
        for endpoint in client.endpoints() {
            say(format!("Defragmenting {}", quote(endpoint.as_bytes())))?;
            client.defragment(DefragmentRequest {}).await?;
            say(format!("Defragmented {}", quote(endpoint.as_bytes())))?;
        }
    }
    Ok(())
}

fn judge(results: &Results, load: &Load, elapsed: Duration) -> Result {
    let count = results.seconds.len() as f64;
    let rate = count / elapsed.as_secs_f64();
    let slowest = results.seconds.iter().copied().fold(0.0, f64::max);
    let mean = results.seconds.iter().sum::<f64>() / count.max(1.0);
    let squares = results
        .seconds
        .iter()
        .map(|seconds| (seconds - mean).powi(2))
        .sum::<f64>();
    let deviation = (squares / count.max(1.0)).sqrt();
    let mut passed = true;
    let mut check = |ok: bool, good: String, bad: String| {
        passed &= ok;
        say(if ok { good } else { bad })
    };
    if !results.errors.is_empty() {
        check(false, String::new(), "FAIL: too many errors".to_owned())?;
        let mut errors = results.errors.clone();
        errors.sort();
        for same in errors.chunk_by(|one, other| one == other) {
            say(format!("FAIL: ERROR({}) -> {}", same[0], same.len()))?;
        }
    }
    let whole = rate as u64 + 1;
    check(
        rate / f64::from(load.writes_per_second) > 0.9,
        format!("PASS: Throughput is {whole} writes/s"),
        format!("FAIL: Throughput too low: {whole} writes/s"),
    )?;
    check(
        slowest <= SLOWEST_MAX,
        format!("PASS: Slowest request took {slowest:.6}s"),
        format!("Slowest request took too long: {slowest:.6}s"),
    )?;
    check(
        deviation <= DEVIATION_MAX,
        format!("PASS: Stddev is {deviation:.6}s"),
        format!("Stddev too high: {deviation:.6}s"),
    )?;
    match passed {
        true => say("PASS"),
        false => {
            say("FAIL")?;
            Err(Failure::silent(1))
        }
    }
}
