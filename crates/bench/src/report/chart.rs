//! Throughput against latency, as an SVG: one line to a server and quantile, one point to a number of clients.

use super::compare::Rounds;
use crate::outcome::{Outcome, Phase, number};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Fewer points are no line.
const POINTS_MIN: usize = 3;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 48.0;

/// No background; grey, blue and orange can be read on white and on black, and text follows the reader's setting.
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-size:15px;font-weight:600}\
                     .grid{stroke:#888;stroke-opacity:.3}.line{fill:none;stroke-width:2}.p99{stroke-dasharray:6 4}\
                     .ours{stroke:#2f81f7}.theirs{stroke:#d9822b}.ours.dot{fill:#2f81f7}.theirs.dot{fill:#d9822b}\
                     @media(prefers-color-scheme:dark){text{fill:#d0d7de}}";

/// The same work by different numbers of clients.
#[derive(Debug)]
pub struct Sweep {
    /// The runs' name without the number of clients, and with that of members: `put/3`.
    pub name: String,
    /// By clients: ours and theirs.
    points: BTreeMap<u32, [Point; 2]>,
}

/// Medians over the rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Point {
    rate: f64,
    /// Milliseconds.
    p50: f64,
    p99: f64,
}

/// Finds sweeps: runs whose names differ only in the number of clients they end with.
pub fn sweeps(rows: &[(String, Rounds, Rounds)]) -> Vec<Sweep> {
    let mut found: Vec<Sweep> = Vec::new();
    for (name, ours, theirs) in rows {
        let Some((name, clients)) = ours.first().and_then(|outcome| series(name, outcome)) else {
            continue;
        };
        let (Some(ours), Some(theirs)) = (Point::of(ours), Point::of(theirs)) else {
            continue;
        };
        let place = found
            .iter()
            .position(|sweep| sweep.name == name)
            .unwrap_or_else(|| {
                let points = BTreeMap::new();
                found.push(Sweep { name, points });
                found.len() - 1
            });
        found[place].points.insert(clients, [ours, theirs]);
    }
    found.retain(|sweep| sweep.points.len() >= POINTS_MIN);
    found
}

/// `put-64/3` that ran with `--clients 64` is a point of `put/3`. Other numbers at the end are no clients.
fn series(name: &str, outcome: &Outcome) -> Option<(String, u32)> {
    let (name, members) = name.split_once('/').unwrap_or((name, ""));
    let (series, clients) = name.rsplit_once('-')?;
    let mut words = outcome.command.split_whitespace();
    words.find(|word| *word == "--clients")?;
    if words.next()? != clients {
        return None;
    }
    let series = match members {
        "" => series.to_owned(),
        members => format!("{series}/{members}"),
    };
    Some((series, clients.parse().ok()?))
}

impl Point {
    fn of(rounds: &Rounds) -> Option<Point> {
        let run = |outcome: &Outcome| -> Option<Phase> {
            let found = outcome.phases.iter().find(|phase| phase.name == "run");
            // A logarithm has no place for nothing.
            found
                .filter(|phase| phase.rate > 0.0 && phase.latency.p50 > 0.0)
                .cloned()
        };
        let runs: Vec<Phase> = rounds.iter().filter_map(run).collect();
        let median = |of: fn(&Phase) -> f64| super::compare::median(&runs.iter().map(of).collect::<Vec<_>>());
        Some(Point {
            rate: median(|phase| phase.rate)?,
            p50: median(|phase| phase.latency.p50)?,
            p99: median(|phase| phase.latency.p99)?,
        })
    }
}

/// A logarithmic axis: values between whole steps of 1, 2 and 5, onto pixels.
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Axis {
        let least = values.clone().fold(f64::MAX, f64::min);
        let most = values.fold(f64::MIN_POSITIVE, f64::max);
        let all = steps(least.log10().floor() as i32, most.log10().ceil() as i32);
        let below = all.iter().copied().rfind(|step| *step <= least).unwrap_or(least);
        let above = all.iter().copied().find(|step| *step >= most).unwrap_or(most);
        Axis {
            least: below,
            // One step wide even where all values are the same.
            most: if above > below { above } else { below * 2.0 },
            from,
            to,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value / self.least).ln() / (self.most / self.least).ln();
        self.from + share * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        let (low, high) = (self.least.log10().floor() as i32, self.most.log10().ceil() as i32);
        let inside = |step: &f64| *step >= self.least * 0.999 && *step <= self.most * 1.001;
        steps(low, high).into_iter().filter(inside).collect()
    }
}

/// 1, 2 and 5 of each power of ten.
fn steps(low: i32, high: i32) -> Vec<f64> {
    let decade = |power: i32| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(power));
    (low..=high).flat_map(decade).collect()
}

impl Sweep {
    /// A name for its file.
    pub fn file(&self) -> String {
        self.name.replace('/', "-of-") + ".svg"
    }

    /// The chart.
    pub fn svg(&self, ours: &str, theirs: &str) -> String {
        let points = || self.points.values().flatten();
        let x = Axis::over(points().map(|point| point.rate), LEFT, WIDTH - RIGHT);
        let latencies = points().flat_map(|point| [point.p50, point.p99]);
        let y = Axis::over(latencies, HEIGHT - BOTTOM, TOP);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
             <style>{STYLE}</style>\n<text class=\"title\" x=\"{LEFT}\" y=\"20\">{}: latency (ms) against \
             operations a second, by clients</text>\n",
            escaped(&self.name)
        );
        grid(&mut out, &x, &y);
        let servers = [("ours", ours, 0), ("theirs", theirs, 1)];
        for (class, name, server) in servers {
            let line = |quantile: fn(&Point) -> f64| {
                let place = |both: &[Point; 2]| {
                    let point = &both[server];
                    format!("{:.1},{:.1}", x.place(point.rate), y.place(quantile(point)))
                };
                self.points.values().map(place).collect::<Vec<_>>().join(" ")
            };
            let _ = writeln!(
                out,
                "<polyline class=\"line {class}\" points=\"{}\"/>\n<polyline class=\"line p99 {class}\" points=\"{}\"/>",
                line(|point| point.p50),
                line(|point| point.p99)
            );
            for (clients, both) in &self.points {
                dots(&mut out, class, *clients, &both[server], &x, &y);
            }
            legend(&mut out, class, name, server);
        }
        out + "</svg>\n"
    }
}

fn grid(out: &mut String, x: &Axis, y: &Axis) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for tick in x.ticks() {
        let (at, label) = (x.place(tick), number(tick));
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            bottom + 20.0
        );
    }
    for tick in y.ticks() {
        let (at, label) = (y.place(tick), number(tick));
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            at + 4.0
        );
    }
}

fn dots(out: &mut String, class: &str, clients: u32, point: &Point, x: &Axis, y: &Axis) {
    let at = x.place(point.rate);
    for (quantile, latency) in [("p50", point.p50), ("p99", point.p99)] {
        let _ = writeln!(
            out,
            "<circle class=\"dot {class}\" cx=\"{at:.1}\" cy=\"{:.1}\" r=\"4\"><title>{clients} clients: {} a second, \
             {quantile} {} ms</title></circle>",
            y.place(latency),
            number(point.rate),
            number(latency)
        );
    }
    // Between the medians and what is beyond the axis there is always room.
    let _ = writeln!(
        out,
        "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{clients}</text>",
        y.place(point.p50) - 9.0
    );
}

fn legend(out: &mut String, class: &str, name: &str, row: usize) {
    let at = LEFT + 240.0 * row as f64;
    for (quantile, class, offset) in [
        ("p50", class.to_owned(), 0.0),
        ("p99", format!("p99 {class}"), 120.0),
    ] {
        let from = at + offset;
        let _ = writeln!(
            out,
            "<line class=\"line {class}\" x1=\"{from}\" x2=\"{}\" y1=\"40\" y2=\"40\"/>\
             <text x=\"{}\" y=\"44\">{}{quantile}</text>",
            from + 24.0,
            from + 29.0,
            if offset == 0.0 {
                escaped(name) + " "
            } else {
                String::new()
            }
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Latency;

    fn row(name: &str, clients: u32, rate: f64) -> (String, Rounds, Rounds) {
        let rounds = |rate: f64| {
            vec![Outcome {
                command: format!("quorate-bench run put --conns 4 --clients {clients} --keys 9"),
                phases: vec![Phase {
                    name: "run".into(),
                    rate,
                    latency: Latency {
                        p50: 1000.0 / rate,
                        p99: 3000.0 / rate,
                        ..Latency::default()
                    },
                    ..Phase::default()
                }],
                ..Outcome::default()
            }]
        };
        (name.to_owned(), rounds(2.0 * rate), rounds(rate))
    }

    #[test]
    fn runs_that_differ_in_their_clients_are_one_chart() {
        let rows = [
            row("put-1/3", 1, 500.0),
            row("put-64/3", 64, 3_000.0),
            row("put-512/3", 512, 5_000.0),
            // Other members, too few points, and a number that is none of clients.
            row("put-1/1", 1, 900.0),
            row("put-64/1", 64, 900.0),
            row("range-1000/3", 16, 900.0),
        ];
        let found = sweeps(&rows);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].name.as_str(), found[0].file().as_str()),
            ("put/3", "put-of-3.svg")
        );
        let svg = found[0].svg("quorate", "etcd");
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert_eq!(svg.matches("<circle").count(), 12);
        assert!(svg.contains("512 clients: 10000 a second, p99 0.300 ms"), "{svg}");
    }

    #[test]
    fn what_lies_on_an_axis_lies_inside_of_it() {
        for values in [vec![7.0], vec![0.3, 4_999.0], vec![1.0, 10.0], vec![9.99e5, 1e6]] {
            let axis = Axis::over(values.iter().copied(), 100.0, 700.0);
            for value in values {
                let place = axis.place(value);
                assert!((99.9..700.1).contains(&place), "{value} is at {place}");
            }
            assert!(axis.ticks().len() >= 2);
        }
    }

    #[test]
    fn a_run_without_an_operation_has_no_point() {
        let mut rows = [row("put-1", 1, 1.0), row("put-8", 8, 2.0), row("put-64", 64, 3.0)];
        assert_eq!(sweeps(&rows).len(), 1);
        rows[1].2[0].phases[0].rate = 0.0;
        assert!(sweeps(&rows).is_empty());
    }
}
