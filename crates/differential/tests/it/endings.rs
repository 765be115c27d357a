//! How a run ends before its time.

use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Command lines of processes that have `dir` in them.
fn servers(dir: &Path) -> Vec<String> {
    let dir = dir.to_string_lossy();
    let lines = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let line = std::fs::read_to_string(entry.ok()?.path().join("cmdline")).ok()?;
        Some(line.replace('\0', " "))
    });
    lines
        .filter(|line| line.contains("--data-dir=") && line.contains(&*dir))
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "waits for processes")]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_run_that_is_terminated_leaves_no_server_and_no_file_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_quorate-diff"))
        .arg("--ours")
        .arg(crate::histories::ours())
        .arg("--rival")
        .arg(crate::histories::rival())
        .args(["--operations", "1000000", "--pairs", "2", "--dir"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Both pairs, in the middle of their histories or still starting.
    wait_until("four servers", || servers(dir.path()).len() == 4);
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    assert!(!run.wait().unwrap().success(), "it did not come to its end");
    assert_eq!(servers(dir.path()), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
