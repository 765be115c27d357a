//! What a run found, for files and for people.

use crate::clock::{Nanos, SECOND};
use crate::server::Books;
use crate::stats::{Latencies, Tally};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Everything about one run.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of the workload.
    pub workload: String,
    /// A name for the run among others, given on the command line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The command line.
    pub command: String,
    /// What the first endpoint says its version is.
    pub server_version: String,
    /// Of the first answers; see `stats::Digest`.
    pub hash: Option<String>,
    /// In their order.
    pub phases: Vec<Phase>,
    /// Figures that only this workload has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
}

/// A stretch of a run in which one thing was measured.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Phase {
    /// What was going on.
    pub name: String,
    /// How long.
    pub seconds: f64,
    /// Operations that succeeded.
    pub operations: u64,
    /// Operations that failed.
    pub errors: u64,
    /// The first failure, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Operations a second.
    pub rate: f64,
    /// Things in the answers, a second.
    pub items_rate: f64,
    /// Megabytes of answers a second.
    pub megabytes_rate: f64,
    /// Milliseconds.
    pub latency: Latency,
    /// Processor time of this generator per operation, microseconds.
    pub client_cpu_us: f64,
    /// What the server spent; only where its processes were named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Spent>,
}

/// Latencies in milliseconds.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// What operations cost the servers.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Spent {
    /// Microseconds of processor time per operation, which is seconds per million operations.
    pub cpu_us: f64,
    /// Processors busy on average.
    pub cores: f64,
    /// Resident megabytes at the end, and the most ever.
    pub rss_mb: f64,
    pub peak_rss_mb: f64,
    /// Bytes written to disk per operation.
    pub written: f64,
    /// Syncs of the log per operation.
    pub fsyncs: f64,
}

impl From<&Latencies> for Latency {
    fn from(latencies: &Latencies) -> Latency {
        Latency {
            mean: round(latencies.mean()),
            p50: round(latencies.quantile(0.5)),
            p90: round(latencies.quantile(0.9)),
            p99: round(latencies.quantile(0.99)),
            p999: round(latencies.quantile(0.999)),
            max: round(latencies.max()),
        }
    }
}

/// Four digits are more than a benchmark knows.
fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

impl Phase {
    /// A phase of this length.
    pub fn new(name: &str, length: Nanos, tally: Tally) -> Phase {
        let seconds = length as f64 / SECOND as f64;
        let operations = tally.latencies.count();
        Phase {
            name: name.to_owned(),
            seconds: round(seconds),
            operations,
            errors: tally.errors,
            failure: tally.failure.map(|failure| failure.to_string()),
            rate: round(operations as f64 / seconds),
            items_rate: round(tally.items as f64 / seconds),
            megabytes_rate: round(tally.bytes as f64 / seconds / 1e6),
            latency: Latency::from(&tally.latencies),
            client_cpu_us: 0.0,
            server: None,
        }
    }

    /// Adds what the books say was spent.
    pub fn with_books(mut self, before: &Books, after: &Books) -> Phase {
        let each = |before: u64, after: u64| match self.operations {
            0 => 0.0,
            operations => round(after.saturating_sub(before) as f64 / operations as f64),
        };
        self.client_cpu_us = round(each(before.own_cpu, after.own_cpu) / 1e3);
        if after.processes {
            self.server = Some(Spent {
                cpu_us: round(each(before.cpu, after.cpu) / 1e3),
                cores: round((after.cpu - before.cpu) as f64 / 1e9 / self.seconds),
                rss_mb: round(after.rss as f64 / 1e6),
                peak_rss_mb: round(after.peak_rss as f64 / 1e6),
                written: each(before.written, after.written),
                fsyncs: each(before.fsyncs, after.fsyncs),
            });
        }
        self
    }
}

impl Outcome {
    /// A table for people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let header = [
            "phase",
            "ops/s",
            "items/s",
            "MB/s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "max ms",
            "errors",
            "server us/op",
            "client us/op",
            "RSS MB",
            "written/op",
            "fsyncs/op",
        ];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for phase in &self.phases {
            let latency = &phase.latency;
            let mut row = vec![phase.name.clone()];
            row.extend([phase.rate, phase.items_rate, phase.megabytes_rate].map(number));
            row.extend([latency.p50, latency.p99, latency.p999, latency.max].map(number));
            row.push(phase.errors.to_string());
            let server = phase.server.clone();
            let spent = |of: fn(&Spent) -> f64| server.as_ref().map_or("-".into(), |spent| number(of(spent)));
            row.push(spent(|spent| spent.cpu_us));
            row.push(number(phase.client_cpu_us));
            row.push(spent(|spent| spent.rss_mb));
            row.push(spent(|spent| spent.written));
            row.push(spent(|spent| spent.fsyncs));
            rows.push(row);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
        for row in &rows {
            for (column, cell) in row.iter().enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                let _ = write!(out, "{gap}{cell:>width$}", width = width(column));
            }
            out.push('\n');
        }
        for (name, value) in &self.figures {
            let _ = writeln!(out, "{name}: {}", number(*value));
        }
        for failure in self.phases.iter().filter_map(|phase| phase.failure.as_ref()) {
            let _ = writeln!(out, "first failure: {failure}");
        }
        let hash = self
            .hash
            .as_deref()
            .unwrap_or("none, too few operations or nothing to compare");
        let _ = writeln!(out, "hash of the answers: {hash}");
        out
    }
}

/// A number with as many digits as are worth reading.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_is_divided_by_what_was_done() {
        let mut tally = Tally::default();
        (0..1000).for_each(|_| tally.latencies.record(2_000_000));
        let before = Books {
            cpu: 5 * SECOND,
            written: 100,
            fsyncs: 10,
            processes: true,
            ..Books::default()
        };
        let after = Books {
            cpu: 6 * SECOND,
            written: 600_100,
            fsyncs: 60,
            rss: 50_000_000,
            ..before
        };
        let phase = Phase::new("run", 2 * SECOND, tally).with_books(&before, &after);
        assert_eq!(phase.rate, 500.0);
        let spent = phase.server.unwrap();
        assert_eq!((spent.cpu_us, spent.cores), (1000.0, 0.5));
        assert_eq!((spent.written, spent.fsyncs, spent.rss_mb), (600.0, 0.05, 50.0));
    }

    #[test]
    fn a_run_survives_its_file() {
        let outcome = Outcome {
            workload: "put".into(),
            phases: vec![Phase::new("run", SECOND, Tally::default())],
            ..Outcome::default()
        };
        let text = serde_json::to_string(&outcome).unwrap();
        let again: Outcome = serde_json::from_str(&text).unwrap();
        assert_eq!(again.phases[0].name, "run");
        assert!(outcome.table().contains("ops/s"));
    }

    #[test]
    fn four_digits_are_kept() {
        assert_eq!(round(123_456.0), 123_500.0);
        assert_eq!(round(0.012_345_6), 0.01235);
    }
}
