//! Compares the results of two servers.

mod chart;
mod compare;
mod markdown;

use crate::outcome::Outcome;
use crate::{Error, Result};
use compare::Rounds;
use std::collections::BTreeMap;
use std::path::Path;

/// Reads a file of results, one to a line, labelled NAME.SERVER.ROUND, and writes what they say as Markdown. What was
/// not run on both servers is left out and named. Into `charts`, a directory, goes an SVG for each sweep of clients, which
/// the Markdown shows by its name.
pub fn report(file: &Path, ours: &str, theirs: &str, charts: Option<&Path>) -> Result<String> {
    let mut rows = Vec::new();
    let mut alone = Vec::new();
    for (name, mut servers) in read(file)? {
        match (servers.remove(ours), servers.remove(theirs)) {
            (Some(our), Some(their)) => rows.push((name, our, their)),
            _ => alone.push(name),
        }
    }
    let mut text = markdown::write(&rows, ours, theirs);
    for sweep in charts.map(|_| chart::sweeps(&rows)).unwrap_or_default() {
        let path = charts.unwrap_or(Path::new(".")).join(sweep.file());
        std::fs::write(&path, sweep.svg(ours, theirs)).map_err(|source| Error::File {
            path: path.display().to_string(),
            source,
        })?;
        text += &format!(
            "\n![{}: throughput against latency]({})\n",
            sweep.name,
            sweep.file()
        );
    }
    if !alone.is_empty() {
        text += &format!("\nOnly one server has results of: {}.\n", alone.join(", "));
    }
    Ok(text)
}

/// Rounds by server, by name in the order of the file.
fn read(file: &Path) -> Result<Vec<(String, BTreeMap<String, Rounds>)>> {
    let path = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|source| Error::File {
        path: path.clone(),
        source,
    })?;
    let mut found: Vec<(String, BTreeMap<String, Rounds>)> = Vec::new();
    for line in text.lines() {
        let outcome: Outcome = serde_json::from_str(line).map_err(|source| Error::Result {
            path: path.clone(),
            source,
        })?;
        let (name, server) = parts(&outcome.label).ok_or_else(|| {
            Error::Unmet(format!(
                "{path}: the label {:?} is not NAME.SERVER.ROUND",
                outcome.label
            ))
        })?;
        let place = found
            .iter()
            .position(|(known, _)| *known == name)
            .unwrap_or_else(|| {
                found.push((name, BTreeMap::new()));
                found.len() - 1
            });
        found[place].1.entry(server).or_default().push(outcome);
    }
    Ok(found)
}

/// Name and server out of NAME.SERVER.ROUND.
fn parts(label: &str) -> Option<(String, String)> {
    let (rest, _round) = label.rsplit_once('.')?;
    let (name, server) = rest.rsplit_once('.')?;
    Some((name.to_owned(), server.to_owned()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn labels_say_what_was_run_where() {
        let parts = super::parts("put-64/3.etcd.2");
        assert_eq!(parts, Some(("put-64/3".to_owned(), "etcd".to_owned())));
        assert_eq!(super::parts("put"), None);
    }
}
