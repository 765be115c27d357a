//! What a gateway is told at its start.

use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Makes a backup of everything in the snapshot, in the format that clients are to receive. Runs on a thread where it may
/// block.
pub type SnapshotWriter = Arc<dyn Fn(node::SnapshotSource) -> io::Result<Backup> + Send + Sync>;

/// Writes a backup, from front to back. Runs on a thread where it may block, and must end with the first error of what it
/// writes to.
pub type WriteBackup = Box<dyn FnOnce(&mut dyn io::Write) -> io::Result<()> + Send>;

/// A backup that is about to be written.
pub struct Backup {
    /// Its length. Must be a multiple of 512, or etcdctl takes the backup for a broken one.
    pub bytes: u64,
    /// Writes as many bytes.
    pub write: WriteBackup,
}

/// Settings of a gateway; the defaults are etcd's.
#[derive(Clone)]
pub struct Options {
    /// Threads that serve connections, each with a runtime of its own; at least one.
    pub rpc_threads: usize,
    /// `--max-request-bytes`: bytes of the largest request. Messages may be 512 KiB larger.
    pub request_bytes_max: usize,
    /// Bytes of requests that may be on their way in at once, over all connections, not counting those that arrive in
    /// one piece; more are refused as too many requests.
    pub receive_bytes_max: usize,
    /// Bytes of answers that may be on their way out at once, half of them on one connection; more are refused as too
    /// many requests, unless there is but one. Answers of less than 4 KiB are not counted. At least 64 KiB.
    pub send_bytes_max: usize,
    /// Connections of clients at once; further ones wait until another ends.
    pub connections_max: usize,
    /// `--max-txn-ops`: operations that a transaction may have.
    pub txn_ops_max: usize,
    /// `--max-concurrent-streams`: open calls per HTTP/2 connection, and calls through the JSON gateway at once. The
    /// largest number stands for no limit, of which connections get 10,000.
    pub concurrent_streams_max: u32,
    /// `--grpc-keepalive-interval`: silence after which a connection is pinged; `None` never.
    pub keepalive_interval: Option<Duration>,
    /// `--grpc-keepalive-timeout`: time for the answer to such a ping.
    pub keepalive_timeout: Duration,
    /// Time that open calls have to end by themselves once shutdown has begun.
    pub drain_timeout: Duration,
    /// `--warning-unary-request-duration`: unary calls that take longer are logged as `request stats`.
    pub slow_call: Duration,
    /// `--metrics=extensive`: histograms of how long calls take.
    pub call_histograms: bool,
    /// Headers of HTTP/2 requests go to standard error; see `GODEBUG` in docs/operations.md.
    pub print_headers: bool,
    /// `--enable-grpc-gateway`: JSON under `/v3/`.
    pub json: bool,
    /// `--cors`: origins that browsers may call from; `*` for all.
    pub cors: Vec<String>,
    /// `--host-whitelist`: hosts that unencrypted HTTP requests may name; `*` for all.
    pub hosts: Vec<String>,
    /// `--client-cert-auth`: a verified client certificate's common name is the user where no token is given.
    pub certificate_users: bool,
    /// Feature `StopGRPCServiceOnDefrag`: the health service says NOT_SERVING while a defragmentation runs.
    pub not_serving_on_defragment: bool,
    /// Formats backups; without it `Maintenance/Snapshot` is unimplemented.
    pub snapshot_writer: Option<SnapshotWriter>,
    /// Server version in etcd's numbering, for `/version`.
    pub version: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            rpc_threads: default_rpc_threads(),
            request_bytes_max: 1536 * 1024,
            receive_bytes_max: 256 << 20,
            send_bytes_max: 1 << 30,
            connections_max: Semaphore::MAX_PERMITS,
            txn_ops_max: apply::validate::TXN_OPS_MAX,
            concurrent_streams_max: u32::MAX,
            keepalive_interval: Some(Duration::from_secs(2 * 3600)),
            keepalive_timeout: Duration::from_secs(20),
            drain_timeout: Duration::from_secs(7),
            slow_call: Duration::from_millis(300),
            call_histograms: false,
            print_headers: false,
            json: true,
            cors: vec!["*".into()],
            hosts: vec!["*".into()],
            certificate_users: false,
            not_serving_on_defragment: false,
            snapshot_writer: None,
            version: "3.7.1".into(),
        }
    }
}

impl Options {
    /// Bytes of the largest gRPC message: what surrounds a request of the largest size must fit as well.
    pub(crate) fn message_bytes_max(&self) -> usize {
        self.request_bytes_max.saturating_add(512 * 1024)
    }
}

/// One thread per processor, but no more than four. A runtime that has a processor to itself serves some 50 000 calls
/// a second (16 to 28 µs each, measured), so that four are busy with more writes than the one apply thread behind them
/// takes. Threads beyond that would only take processors from it, and spread clients' connections thinner, which makes
/// for smaller batches of proposals and of replies.
fn default_rpc_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().clamp(1, 4))
}
