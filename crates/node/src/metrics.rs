//! The node's metrics, under etcd's names (prometheus labels resolved beforehand).

mod collector;
mod idle;
mod table;

pub(crate) use collector::Sampled;

use crate::Options;
use apply::Work;
use model::{MemberId, Rejection, Reply, Request};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry};
use std::time::Duration;
use table::{Table, exponential};

/// An apply that takes longer is counted as slow.
const SLOW_APPLY: Duration = Duration::from_millis(100);

macro_rules! operations {
    ($($name:ident $operation:ident),* $(,)?) => {
        /// One histogram per operation and outcome.
        struct Applies { $($name: [Histogram; 2],)* other: [Histogram; 2] }

        impl Applies {
            fn new(family: &HistogramVec) -> Applies {
                let of = |operation: &str| {
                    ["false", "true"].map(|success| family.with_label_values(&["v3", operation, success]))
                };
                Applies { $($name: of(stringify!($operation)),)* other: of("Other") }
            }

            fn of(&self, request: &Request) -> &[Histogram; 2] {
                match request {
                    $(Request::$operation(_) => &self.$name,)*
                    _ => &self.other,
                }
            }
        }
    };
}

operations! {
    range Range, put Put, delete_range DeleteRange, txn Txn, compaction Compaction, lease_grant LeaseGrant,
    lease_revoke LeaseRevoke, lease_checkpoint LeaseCheckpoint, alarm Alarm, authenticate Authenticate,
    cluster_version ClusterVersionSet, attributes ClusterMemberAttrSet, downgrade DowngradeInfoSet,
}

/// Counters and histograms that events move. What can be asked for at any time is sampled instead, see [`Sampled`].
pub(crate) struct Metrics {
    applies: Applies,
    ranges_took: [Histogram; 2],
    pub slow_applies: IntCounter,
    pub leader_changes: IntCounter,
    pub proposals_failed: IntCounter,
    pub reads_failed: IntCounter,
    pub slow_reads: IntCounter,
    pub heartbeats_failed: IntCounter,
    pub installing_snapshot: IntGauge,
    pub promoted: IntCounter,
    promotes_failed: IntCounterVec,
    pub wal_fsync: Histogram,
    pub wal_write: Histogram,
    pub wal_bytes: IntGauge,
    pub backend_commit: Histogram,
    pub defragment: Histogram,
    pub defragmenting: IntGauge,
    pub backend_snapshot: Histogram,
    pub hash: Histogram,
    pub hash_kv: Histogram,
    pub puts: IntCounter,
    pub deletes: IntCounter,
    pub ranges: IntCounter,
    pub txns: IntCounter,
    pub put_bytes: IntGauge,
    pub leases_granted: IntCounter,
    pub leases_revoked: IntCounter,
    pub leases_renewed: IntCounter,
    pub leases_expired: IntCounter,
    pub lease_ttls: Histogram,
    pub compacted_keys: IntCounter,
    pub compaction_last: IntGauge,
    pub compaction_pause: Histogram,
    pub compaction_total: Histogram,
}

impl Metrics {
    /// Registers everything. Fails if the registry has one of the names already.
    pub fn register(registry: &Registry, options: &Options, member: MemberId) -> prometheus::Result<Metrics> {
        let table = Table::new(registry);
        let apply_took = table.histograms(
            "etcd_server_apply_duration_seconds",
            "Time to apply a committed request, by operation and outcome.",
            &["version", "op", "success"],
            exponential(0.0001, 2.0, 20),
        )?;
        let range_took = table.histograms(
            "etcd_server_range_duration_seconds",
            "Time to read a range, by outcome.",
            &["success"],
            exponential(0.0001, 2.0, 20),
        )?;
        table.label(
            "etcd_server_version",
            "1 for the version of this server.",
            "server_version",
            &options.version,
        )?;
        table.label(
            "etcd_server_id",
            "1 for the id of this member, in hexadecimal.",
            "server_id",
            &member.to_string(),
        )?;
        let quota = options.quota_bytes.map_or(-1, |quota| quota as i64);
        table
            .gauge(
                "etcd_server_quota_backend_bytes",
                "Space quota in bytes, -1 for none.",
            )?
            .set(quota);
        idle::register(&table)?;
        let disk = || exponential(0.001, 2.0, 14);
        Ok(Metrics {
            applies: Applies::new(&apply_took),
            ranges_took: ["false", "true"].map(|success| range_took.with_label_values(&[success])),
            slow_applies: table.counter(
                "etcd_server_slow_apply_total",
                "Requests whose application took unusually long.",
            )?,
            leader_changes: table.counter(
                "etcd_server_leader_changes_seen_total",
                "Leaders that this member has seen come.",
            )?,
            proposals_failed: table.counter(
                "etcd_server_proposals_failed_total",
                "Proposals without an answer in time.",
            )?,
            reads_failed: table.counter(
                "etcd_server_read_indexes_failed_total",
                "Read indexes that were not confirmed.",
            )?,
            slow_reads: table.counter(
                "etcd_server_slow_read_indexes_total",
                "Linearizable reads that waited unusually long.",
            )?,
            heartbeats_failed: table.counter(
                "etcd_server_heartbeat_send_failures_total",
                "Heartbeats that could not be sent in time.",
            )?,
            installing_snapshot: table.gauge(
                "etcd_server_snapshot_apply_in_progress_total",
                "1 while a snapshot of the leader is being installed.",
            )?,
            promoted: table.counter(
                "etcd_server_learner_promote_successes",
                "Learners promoted while this member led.",
            )?,
            promotes_failed: table.counters(
                "etcd_server_learner_promote_failures",
                "Failed promotions of learners, by reason.",
                &["Reason"],
            )?,
            wal_fsync: table.histogram(
                "etcd_disk_wal_fsync_duration_seconds",
                "Time to make a group of log records durable.",
                disk(),
            )?,
            wal_write: table.histogram(
                "etcd_disk_wal_write_duration_seconds",
                "Time to write a group of log records.",
                disk(),
            )?,
            wal_bytes: table.gauge("etcd_disk_wal_write_bytes_total", "Bytes written to the log.")?,
            backend_commit: table.histogram(
                "etcd_disk_backend_commit_duration_seconds",
                "Time to write a group of applied requests to the store.",
                disk(),
            )?,
            defragment: table.histogram(
                "etcd_disk_backend_defrag_duration_seconds",
                "Time to give space back.",
                exponential(0.1, 2.0, 13),
            )?,
            defragmenting: table.gauge("etcd_disk_defrag_inflight", "1 while space is given back.")?,
            backend_snapshot: table.histogram(
                "etcd_disk_backend_snapshot_duration_seconds",
                "Time to copy the store for another member.",
                exponential(0.01, 2.0, 17),
            )?,
            hash: table.histogram(
                "etcd_mvcc_hash_duration_seconds",
                "Time to hash the whole state.",
                exponential(0.01, 2.0, 15),
            )?,
            hash_kv: table.histogram(
                "etcd_mvcc_hash_rev_duration_seconds",
                "Time to hash the keys up to a revision.",
                exponential(0.01, 2.0, 15),
            )?,
            puts: table.counter("etcd_mvcc_put_total", "Puts seen by this member.")?,
            deletes: table.counter("etcd_mvcc_delete_total", "Deletes seen by this member.")?,
            ranges: table.counter("etcd_mvcc_range_total", "Ranges seen by this member.")?,
            txns: table.counter(
                "etcd_mvcc_txn_total",
                "Requests of two or more operations seen by this member.",
            )?,
            put_bytes: table.gauge(
                "etcd_debugging_mvcc_total_put_size_in_bytes",
                "Bytes of all keys and values put.",
            )?,
            leases_granted: table.counter("etcd_debugging_lease_granted_total", "Leases granted.")?,
            leases_revoked: table.counter("etcd_debugging_lease_revoked_total", "Leases revoked.")?,
            leases_renewed: table.counter(
                "etcd_debugging_lease_renewed_total",
                "Keep-alives answered by this member as leader.",
            )?,
            leases_expired: table.counter(
                "etcd_debugging_server_lease_expired_total",
                "Leases that this member had revoked because they expired.",
            )?,
            lease_ttls: table.histogram(
                "etcd_debugging_lease_ttl_total",
                "TTLs of granted leases in seconds.",
                exponential(1.0, 2.0, 24),
            )?,
            compacted_keys: table.counter(
                "etcd_debugging_mvcc_db_compaction_keys_total",
                "Versions removed by compaction.",
            )?,
            compaction_last: table.gauge(
                "etcd_debugging_mvcc_db_compaction_last",
                "Unix time of the last finished compaction, 0 before the first.",
            )?,
            compaction_pause: table.histogram(
                "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
                "Time of one step of a compaction.",
                exponential(1.0, 2.0, 13),
            )?,
            compaction_total: table.histogram(
                "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
                "Time of a whole compaction.",
                exponential(100.0, 2.0, 14),
            )?,
        })
    }

    /// A command was applied.
    pub fn applied(&self, request: &Request, result: &Result<Reply, Rejection>, took: Duration) {
        let success = matches!(result, Ok(_) | Err(Rejection::Compacted));
        self.applies.of(request)[usize::from(success)].observe(took.as_secs_f64());
        if took > SLOW_APPLY {
            self.slow_applies.inc();
        }
        if let Ok(Reply::LeaseGrant(granted)) = result {
            self.lease_ttls.observe(granted.ttl as f64);
        }
    }

    /// A learner was not promoted.
    pub fn promote_failed(&self, reason: &crate::Error) {
        self.promotes_failed
            .with_label_values(&[reason.to_string().as_str()])
            .inc();
    }

    /// A range was read without the log.
    pub fn ranged(&self, success: bool, took: Duration) {
        self.ranges.inc();
        self.ranges_took[usize::from(success)].observe(took.as_secs_f64());
    }

    /// A group was applied.
    pub fn worked(&self, work: Work) {
        self.puts.inc_by(work.puts);
        self.put_bytes.add(work.put_bytes as i64);
        self.deletes.inc_by(work.deletes);
        self.ranges.inc_by(work.ranges);
        self.txns.inc_by(work.txns);
        self.leases_granted.inc_by(work.leases_granted);
        self.leases_revoked.inc_by(work.leases_revoked);
    }
}
