//! Which operations reach the directory, in which order: a lost fsync is a lost line. The recordings are in traces/;
//! `UPDATE_GOLDENFILES=1` writes them anew.

use crate::util::{commit, create, entries, marker, open};
use std::path::Path;
use wal::{MemoryDir, Record};

fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/traces")
        .join(name);
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, actual).expect("write");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == actual, "{} differs; now:\n{actual}", path.display());
}

/// Runs the steps and prints what each did.
struct Story {
    dir: MemoryDir,
    text: String,
}

impl Story {
    fn new() -> Self {
        Self {
            dir: MemoryDir::traced(),
            text: String::new(),
        }
    }

    fn step(&mut self, title: &str) {
        self.text.push_str(&format!("# {title}\n"));
        for line in self.dir.take_trace() {
            self.text.push_str(&line);
            self.text.push('\n');
        }
        self.text.push('\n');
    }
}

#[test]
fn groups() {
    let mut story = Story::new();
    let mut wal = create(&story.dir);
    story.step("A new log: the first segment gets its name when its head is durable.");
    commit(&mut wal, &entries(1, 3, 1), b"state").expect("commit");
    story.step("A group of three entries and a hard state: one write, one sync.");
    wal.sync().expect("sync");
    story.step("Nothing new: no sync.");
    wal.append(&[Record::State(b"a")]).expect("append");
    wal.append(&[Record::State(b"b")]).expect("append");
    wal.sync().expect("sync");
    story.step("Two groups, one sync.");
    drop(wal);
    open(&story.dir).expect("open");
    story.step("Opened again: what was read is made durable before anything builds on it.");
    check("groups", &story.text);
}

#[test]
fn rotation_and_release() {
    let mut story = Story::new();
    let mut wal = create(&story.dir);
    commit(&mut wal, &entries(1, 30, 1), b"").expect("commit");
    story.step("A segment of 8192 bytes, more than half full.");
    commit(&mut wal, &entries(31, 60, 1), b"").expect("commit");
    story.step(
        "The next group does not fit: the old segment is synced, the new one begun, the group goes there.",
    );
    commit(&mut wal, &entries(61, 90, 1), b"").expect("commit");
    commit(&mut wal, &entries(91, 120, 1), b"").expect("commit");
    story.step("Two segments more.");
    wal.release(120).expect("release");
    story.step("Releasing without a marker gives nothing back.");
    wal.save_snapshot_marker(marker(90, 1)).expect("marker");
    story.step("A marker: written and synced.");
    wal.release(90).expect("release");
    story.step(
        "Releasing: two files are kept for reuse, one goes; the names are durable before the files are used.",
    );
    commit(&mut wal, &entries(121, 150, 1), b"").expect("commit");
    commit(&mut wal, &entries(151, 180, 1), b"").expect("commit");
    story.step("The next segment reuses a file: no filling.");
    wal.reset_to_snapshot(marker(500, 3), b"state").expect("reset");
    story.step("A snapshot was installed: a new segment replaces all others.");
    check("rotation_and_release", &story.text);
}
