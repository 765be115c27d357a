//! Metrics of parts of etcd that we have not. Dashboards, and etcd's own tests, expect the names on a fresh server;
//! they stay at zero.

use super::table::{Table, exponential};
use prometheus::Result;

const COUNTERS: &[(&str, &str)] = &[
    (
        "etcd_debugging_store_expires_total",
        "Total number of expired keys.",
    ),
    (
        "etcd_debugging_store_watch_requests_total",
        "Total number of incoming watch requests (new or reestablished).",
    ),
    (
        "etcd_grpc_proxy_events_coalescing_total",
        "Total number of events coalescing",
    ),
];

const GAUGES: &[(&str, &str)] = &[
    (
        "etcd_debugging_store_watchers",
        "Count of currently active watchers.",
    ),
    ("etcd_grpc_proxy_cache_hits_total", "Total number of cache hits"),
    (
        "etcd_grpc_proxy_cache_keys_total",
        "Total number of keys/ranges cached",
    ),
    (
        "etcd_grpc_proxy_cache_misses_total",
        "Total number of cache misses",
    ),
    (
        "etcd_grpc_proxy_watchers_coalescing_total",
        "Total number of current watchers coalescing",
    ),
];

const HISTOGRAMS: &[(&str, &str, f64, usize)] = &[
    (
        "etcd_debugging_disk_backend_commit_rebalance_duration_seconds",
        "The latency distributions of commit.rebalance called by bboltdb backend.",
        0.001,
        14,
    ),
    (
        "etcd_debugging_disk_backend_commit_spill_duration_seconds",
        "The latency distributions of commit.spill called by bboltdb backend.",
        0.001,
        14,
    ),
    (
        "etcd_debugging_disk_backend_commit_write_duration_seconds",
        "The latency distributions of commit.write called by bboltdb backend.",
        0.001,
        14,
    ),
    (
        "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
        "Bucketed histogram of index compaction pause duration.",
        0.5,
        14,
    ),
    (
        "etcd_debugging_snap_save_marshalling_duration_seconds",
        "The marshalling cost distributions of save called by snapshot.",
        0.001,
        14,
    ),
    (
        "etcd_debugging_snap_save_total_duration_seconds",
        "The total latency distributions of save called by snapshot.",
        0.001,
        14,
    ),
    (
        "etcd_snap_db_fsync_duration_seconds",
        "The latency distributions of fsyncing .snap.db file",
        0.001,
        14,
    ),
    (
        "etcd_snap_db_save_total_duration_seconds",
        "The total latency distributions of v3 snapshot save",
        0.1,
        10,
    ),
    (
        "etcd_snap_fsync_duration_seconds",
        "The latency distributions of fsync called by snap.",
        0.001,
        14,
    ),
];

pub(super) fn register(table: &Table<'_>) -> Result<()> {
    for (name, help) in COUNTERS {
        table.counter(name, help)?;
    }
    for (name, help) in GAUGES {
        table.gauge(name, help)?;
    }
    for (name, help, start, count) in HISTOGRAMS {
        table.histogram(name, help, exponential(*start, 2.0, *count))?;
    }
    Ok(())
}
