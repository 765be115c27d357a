//! What goes between the members, in numbers, under etcd's names.

use model::MemberId;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    exponential_buckets,
};

/// The families; one set for a process.
pub(crate) struct Metrics {
    local: String,
    active: IntGaugeVec,
    known: IntGaugeVec,
    disconnected: IntCounterVec,
    sent: IntCounterVec,
    send_failures: IntCounterVec,
    received: IntCounterVec,
    receive_failures: IntCounterVec,
    round_trip: HistogramVec,
    sending: Transfers,
    receiving: Transfers,
}

/// What concerns one member, labels resolved.
pub(crate) struct LinkMetrics {
    pub(crate) active: IntGauge,
    pub(crate) disconnected: IntCounter,
    pub(crate) sent: IntCounter,
    pub(crate) send_failures: IntCounter,
    pub(crate) round_trip: Histogram,
}

/// What comes from one member, labels resolved.
pub(crate) struct SourceMetrics {
    pub(crate) received: IntCounter,
    pub(crate) failures: IntCounter,
}

/// Snapshots in one direction.
struct Transfers {
    open: IntGaugeVec,
    done: IntCounterVec,
    failed: IntCounterVec,
    took: HistogramVec,
}

/// A snapshot under way. Counts as failed unless it is said to be done.
pub(crate) struct Transfer {
    open: IntGauge,
    done: IntCounter,
    failed: IntCounter,
    timer: Option<prometheus::HistogramTimer>,
}

impl Metrics {
    /// Registers all families. Fails if there are such in the registry already.
    pub(crate) fn register(registry: &Registry, local: MemberId) -> prometheus::Result<Self> {
        let pair = &["Local", "Remote"];
        let local = local.to_string();
        let known = gauge(
            registry,
            "etcd_network_known_peers",
            "1 for a member of the cluster, this one too; 0 for one that left it.",
            pair,
        )?;
        known.with_label_values(&[&local, &local]).set(1);
        Ok(Self {
            local,
            active: gauge(registry, "etcd_network_active_peers", "Connected members.", pair)?,
            known,
            disconnected: counter(
                registry,
                "etcd_network_disconnected_peers_total",
                "Connections to members that were lost.",
                pair,
            )?,
            sent: counter(
                registry,
                "etcd_network_peer_sent_bytes_total",
                "Bytes of raft messages sent to a member.",
                &["To"],
            )?,
            send_failures: counter(
                registry,
                "etcd_network_peer_sent_failures_total",
                "Attempts to reach a member that failed, and connections to it that broke.",
                &["To"],
            )?,
            received: counter(
                registry,
                "etcd_network_peer_received_bytes_total",
                "Bytes of raft messages received from a member.",
                &["From"],
            )?,
            receive_failures: counter(
                registry,
                "etcd_network_peer_received_failures_total",
                "Streams of messages from a member that broke.",
                &["From"],
            )?,
            round_trip: histogram(
                registry,
                "etcd_network_peer_round_trip_time_seconds",
                "Time of an empty request to a member and back.",
                "To",
                exponential_buckets(0.0001, 2.0, 16)?,
            )?,
            sending: Transfers::register(registry, "send", "To")?,
            receiving: Transfers::register(registry, "receive", "From")?,
        })
    }

    pub(crate) fn link(&self, to: MemberId) -> LinkMetrics {
        let to = to.to_string();
        let pair = [self.local.as_str(), to.as_str()];
        self.known.with_label_values(&pair).set(1);
        LinkMetrics {
            active: self.active.with_label_values(&pair),
            disconnected: self.disconnected.with_label_values(&pair),
            sent: self.sent.with_label_values(&[&to]),
            send_failures: self.send_failures.with_label_values(&[&to]),
            round_trip: self.round_trip.with_label_values(&[&to]),
        }
    }

    /// A member is no longer talked to.
    pub(crate) fn forget(&self, member: MemberId) {
        let member = member.to_string();
        let pair = [self.local.as_str(), member.as_str()];
        self.known.with_label_values(&pair).set(0);
        // An error means that it is not there, as it should be.
        let _ = self.active.remove_label_values(&pair);
    }

    pub(crate) fn source(&self, from: MemberId) -> SourceMetrics {
        let from = from.to_string();
        SourceMetrics {
            received: self.received.with_label_values(&[&from]),
            failures: self.receive_failures.with_label_values(&[&from]),
        }
    }

    pub(crate) fn sending(&self, to: MemberId) -> Transfer {
        self.sending.begin(to)
    }

    pub(crate) fn receiving(&self, from: MemberId) -> Transfer {
        self.receiving.begin(from)
    }
}

impl Transfers {
    fn register(registry: &Registry, direction: &str, label: &str) -> prometheus::Result<Self> {
        let name = |what: &str| format!("etcd_network_snapshot_{direction}_{what}");
        Ok(Self {
            open: gauge(
                registry,
                &name("inflights_total"),
                "Snapshots under way.",
                &[label],
            )?,
            done: counter(
                registry,
                &name("success"),
                "Snapshots that went through.",
                &[label],
            )?,
            failed: counter(registry, &name("failures"), "Snapshots that did not.", &[label])?,
            took: histogram(
                registry,
                &name("total_duration_seconds"),
                "Time that snapshots took which went through.",
                label,
                exponential_buckets(0.1, 2.0, 10)?,
            )?,
        })
    }

    fn begin(&self, member: MemberId) -> Transfer {
        let label = member.to_string();
        let open = self.open.with_label_values(&[&label]);
        open.inc();
        Transfer {
            open,
            done: self.done.with_label_values(&[&label]),
            failed: self.failed.with_label_values(&[&label]),
            timer: Some(self.took.with_label_values(&[&label]).start_timer()),
        }
    }
}

impl Transfer {
    pub(crate) fn done(mut self) {
        self.done.inc();
        if let Some(timer) = self.timer.take() {
            timer.observe_duration();
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.open.dec();
        if let Some(timer) = self.timer.take() {
            timer.stop_and_discard();
            self.failed.inc();
        }
    }
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    let family = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
    buckets: Vec<f64>,
) -> prometheus::Result<HistogramVec> {
    let family = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &[label])?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(registry: &Registry) -> String {
        prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap()
    }

    #[test]
    fn a_snapshot_counts_once_as_done_or_failed() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry, MemberId(1)).unwrap();
        metrics.sending(MemberId(2)).done();
        drop(metrics.sending(MemberId(2)));
        let text = text(&registry);
        for line in [
            "etcd_network_snapshot_send_success{To=\"2\"} 1",
            "etcd_network_snapshot_send_failures{To=\"2\"} 1",
            "etcd_network_snapshot_send_inflights_total{To=\"2\"} 0",
            "etcd_network_snapshot_send_total_duration_seconds_count{To=\"2\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_member_that_left_is_no_longer_known() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry, MemberId(1)).unwrap();
        metrics.link(MemberId(2));
        assert!(text(&registry).contains("etcd_network_known_peers{Local=\"1\",Remote=\"2\"} 1"));
        metrics.forget(MemberId(2));
        assert!(text(&registry).contains("etcd_network_known_peers{Local=\"1\",Remote=\"2\"} 0"));
    }
}
