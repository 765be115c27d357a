//! Metrics of parts of etcd that we have not. Dashboards, and etcd's own tests, expect the names on a fresh server;
//! they stay at zero.

use super::table::{Table, exponential};
use prometheus::Result;

const COUNTERS: &[(&str, &str)] = &[
    (
        "etcd_debugging_store_expires_total",
        "Part of etcd's v2 store, always 0.",
    ),
    (
        "etcd_debugging_store_watch_requests_total",
        "Part of etcd's v2 store, always 0.",
    ),
    (
        "etcd_grpc_proxy_events_coalescing_total",
        "Part of etcd's gRPC proxy, always 0.",
    ),
];

const GAUGES: &[(&str, &str)] = &[
    (
        "etcd_debugging_store_watchers",
        "Part of etcd's v2 store, always 0.",
    ),
    (
        "etcd_grpc_proxy_cache_hits_total",
        "Part of etcd's gRPC proxy, always 0.",
    ),
    (
        "etcd_grpc_proxy_cache_keys_total",
        "Part of etcd's gRPC proxy, always 0.",
    ),
    (
        "etcd_grpc_proxy_cache_misses_total",
        "Part of etcd's gRPC proxy, always 0.",
    ),
    (
        "etcd_grpc_proxy_watchers_coalescing_total",
        "Part of etcd's gRPC proxy, always 0.",
    ),
];

const HISTOGRAMS: &[(&str, &str, f64, usize)] = &[
    (
        "etcd_debugging_disk_backend_commit_rebalance_duration_seconds",
        "A phase of bbolt's commits, always empty.",
        0.001,
        14,
    ),
    (
        "etcd_debugging_disk_backend_commit_spill_duration_seconds",
        "A phase of bbolt's commits, always empty.",
        0.001,
        14,
    ),
    (
        "etcd_debugging_disk_backend_commit_write_duration_seconds",
        "A phase of bbolt's commits, always empty.",
        0.001,
        14,
    ),
    (
        "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
        "Compaction of etcd's index in memory, always empty.",
        0.5,
        14,
    ),
    (
        "etcd_debugging_snap_save_marshalling_duration_seconds",
        "Part of etcd's snapshot files, always empty.",
        0.001,
        14,
    ),
    (
        "etcd_debugging_snap_save_total_duration_seconds",
        "Part of etcd's snapshot files, always empty.",
        0.001,
        14,
    ),
    (
        "etcd_snap_db_fsync_duration_seconds",
        "Part of etcd's snapshot files, always empty.",
        0.001,
        14,
    ),
    (
        "etcd_snap_db_save_total_duration_seconds",
        "Part of etcd's snapshot files, always empty.",
        0.1,
        10,
    ),
    (
        "etcd_snap_fsync_duration_seconds",
        "Part of etcd's snapshot files, always empty.",
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
