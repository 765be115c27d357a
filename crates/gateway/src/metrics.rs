//! What the gateway counts and measures. Each RPC thread counts in memory of its own, and a scrape adds the threads
//! up: counters shared by all threads would travel between processors with every call.

mod durations;
mod sum;

use crate::methods::Method;
use crate::status::CODES;
use durations::{Durations, WatchSend};
use http::HeaderValue;
use parking_lot::Mutex;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use sum::Sum;
use tonic::Code;

/// Client versions that are counted by name; clients choose the text, and each costs two series for ever.
const VERSIONS_MAX: usize = 64;

/// Counters of one RPC thread.
pub(crate) struct Counters {
    methods: Vec<MethodCounters>,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

#[derive(Default)]
struct MethodCounters {
    started: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    handled: [AtomicU64; CODES],
}

impl Counters {
    pub fn new() -> Counters {
        Counters {
            methods: Method::ALL.iter().map(|_| MethodCounters::default()).collect(),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
        }
    }

    pub fn started(&self, method: Method) {
        self.methods[method as usize].started.fetch_add(1, Relaxed);
    }

    pub fn handled(&self, method: Method, code: Code) {
        self.methods[method as usize].handled[code as usize].fetch_add(1, Relaxed);
    }

    pub fn received(&self, method: Method, messages: u64, bytes: u64) {
        self.methods[method as usize]
            .received
            .fetch_add(messages, Relaxed);
        self.received_bytes.fetch_add(bytes, Relaxed);
    }

    pub fn sent(&self, method: Method, messages: u64, bytes: u64) {
        self.methods[method as usize].sent.fetch_add(messages, Relaxed);
        self.sent_bytes.fetch_add(bytes, Relaxed);
    }
}

/// The registered metrics.
pub(crate) struct Metrics {
    client_requests: IntCounterVec,
    versions: Mutex<BTreeMap<Vec<u8>, VersionCounters>>,
    durations: Durations,
    histograms: Option<Vec<Histogram>>,
    /// How long watch responses take to be sent.
    pub watch_send: WatchSend,
    stream_failures: IntCounterVec,
    /// Answers of `/health`.
    pub health_success: IntCounter,
    /// Refusals of `/health`.
    pub health_failures: IntCounter,
    /// Last result of each check of `/livez` and `/readyz`.
    pub check: IntGaugeVec,
    /// All results of them.
    pub checks: IntCounterVec,
    scrapes: IntCounterVec,
    scraping: IntGauge,
}

/// A scrape that runs.
pub(crate) struct Scrape<'a>(&'a Metrics);

impl Scrape<'_> {
    /// It ended with this status.
    pub fn done(self, code: &str) {
        self.0.scrapes.with_label_values(&[code]).inc();
    }
}

impl Drop for Scrape<'_> {
    fn drop(&mut self) {
        self.0.scraping.dec();
    }
}

/// Counters of the calls of one client version.
#[derive(Clone)]
pub(crate) struct VersionCounters {
    pub unary: IntCounter,
    pub stream: IntCounter,
}

impl Metrics {
    /// Registers everything; `threads` are the counters to add up.
    pub fn register(
        registry: &Registry,
        threads: Vec<Arc<Counters>>,
        call_histograms: bool,
    ) -> prometheus::Result<Metrics> {
        registry.register(Box::new(Sum::new(threads)?))?;
        let counter_vec = |name, help, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let counter = |name, help| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let check = IntGaugeVec::new(
            Opts::new(
                "etcd_server_healthcheck",
                "The result of each kind of healthcheck.",
            ),
            &["type", "name"],
        )?;
        registry.register(Box::new(check.clone()))?;
        let scrapes = counter_vec(
            "promhttp_metric_handler_requests_total",
            "Total number of scrapes by HTTP status code.",
            &["code"],
        )?;
        let scraping = IntGauge::new(
            "promhttp_metric_handler_requests_in_flight",
            "Current number of scrapes being served.",
        )?;
        registry.register(Box::new(scraping.clone()))?;
        for code in ["200", "500", "503"] {
            scrapes.with_label_values(&[code]);
        }
        Ok(Metrics {
            client_requests: counter_vec(
                "etcd_server_client_requests_total",
                "The total number of client requests per client version.",
                &["type", "client_api_version"],
            )?,
            versions: Mutex::default(),
            durations: Durations::register(registry)?,
            watch_send: WatchSend::register(registry)?,
            histograms: call_histograms.then(|| histograms(registry)).transpose()?,
            stream_failures: counter_vec(
                "etcd_network_server_stream_failures_total",
                "The total number of stream failures from the local server.",
                &["Type", "API"],
            )?,
            health_success: counter(
                "etcd_server_health_success",
                "The total number of successful health checks",
            )?,
            health_failures: counter(
                "etcd_server_health_failures",
                "The total number of failed health checks",
            )?,
            check,
            checks: counter_vec(
                "etcd_server_healthchecks_total",
                "The total number of each kind of healthcheck.",
                &["type", "name", "status"],
            )?,
            scrapes,
            scraping,
        })
    }

    /// Counters for a client version; connections keep them, so that this is no part of a call's cost.
    pub fn version(&self, version: Option<&HeaderValue>) -> VersionCounters {
        let mut version = version.map_or(&b"unknown"[..], HeaderValue::as_bytes);
        let mut versions = self.versions.lock();
        if versions.len() >= VERSIONS_MAX && !versions.contains_key(version) {
            version = b"other";
        }
        versions
            .entry(version.to_vec())
            .or_insert_with(|| {
                let text = String::from_utf8_lossy(version);
                VersionCounters {
                    unary: self.client_requests.with_label_values(&["unary", &text]),
                    stream: self.client_requests.with_label_values(&["stream", &text]),
                }
            })
            .clone()
    }

    /// Counts a scrape for as long as it runs.
    pub fn scrape(&self) -> Scrape<'_> {
        self.scraping.inc();
        Scrape(self)
    }

    /// How long a call took, and whether it was answered.
    pub fn observe(&self, method: Method, took: Duration, answered: bool) {
        let took = took.as_secs_f64();
        self.durations.observe(method, took, answered);
        if let Some(histograms) = &self.histograms {
            histograms[method as usize].observe(took);
        }
    }

    /// A stream broke while it was received from.
    pub fn stream_receive_failed(&self, api: &str) {
        self.stream_failures.with_label_values(&["receive", api]).inc();
    }
}

fn histograms(registry: &Registry) -> prometheus::Result<Vec<Histogram>> {
    let vec = HistogramVec::new(
        HistogramOpts::new(
            "grpc_server_handling_seconds",
            "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.",
        ),
        &["grpc_method", "grpc_service", "grpc_type"],
    )?;
    registry.register(Box::new(vec.clone()))?;
    Ok(Method::ALL
        .iter()
        .map(|method| vec.with_label_values(&labels(*method)))
        .collect())
}

fn labels(method: Method) -> [&'static str; 3] {
    [method.name(), method.service().name(), method.kind().label()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::TextEncoder;

    fn text(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn threads_are_added_up_and_labels_are_those_of_go_grpc_prometheus() {
        let registry = Registry::new();
        let threads = [(); 2].map(|()| Arc::new(Counters::new()));
        Metrics::register(&registry, threads.to_vec(), false).unwrap();
        for (times, thread) in [(2, &threads[0]), (4, &threads[1])] {
            for _ in 0..times {
                thread.started(Method::Watch);
                thread.handled(Method::Watch, Code::Cancelled);
                thread.received(Method::Watch, 1, 10);
            }
        }
        for _ in 0..2 {
            let text = text(&registry);
            for line in [
                "grpc_server_handled_total{grpc_code=\"Canceled\",grpc_method=\"Watch\",grpc_service=\"etcdserverpb.Watch\",grpc_type=\"bidi_stream\"} 6\n",
                "grpc_server_started_total{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 0\n",
                "etcd_network_client_grpc_received_bytes_total 60\n",
            ] {
                assert!(text.contains(line), "{line} is not in {text}");
            }
            assert!(!text.contains("v3lockpb"));
        }
    }

    #[test]
    fn clients_cannot_make_up_series_without_end() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry, Vec::new(), false).unwrap();
        for number in 0..1000 {
            let version = HeaderValue::from_str(&format!("3.{number}")).unwrap();
            metrics.version(Some(&version)).unary.inc();
        }
        let text = text(&registry);
        assert!(text.contains("{client_api_version=\"3.1\",type=\"unary\"} 1\n"));
        assert!(text.contains("{client_api_version=\"other\",type=\"unary\"} 936\n"));
        assert!(
            text.lines()
                .filter(|line| line.starts_with("etcd_server_client_requests_total"))
                .count()
                < 140
        );
    }
}
