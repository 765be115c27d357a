//! Metrics of the process itself.

use crate::config::Config;
use crate::feature::{GATES, Stage};
use crate::go_metrics::GoMetrics;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use rustix::process::{Resource, getrlimit};

/// A registry that holds what is known before anything runs.
pub fn registry(config: &Config) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(ProcessCollector::for_self()))?;
    registry.register(Box::new(Descriptors::new()?))?;
    registry.register(Box::new(GoMetrics::new()?))?;

    let opts = Opts::new("etcd_server_feature_enabled", "Whether a feature gate is open.");
    let features = IntGaugeVec::new(opts, &["name", "stage"])?;
    for (name, _, stage) in GATES {
        let stage = match stage {
            Stage::Alpha => "ALPHA",
            Stage::Beta => "BETA",
        };
        let open = config.features.is_open(name);
        features.with_label_values(&[*name, stage]).set(i64::from(open));
    }
    registry.register(Box::new(features))?;

    let opts = Opts::new(
        "etcd_server_go_version",
        "1 for the language the server is built with; the label is etcd's.",
    );
    let language = IntGaugeVec::new(opts, &["server_go_version"])?;
    language.with_label_values(&["none (rust)"]).set(1);
    registry.register(Box::new(language))?;
    Ok(registry)
}

/// File descriptors, counted when somebody asks.
struct Descriptors {
    limit: IntGauge,
    used: IntGauge,
}

impl Descriptors {
    fn new() -> prometheus::Result<Descriptors> {
        Ok(Descriptors {
            limit: IntGauge::new("os_fd_limit", "Most file descriptors the process may have open.")?,
            used: IntGauge::new("os_fd_used", "File descriptors that the process has open.")?,
        })
    }
}

impl Collector for Descriptors {
    fn desc(&self) -> Vec<&Desc> {
        [&self.limit, &self.used]
            .into_iter()
            .flat_map(|gauge| gauge.desc())
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // None is no limit.
        let limit = getrlimit(Resource::Nofile).current;
        self.limit
            .set(limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX)));
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // The directory that is being read is one of them.
            self.used.set(open.count().saturating_sub(1) as i64);
        }
        [&self.limit, &self.used]
            .into_iter()
            .flat_map(|gauge| gauge.collect())
            .collect()
    }
}
