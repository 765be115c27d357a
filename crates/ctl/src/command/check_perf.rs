//! `check perf`: whether the cluster is as fast as its size should be.

use super::check;
use crate::context::{Context, say};
use crate::exit::{Failure, Result};
use bytes::Bytes;
use clap::Args;
use client::Client;
use client::pb::etcdserverpb::PutRequest;
use std::cell::RefCell;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

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

pub async fn run(context: &Context, flags: Flags) -> Result {
    let load = Load::parse(&flags.load)?;
    let mut clients = Vec::new();
    for _ in 0..load.clients {
        clients.push(context.patient_client().await?);
    }
    let client = &clients[0];
    let prefix = Bytes::from(flags.prefix.clone());
    check::is_unused(client, &prefix).await?;
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
    check::clean_up(client, &prefix, flags.auto_compact, flags.auto_defrag).await?;
    judge(results.into_inner(), &load, elapsed)
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
        let request = PutRequest {
            key: check::key(prefix, turn, KEY_LEN),
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

fn judge(results: Results, load: &Load, elapsed: Duration) -> Result {
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
    if !results.errors.is_empty() {
        check::report_errors(results.errors)?;
        passed = false;
    }
    let mut check = |ok: bool, good: String, bad: String| {
        passed &= ok;
        say(if ok { good } else { bad })
    };
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
