//! Metrics that are read off the node when somebody asks for them, so that they are always current.

use crate::core::Core;
use model::pb::etcdserverpb::AlarmType;
use model::{KeyRange, MemberId};
use mvcc::Read;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, IntGaugeVec, Opts};
use std::sync::{Arc, Weak};

macro_rules! gauges {
    ($($field:ident $name:literal $help:literal;)*) => {
        struct Gauges { $($field: IntGauge,)* }

        impl Gauges {
            fn new() -> prometheus::Result<Gauges> {
                Ok(Gauges { $($field: IntGauge::new($name, $help)?,)* })
            }

            fn all(&self) -> impl Iterator<Item = &IntGauge> {
                [$(&self.$field,)*].into_iter()
            }
        }
    };
}

gauges! {
    has_leader "etcd_server_has_leader" "1 while this member knows a leader.";
    is_leader "etcd_server_is_leader" "1 while this member leads.";
    is_learner "etcd_server_is_learner" "1 while this member is a learner.";
    committed "etcd_server_proposals_committed_total" "Committed index.";
    applied "etcd_server_proposals_applied_total" "Applied index.";
    pending "etcd_server_proposals_pending" "Proposals of this member that wait for their answer.";
    db_size "etcd_mvcc_db_total_size_in_bytes" "Size of the store that the quota is compared with, in bytes.";
    db_in_use "etcd_mvcc_db_total_size_in_use_in_bytes" "The part of the store's size that holds data, in bytes.";
    open_reads "etcd_mvcc_db_open_read_transactions" "Open read transactions: none, reads use snapshots.";
    revision "etcd_debugging_mvcc_current_revision" "Current revision of the keys.";
    compacted "etcd_debugging_mvcc_compact_revision" "Compacted revision of the keys, -1 before the first compaction.";
    keys "etcd_debugging_mvcc_keys_total" "Keys that exist.";
    pending_events "etcd_debugging_mvcc_pending_events_total" "Events that wait to be sent to watchers.";
    slow_watchers "etcd_debugging_mvcc_slow_watcher_total" "Watchers that are behind.";
    watch_streams "etcd_debugging_mvcc_watch_stream_total" "Open watch streams.";
    watchers "etcd_debugging_mvcc_watcher_total" "Watchers.";
    auth_revision "etcd_debugging_auth_revision" "Revision of users and roles.";
}

/// A collector over a node; without a node it gives nothing.
pub(crate) struct Sampled {
    core: Weak<Core>,
    gauges: Gauges,
    events: prometheus::IntCounter,
    cluster_version: IntGaugeVec,
    alarms: IntGaugeVec,
}

impl Sampled {
    pub fn new(core: &Arc<Core>) -> prometheus::Result<Sampled> {
        Ok(Sampled {
            core: Arc::downgrade(core),
            gauges: Gauges::new()?,
            events: prometheus::IntCounter::new(
                "etcd_debugging_mvcc_events_total",
                "Events sent to watchers.",
            )?,
            cluster_version: IntGaugeVec::new(
                Opts::new(
                    "etcd_cluster_version",
                    "1 for the current cluster version, 0 for earlier ones.",
                ),
                &["cluster_version"],
            )?,
            alarms: IntGaugeVec::new(
                Opts::new(
                    "etcd_debugging_server_alarms",
                    "1 for every alarm that is set, by member and type.",
                ),
                &["server_id", "alarm_type"],
            )?,
        })
    }

    fn sample(&self, core: &Core) {
        let gauges = &self.gauges;
        let number = |number: u64| number as i64;
        gauges.has_leader.set(i64::from(core.leader().is_some()));
        gauges.is_leader.set(i64::from(core.leads()));
        gauges.is_learner.set(i64::from(core.is_learner()));
        if let Ok(engine) = core.engine() {
            gauges.committed.set(number(engine.committed()));
            gauges.applied.set(number(engine.applied()));
        }
        gauges.pending.set(core.requests.len() as i64);

        let sizes = core.shared.store.sizes();
        gauges.db_size.set(number(sizes.allocated));
        gauges.db_in_use.set(number(sizes.in_use));
        gauges.open_reads.set(0);
        let view = core.shared.store.view();
        gauges.revision.set(view.revision().0);
        gauges.compacted.set(view.compacted().0);
        if let Ok(keys) = view.count(&KeyRange::all(), 0) {
            gauges.keys.set(number(keys));
        }

        let watching = core.hub.stats();
        gauges.pending_events.set(number(watching.pending_events));
        gauges.slow_watchers.set(number(watching.slow_watchers));
        gauges.watch_streams.set(number(watching.streams));
        gauges.watchers.set(number(watching.watchers));
        self.events
            .inc_by(watching.events.saturating_sub(self.events.get()));
        gauges.auth_revision.set(number(core.shared.rules().revision()));

        if let Some(version) = core.shared.cluster().version() {
            let version = version.major_minor();
            if self
                .cluster_version
                .get_metric_with_label_values(&[&version])
                .is_ok_and(|set| set.get() == 0)
            {
                // Earlier versions stay, at 0.
                for family in self.cluster_version.collect() {
                    for metric in family.get_metric() {
                        let earlier = metric.get_label()[0].value();
                        self.cluster_version.with_label_values(&[earlier]).set(0);
                    }
                }
                self.cluster_version.with_label_values(&[&version]).set(1);
            }
        }
        self.alarms.reset();
        for alarm in core.shared.alarms().list(AlarmType::None as i32) {
            let kind = AlarmType::try_from(alarm.alarm).map_or("UNKNOWN", |kind| kind.as_str_name());
            let member = MemberId(alarm.member_id).to_string();
            self.alarms.with_label_values(&[member.as_str(), kind]).set(1);
        }
    }
}

impl Collector for Sampled {
    fn desc(&self) -> Vec<&Desc> {
        let mut all: Vec<&Desc> = self.gauges.all().flat_map(|gauge| gauge.desc()).collect();
        all.extend(self.events.desc());
        all.extend(self.cluster_version.desc());
        all.extend(self.alarms.desc());
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(core) = self.core.upgrade() else {
            return Vec::new();
        };
        self.sample(&core);
        let mut all: Vec<MetricFamily> = self.gauges.all().flat_map(|gauge| gauge.collect()).collect();
        all.extend(self.events.collect());
        all.extend(self.cluster_version.collect());
        all.extend(self.alarms.collect());
        all
    }
}
