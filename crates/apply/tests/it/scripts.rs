//! Runs the scripts in tests/scripts. Each is input, a line `---`, and the output; `UPDATE_GOLDENFILES=1` records the
//! output anew, to be read before it is committed.

use crate::{machine, parse, show};
use model::{LogIndex, Term};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use storage::memory::MemoryBackend;

#[test]
fn scripts_give_their_recorded_output() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    for path in scripts {
        let text = std::fs::read_to_string(&path).unwrap();
        let (input, recorded) = text.split_once("\n---\n").unwrap_or((text.trim_end(), ""));
        let output = run(input);
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            std::fs::write(&path, format!("{input}\n---\n{output}")).unwrap();
        } else {
            assert_eq!(output, recorded, "{}", path.display());
        }
    }
}

/// Every line is a group of its own. The line `restart` crashes the machine and replays what a crash took.
fn run(input: &str) -> String {
    let mut backend = Arc::new(MemoryBackend::new());
    let mut machine = machine::open(backend.clone());
    let mut output = String::new();
    for line in input.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "restart" {
            storage::Backend::flush(backend.as_ref()).unwrap();
            backend = Arc::new(backend.crash());
            machine = machine::open(backend.clone());
            writeln!(output, "restart").unwrap();
            continue;
        }
        let index = LogIndex(machine.applied().index.0 + 1);
        let mut command = parse::command(index.0, line);
        if !command.username.is_empty() {
            command.auth_revision = machine.shared().rules().revision();
        }
        let outcome = machine.apply(index, Term(1), &command, true).unwrap();
        machine.commit().unwrap();
        writeln!(output, "{line} → {}", show::result(&outcome.result)).unwrap();
    }
    output
}
