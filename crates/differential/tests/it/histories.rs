//! Random histories against real servers.

use differential::{Dialect, Setup, Verdict, generate, shrink, write_script};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The server under test: `QUORATE_BIN`, else the binary beside this test's own.
pub(crate) fn ours() -> PathBuf {
    if let Some(path) = std::env::var_os("QUORATE_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    let binary = test
        .ancestors()
        .nth(2)
        .expect("tests lie two levels deep")
        .join("quorate");
    assert!(
        binary.exists(),
        "{} is missing: cargo build --bin quorate",
        binary.display()
    );
    binary
}

/// etcd: `QUORATE_RIVAL`, else the one in the path.
pub(crate) fn rival() -> PathBuf {
    if let Some(path) = std::env::var_os("QUORATE_RIVAL") {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("etcd"))
        .find(|file| file.is_file());
    found.expect("an etcd to compare with: install etcd-server, or name one in QUORATE_RIVAL")
}

fn setup(theirs: PathBuf, dialect: Dialect, dir: &Path) -> Setup {
    Setup {
        ours: ours(),
        theirs,
        dialect,
        dir: dir.to_owned(),
    }
}

/// Catches whatever a client of etcd would notice: an answer, an error's words, an event, a hash.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_answers_as_etcd_does() {
    let dir = tempfile::tempdir().unwrap();
    let rival = rival();
    let dialect = Dialect::of(&rival).unwrap();
    let setup = setup(rival, dialect, dir.path());
    let mut refused = 0;
    for seed in 0..8 {
        let history = generate(seed, 400, dialect);
        let trial = setup.play(&history).await.unwrap();
        refused += trial.refused;
        if let Verdict::Differs(difference) = trial.verdict {
            // Not a slow machine's lease that expired: that does not happen twice at the same place.
            let again = setup.play(&history).await.unwrap();
            let Verdict::Differs(_) = again.verdict else {
                continue;
            };
            let budget = Duration::from_secs(30);
            let (script, difference) = shrink(&setup, &history, &trial.sent, difference, budget).await;
            panic!("seed {seed} of 400 steps:\n{}{difference}", write_script(&script));
        }
    }
    assert!(
        refused > 100,
        "histories that are hardly ever refused test half of the API"
    );
}

/// A harness that finds nothing would pass for a server without faults.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_differs_is_found_out_in_few_steps() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other");
    let script = format!("#!/bin/sh\nexec {} \"$@\" --max-txn-ops=2\n", ours().display());
    std::fs::write(&other, script).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
    let setup = setup(other, Dialect::V37, dir.path());
    for seed in 0..20 {
        let history = generate(seed, 150, Dialect::V37);
        let trial = setup.play(&history).await.unwrap();
        let Verdict::Differs(difference) = trial.verdict else {
            continue;
        };
        let budget = Duration::from_secs(60);
        let (script, difference) = shrink(&setup, &history, &trial.sent, difference, budget).await;
        assert!(script.len() <= 3, "{}", write_script(&script));
        let difference = difference.to_string();
        assert!(
            difference.contains("too many operations in txn request"),
            "{difference}"
        );
        return;
    }
    panic!("twenty histories without a transaction of three operations");
}
