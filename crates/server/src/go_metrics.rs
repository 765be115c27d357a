//! The names under which Go's runtime speaks of itself. Dashboards and alerts made for etcd ask for them, so they are
//! there, with the nearest thing this process has: anonymous memory for the heap, threads for goroutines. What has no
//! counterpart is zero, for nothing is ever collected.

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType, Summary};
use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts};
use std::collections::HashMap;

/// A gauge's name, what it is of a [`Process`], and what its help says.
type Gauge = (&'static str, fn(&Process) -> u64, &'static str);

const GAUGES: &[Gauge] = &[
    (
        "go_goroutines",
        |process| process.threads,
        "Threads: this server is not written in Go.",
    ),
    ("go_threads", |process| process.threads, "Threads of the process."),
    (
        "go_sched_gomaxprocs_threads",
        |process| process.processors,
        "Processors the process may use.",
    ),
    (
        "go_memstats_alloc_bytes",
        |process| process.resident,
        "Anonymous memory that is resident.",
    ),
    (
        "go_memstats_heap_alloc_bytes",
        |process| process.resident,
        "Anonymous memory that is resident.",
    ),
    (
        "go_memstats_heap_inuse_bytes",
        |process| process.resident,
        "Anonymous memory that is resident.",
    ),
    (
        "go_memstats_heap_sys_bytes",
        |process| process.mapped,
        "Anonymous memory that is mapped.",
    ),
    (
        "go_memstats_heap_idle_bytes",
        Process::idle,
        "Anonymous memory that is mapped, and not resident.",
    ),
    (
        "go_memstats_heap_released_bytes",
        Process::idle,
        "Anonymous memory that is mapped, and not resident.",
    ),
    (
        "go_memstats_stack_inuse_bytes",
        |process| process.stack,
        "Stack of the first thread.",
    ),
    (
        "go_memstats_stack_sys_bytes",
        |process| process.stack,
        "Stack of the first thread.",
    ),
    (
        "go_memstats_sys_bytes",
        |process| process.mapped + process.stack,
        "Anonymous memory and stack, mapped.",
    ),
    (
        "go_gc_gomemlimit_bytes",
        |_| i64::MAX as u64,
        "No limit: there is no garbage collector.",
    ),
    ("go_gc_gogc_percent", |_| 0, NOTHING),
    ("go_memstats_buck_hash_sys_bytes", |_| 0, NOTHING),
    ("go_memstats_gc_sys_bytes", |_| 0, NOTHING),
    ("go_memstats_heap_objects", |_| 0, NOTHING),
    ("go_memstats_last_gc_time_seconds", |_| 0, NOTHING),
    ("go_memstats_mcache_inuse_bytes", |_| 0, NOTHING),
    ("go_memstats_mcache_sys_bytes", |_| 0, NOTHING),
    ("go_memstats_mspan_inuse_bytes", |_| 0, NOTHING),
    ("go_memstats_mspan_sys_bytes", |_| 0, NOTHING),
    ("go_memstats_next_gc_bytes", |_| 0, NOTHING),
    ("go_memstats_other_sys_bytes", |_| 0, NOTHING),
];

/// Counters of what is not counted here.
const COUNTERS: [&str; 3] = [
    "go_memstats_alloc_bytes_total",
    "go_memstats_frees_total",
    "go_memstats_mallocs_total",
];

const NOTHING: &str = "Always 0: this server is not written in Go.";

/// What the kernel says of the process; bytes.
struct Process {
    threads: u64,
    processors: u64,
    resident: u64,
    mapped: u64,
    stack: u64,
}

impl Process {
    fn now() -> Process {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
        Process::parse(&status, processors)
    }

    fn parse(status: &str, processors: u64) -> Process {
        let fields: HashMap<&str, u64> = status
            .lines()
            .filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                let mut words = value.split_whitespace();
                let number: u64 = words.next()?.parse().ok()?;
                // All sizes are in this unit.
                let unit = if words.next() == Some("kB") { 1024 } else { 1 };
                Some((name, number.saturating_mul(unit)))
            })
            .collect();
        let field = |name| fields.get(name).copied().unwrap_or_default();
        Process {
            threads: field("Threads"),
            processors,
            resident: field("RssAnon"),
            mapped: field("VmData"),
            stack: field("VmStk"),
        }
    }

    fn idle(&self) -> u64 {
        self.mapped.saturating_sub(self.resident)
    }
}

/// All of them, looked at when somebody asks.
pub struct GoMetrics {
    gauges: Vec<IntGauge>,
    counters: Vec<IntCounter>,
    language: IntGaugeVec,
}

impl GoMetrics {
    /// To be registered once.
    pub fn new() -> prometheus::Result<GoMetrics> {
        let gauges = GAUGES.iter().map(|(name, _, help)| IntGauge::new(*name, *help));
        let counters = COUNTERS.iter().map(|name| IntCounter::new(*name, NOTHING));
        let language = IntGaugeVec::new(
            Opts::new(
                "go_info",
                "1 for the language the server is built with; the name is Go's.",
            ),
            &["version"],
        )?;
        language.with_label_values(&["none (rust)"]).set(1);
        Ok(GoMetrics {
            gauges: gauges.collect::<Result<_, _>>()?,
            counters: counters.collect::<Result<_, _>>()?,
            language,
        })
    }
}

impl Collector for GoMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = self.gauges.iter().flat_map(|gauge| gauge.desc());
        let counters = self.counters.iter().flat_map(|counter| counter.desc());
        gauges.chain(counters).chain(self.language.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let process = Process::now();
        for (gauge, (_, value, _)) in self.gauges.iter().zip(GAUGES) {
            gauge.set(i64::try_from(value(&process)).unwrap_or(i64::MAX));
        }
        let gauges = self.gauges.iter().flat_map(|gauge| gauge.collect());
        let counters = self.counters.iter().flat_map(|counter| counter.collect());
        gauges
            .chain(counters)
            .chain(self.language.collect())
            .chain([collections()])
            .collect()
    }
}

/// A summary of no pauses at all; the library has none of its own.
fn collections() -> MetricFamily {
    let mut metric = Metric::default();
    metric.set_summary(Summary::default());
    let mut family = MetricFamily::default();
    family.set_name("go_gc_duration_seconds".to_owned());
    family.set_help("Pauses for garbage collection: none ever.".to_owned());
    family.set_field_type(MetricType::SUMMARY);
    family.set_metric(vec![metric]);
    family
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Registry, TextEncoder};

    #[test]
    fn a_dashboard_for_etcd_finds_what_go_would_say() {
        let registry = Registry::new();
        registry.register(Box::new(GoMetrics::new().unwrap())).unwrap();
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "# TYPE go_gc_duration_seconds summary",
            "go_gc_duration_seconds_count 0",
            "go_info{version=\"none (rust)\"} 1",
            "# TYPE go_memstats_mallocs_total counter",
            "go_memstats_next_gc_bytes 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
        }
        assert!(
            !text.contains("\ngo_threads 0\n") && !text.contains("\ngo_memstats_alloc_bytes 0\n"),
            "{text}"
        );
    }

    #[test]
    fn what_the_kernel_says_is_read_with_its_units() {
        let process = Process::parse(
            "Name:\tquorate\nVmData:\t  20 kB\nRssAnon:\t 8 kB\nThreads:\t7\nVmStk: x",
            2,
        );
        assert_eq!(
            (
                process.threads,
                process.resident,
                process.mapped,
                process.stack,
                process.idle()
            ),
            (7, 8192, 20480, 0, 12288)
        );
    }
}
