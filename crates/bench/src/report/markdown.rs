//! A comparison as Markdown tables.

use super::compare::{Compared, FIGURES, Rounds, compare, compare_extra, same_answers};
use crate::outcome::number;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Ratios this near to 1 are noise.
const NOISE: f64 = 0.95;

/// Writes all tables: what was measured, then what ours is worse at, then what differs in its answers.
pub fn write(rows: &[(String, Rounds, Rounds)], ours: &str, theirs: &str) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Each cell: {theirs} → {ours}, medians over the rounds. In parentheses how many times better {ours} is, with \
         the least and the most over the rounds where there were several; below 1 it is worse.\n"
    );
    let names = FIGURES.map(|figure| figure.name);
    let _ = writeln!(out, "| workload | {} |", names.join(" | "));
    let _ = writeln!(out, "|---{}|", "|---:".repeat(names.len()));
    let mut losses = Vec::new();
    for (name, our, their) in rows {
        for phase in phases(our) {
            let row = match phase.as_str() {
                "run" => name.clone(),
                phase => format!("{name}: {phase}"),
            };
            let _ = write!(out, "| {row} |");
            for figure in FIGURES {
                let compared = compare(figure, &phase, our, their);
                let _ = write!(out, " {} |", compared.map_or("-".into(), cell));
                note(&mut losses, &row, figure.name, compared);
            }
            out.push('\n');
        }
    }
    extras(&mut out, &mut losses, rows);
    let _ = writeln!(out, "\nWhere {ours} is worse:\n");
    if losses.is_empty() {
        let _ = writeln!(out, "- nowhere in these workloads.");
    }
    for loss in losses {
        let _ = writeln!(out, "- {loss}");
    }
    failures(&mut out, rows, ours, theirs);
    out
}

/// Names of phases, in the order of the first round.
fn phases(rounds: &Rounds) -> Vec<String> {
    let first = rounds.first().map(|outcome| outcome.phases.as_slice());
    first
        .unwrap_or_default()
        .iter()
        .map(|phase| phase.name.clone())
        .collect()
}

fn cell(compared: Compared) -> String {
    let mut cell = format!("{} → {}", number(compared.theirs), number(compared.ours));
    match compared.ratio {
        Some([median, least, most]) if least == most => {
            let _ = write!(cell, " ({})", number(median));
        }
        Some([median, least, most]) => {
            let _ = write!(cell, " ({}; {}–{})", number(median), number(least), number(most));
        }
        None => {}
    }
    cell
}

fn note(losses: &mut Vec<String>, row: &str, figure: &str, compared: Option<Compared>) {
    if let Some(compared) = compared
        && compared.ratio.is_some_and(|[median, ..]| median < NOISE)
    {
        losses.push(format!("{row}, {figure}: {}", cell(compared)));
    }
}

fn extras(out: &mut String, losses: &mut Vec<String>, rows: &[(String, Rounds, Rounds)]) {
    let mut table = String::new();
    for (name, our, their) in rows {
        let names = our.iter().flat_map(|outcome| outcome.figures.keys());
        for figure in names.collect::<BTreeSet<_>>() {
            if let Some(compared) = compare_extra(figure, our, their) {
                let _ = writeln!(table, "| {name} | {figure} | {} |", cell(compared));
                note(losses, name, figure, Some(compared));
            }
        }
    }
    if !table.is_empty() {
        let _ = write!(out, "\n| workload | figure | |\n|---|---|---:|\n{table}");
    }
}

fn failures(out: &mut String, rows: &[(String, Rounds, Rounds)], ours: &str, theirs: &str) {
    for (name, our, their) in rows {
        if same_answers(our, their) == Some(false) {
            let _ = writeln!(
                out,
                "\n**{name}: the answers differ.** Compare the hashes in the raw results."
            );
        }
        for (server, rounds) in [(ours, our), (theirs, their)] {
            let phases = rounds.iter().flat_map(|outcome| &outcome.phases);
            let errors: u64 = phases.clone().map(|phase| phase.errors).sum();
            if let Some(failure) = phases.filter_map(|phase| phase.failure.as_ref()).next() {
                let _ = writeln!(
                    out,
                    "\n{name}: {errors} operations failed on {server}, the first with: {failure}."
                );
            }
        }
    }
    let hashed = rows
        .iter()
        .filter(|(_, our, their)| same_answers(our, their) == Some(true));
    let _ = writeln!(
        out,
        "\nIn {} of {} workloads both servers' answers to the first operations were hashed and are the same.",
        hashed.count(),
        rows.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Outcome, Phase};

    #[test]
    fn losses_are_listed_and_wins_are_not() {
        let rounds = |rate| {
            vec![Outcome {
                phases: vec![Phase {
                    name: "run".into(),
                    rate,
                    ..Phase::default()
                }],
                ..Outcome::default()
            }]
        };
        let rows = [
            ("put".to_owned(), rounds(50.0), rounds(100.0)),
            ("get".to_owned(), rounds(200.0), rounds(100.0)),
        ];
        let text = write(&rows, "ours", "theirs");
        assert!(text.contains("- put, ops/s: 100 → 50.0 (0.500)"), "{text}");
        assert!(!text.contains("- get"), "{text}");
    }
}
