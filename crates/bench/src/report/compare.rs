//! The arithmetic of comparisons.

use crate::outcome::{Outcome, Phase, Spent};

/// The runs of one workload on one server, in the order of their rounds.
pub type Rounds = Vec<Outcome>;

/// A figure of a phase: how to get it, and which way is better.
#[derive(Clone, Copy)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Whether more is better.
    pub more_is_better: bool,
    get: fn(&Phase) -> Option<f64>,
}

const fn figure(name: &'static str, more_is_better: bool, get: fn(&Phase) -> Option<f64>) -> Figure {
    Figure {
        name,
        more_is_better,
        get,
    }
}

fn spent(phase: &Phase, get: fn(&Spent) -> f64) -> Option<f64> {
    phase.server.as_ref().map(get)
}

/// What is compared, in the order of the report.
pub const FIGURES: [Figure; 9] = [
    figure("ops/s", true, |phase| Some(phase.rate)),
    figure("p50 ms", false, |phase| Some(phase.latency.p50)),
    figure("p99 ms", false, |phase| Some(phase.latency.p99)),
    figure("p99.9 ms", false, |phase| Some(phase.latency.p999)),
    figure("CPU µs/op", false, |phase| spent(phase, |spent| spent.cpu_us)),
    figure("RSS MB", false, |phase| spent(phase, |spent| spent.rss_mb)),
    figure("peak RSS MB", false, |phase| {
        spent(phase, |spent| spent.peak_rss_mb)
    }),
    figure("written B/op", false, |phase| spent(phase, |spent| spent.written)),
    figure("fsyncs/op", false, |phase| spent(phase, |spent| spent.fsyncs)),
];

/// A figure on both servers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Compared {
    /// Medians over the rounds.
    pub ours: f64,
    pub theirs: f64,
    /// How many times better ours is: median, least and most over the rounds; `None` where one side is 0.
    pub ratio: Option<[f64; 3]>,
}

/// Compares a figure of a phase.
pub fn compare(figure: Figure, phase: &str, ours: &Rounds, theirs: &Rounds) -> Option<Compared> {
    let values = |rounds: &Rounds| -> Vec<f64> {
        let found = rounds.iter().filter_map(|outcome| {
            let phase = outcome.phases.iter().find(|one| one.name == phase)?;
            (figure.get)(phase)
        });
        found.collect()
    };
    of(values(ours), values(theirs), figure.more_is_better)
}

/// Compares a figure that only some workloads have, and of which less is better.
pub fn compare_extra(name: &str, ours: &Rounds, theirs: &Rounds) -> Option<Compared> {
    let values = |rounds: &Rounds| -> Vec<f64> {
        let found = rounds
            .iter()
            .filter_map(|outcome| outcome.figures.get(name).copied());
        found.collect()
    };
    of(values(ours), values(theirs), false)
}

fn of(ours: Vec<f64>, theirs: Vec<f64>, more_is_better: bool) -> Option<Compared> {
    let ratios = ours
        .iter()
        .zip(&theirs)
        .map(|(ours, theirs)| match more_is_better {
            true => ours / theirs,
            false => theirs / ours,
        });
    let ratios: Vec<f64> = ratios.filter(|ratio| ratio.is_finite() && *ratio > 0.0).collect();
    let bound = |pick: fn(f64, f64) -> f64| ratios.iter().copied().reduce(pick);
    let ratio = match (median(&ratios), bound(f64::min), bound(f64::max)) {
        (Some(median), Some(least), Some(most)) => Some([median, least, most]),
        _ => None,
    };
    Some(Compared {
        ours: median(&ours)?,
        theirs: median(&theirs)?,
        ratio,
    })
}

/// The middle, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// Whether both servers answered the same in every round; `None` where nothing was hashed.
pub fn same_answers(ours: &Rounds, theirs: &Rounds) -> Option<bool> {
    let mut hashes = ours
        .iter()
        .chain(theirs)
        .filter_map(|outcome| outcome.hash.as_ref());
    let first = hashes.next()?;
    Some(hashes.all(|hash| hash == first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(rates: &[f64]) -> Rounds {
        let outcome = |rate: &f64| Outcome {
            hash: Some("5".into()),
            phases: vec![Phase {
                name: "run".into(),
                rate: *rate,
                latency: crate::outcome::Latency {
                    p99: 1000.0 / rate,
                    ..Default::default()
                },
                ..Phase::default()
            }],
            ..Outcome::default()
        };
        rates.iter().map(outcome).collect()
    }

    #[test]
    fn the_ratio_is_the_median_of_pairs_with_its_spread() {
        let (ours, theirs) = (rounds(&[200.0, 500.0, 300.0]), rounds(&[100.0, 100.0, 200.0]));
        let rate = compare(FIGURES[0], "run", &ours, &theirs).unwrap();
        assert_eq!((rate.ours, rate.theirs), (300.0, 100.0));
        assert_eq!(rate.ratio, Some([2.0, 1.5, 5.0]));
    }

    #[test]
    fn of_latencies_less_is_better() {
        let p99 = compare(FIGURES[2], "run", &rounds(&[200.0]), &rounds(&[100.0])).unwrap();
        assert_eq!(p99.ratio, Some([2.0, 2.0, 2.0]));
    }

    #[test]
    fn what_was_not_measured_is_not_compared() {
        assert_eq!(compare(FIGURES[4], "run", &rounds(&[1.0]), &rounds(&[1.0])), None);
        assert_eq!(
            compare(FIGURES[0], "other", &rounds(&[1.0]), &rounds(&[1.0])),
            None
        );
        let nothing = compare(FIGURES[0], "run", &rounds(&[1.0]), &rounds(&[0.0])).unwrap();
        assert_eq!(nothing.ratio, None);
    }

    #[test]
    fn a_server_that_answers_otherwise_is_found() {
        let (ours, mut theirs) = (rounds(&[1.0]), rounds(&[1.0, 2.0]));
        assert_eq!(same_answers(&ours, &theirs), Some(true));
        theirs[1].hash = Some("6".into());
        assert_eq!(same_answers(&ours, &theirs), Some(false));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
