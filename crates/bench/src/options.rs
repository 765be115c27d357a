//! What can be set; every workload takes from it what concerns it.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Options of a run.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where the servers listen for clients, without TLS.
    #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:2379")]
    pub endpoints: Vec<String>,
    /// Connections, spread over the endpoints.
    #[arg(long, default_value_t = 8)]
    pub conns: usize,
    /// Clients, spread over the connections; each waits for its answer before it sends again.
    #[arg(long, default_value_t = 64)]
    pub clients: usize,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Operations that are measured, instead of seconds; there is no warm-up then.
    #[arg(long)]
    pub total: Option<u64>,
    /// Seconds before measuring.
    #[arg(long, default_value_t = 2.0)]
    pub warmup: f64,
    /// Operations a second, sent by the clock (open loop): latency counts from when an operation was due.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Seed of everything that looks random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Keys that operations choose from; how many fill writes.
    #[arg(long, default_value_t = 100_000)]
    pub keys: u64,
    /// Bytes of a key, at least 10.
    #[arg(long, default_value_t = 16)]
    pub key_size: usize,
    /// Bytes of a value.
    #[arg(long, default_value_t = 256)]
    pub value_size: usize,
    /// How keys are chosen.
    #[arg(long, value_enum, default_value_t = Pattern::Random)]
    pub pattern: Pattern,
    /// Keys of a range, page or transaction. [default: what the workload says]
    #[arg(long)]
    pub limit: Option<u64>,
    /// Puts hang on a lease.
    #[arg(long)]
    pub lease: bool,
    /// Watchers, spread over the connections.
    #[arg(long, default_value_t = 1000)]
    pub watchers: usize,
    /// Past events for watchers to catch up with.
    #[arg(long, default_value_t = 10_000)]
    pub events: u64,
    /// Leases.
    #[arg(long, default_value_t = 100_000)]
    pub leases: u64,
    /// Seconds that leases live.
    #[arg(long, default_value_t = 30)]
    pub ttl: i64,
    /// Puts a second beside the workload, where it has such.
    #[arg(long, default_value_t = 500.0)]
    pub background: f64,
    /// Processes of the servers on this machine, to report what they spend.
    #[arg(long, value_delimiter = ',')]
    pub server_pid: Vec<u32>,
    /// Writes the result to this file.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Name of this run in reports.
    #[arg(long, default_value = "")]
    pub label: String,
}

/// How keys are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Pattern {
    /// Evenly out of all.
    Random,
    /// One after another.
    Sequential,
    /// Always the same one.
    Hot,
}
