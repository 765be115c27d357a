//! Bytes that had been durable and are no longer what was written: refused, wherever they are, and nothing is changed.

use crate::util::{commit, create, entries, marker, open};
use wal::{Dir, Error, MemoryDir};

/// Three groups, each synced, in one segment; its file and where each group begins.
fn three_groups() -> (String, Vec<u8>, Vec<usize>) {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    let name = dir.list().expect("list").remove(0);
    let mut starts = Vec::new();
    for group in 0..3 {
        let before = dir.read(&name).expect("read");
        commit(&mut wal, &entries(group * 2 + 1, group * 2 + 2, 1), b"state").expect("commit");
        let after = dir.read(&name).expect("read");
        starts.push(
            before
                .iter()
                .zip(&after)
                .position(|(a, b)| a != b)
                .expect("they differ"),
        );
    }
    let bytes = dir.read(&name).expect("read");
    (name, bytes, starts)
}

fn refused(dir: &MemoryDir, what: &str) -> (String, u64) {
    let before: Vec<_> = dir
        .list()
        .expect("list")
        .iter()
        .map(|name| dir.read(name))
        .collect();
    let error = open(dir).err().unwrap_or_else(|| panic!("{what}: opened"));
    let after: Vec<_> = dir
        .list()
        .expect("list")
        .iter()
        .map(|name| dir.read(name))
        .collect();
    assert_eq!(before, after, "{what}: changed");
    match error {
        Error::Corrupt { file, offset, .. } => (file, offset),
        error => panic!("{what}: {error}"),
    }
}

#[test]
fn every_byte_of_a_group_before_the_last() {
    let (name, bytes, starts) = three_groups();
    for at in 0..starts[2] {
        for mask in [0x01, 0x80, 0xff] {
            let dir = MemoryDir::new();
            let mut damaged = bytes.clone();
            damaged[at] ^= mask;
            dir.write(&name, damaged);
            let what = format!("byte {at} ^ {mask:x}");
            let (file, offset) = refused(&dir, &what);
            assert_eq!(file, name, "{what}");
            assert!(offset as usize <= at, "{what}: reported at {offset}");
        }
    }
}

#[test]
fn zeros_over_any_sector_before_the_last_group() {
    let (name, bytes, starts) = three_groups();
    for sector in (0..starts[2]).step_by(512) {
        let dir = MemoryDir::new();
        let mut damaged = bytes.clone();
        damaged[sector..(sector + 512).min(starts[2])].fill(0);
        dir.write(&name, damaged);
        refused(&dir, &format!("sector at {sector}"));
    }
}

#[test]
fn a_zeroed_length_does_not_end_the_log_early() {
    let (name, bytes, starts) = three_groups();
    let dir = MemoryDir::new();
    let mut damaged = bytes;
    damaged[starts[1]..starts[1] + 8].fill(0);
    dir.write(&name, damaged);
    assert_eq!(refused(&dir, "zero length"), (name, starts[1] as u64));
}

/// A log of several segments; the names in order.
fn segments() -> (MemoryDir, Vec<String>) {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    for index in 1..=150 {
        commit(&mut wal, &entries(index, index, 1), b"").expect("commit");
    }
    assert!(wal.stats().segments >= 3);
    let mut names = dir.list().expect("list");
    names.sort();
    (dir, names)
}

#[test]
fn a_segment_that_ends_early() {
    let (dir, names) = segments();
    let bytes = dir.read(&names[1]).expect("read");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("something");
    for cut in (0..end).step_by(61) {
        let left = dir.crash(0);
        left.write(&names[1], bytes[..cut].to_vec());
        refused(&left, &format!("cut at {cut}"));
        let mut zeros = bytes.clone();
        zeros[cut..].fill(0);
        left.write(&names[1], zeros);
        refused(&left, &format!("zeros from {cut}"));
    }
}

#[test]
fn a_segment_that_is_missing() {
    for missing in 0..2 {
        let (dir, names) = segments();
        dir.remove(&names[missing]).expect("remove");
        refused(&dir, &names[missing]);
    }
    // The last one may be missing: then the entries in it are, and whoever knows the committed index must say so.
    let (dir, names) = segments();
    dir.remove(names.last().expect("name")).expect("remove");
    let recovered = open(&dir).expect("open").1;
    assert!(recovered.entries.len() < 150);
}

#[test]
fn segments_that_are_swapped_or_belong_to_another_log() {
    let (dir, names) = segments();
    let (a, b) = (
        dir.read(&names[0]).expect("read"),
        dir.read(&names[1]).expect("read"),
    );
    dir.write(&names[0], b.clone());
    dir.write(&names[1], a.clone());
    refused(&dir, "swapped");

    let (dir, names) = segments();
    let other = MemoryDir::new();
    let mut wal = create(&other);
    for index in 1..=150 {
        commit(&mut wal, &entries(index, index, 2), b"").expect("commit");
    }
    dir.write(&names[1], other.read(&names[1]).expect("read"));
    refused(&dir, "another log's");
}

#[test]
fn two_segments_of_one_number() {
    let (dir, names) = segments();
    dir.write(
        "0000000000000001-00000000000000ff.wal",
        dir.read(&names[1]).expect("read"),
    );
    refused(&dir, "doubled");
}

#[test]
fn a_segment_without_its_head() {
    let (dir, names) = segments();
    let last = names.last().expect("name");
    for bytes in [0, 4, 30, 60] {
        let left = dir.crash(0);
        let content = left.read(last).expect("read");
        left.write(last, content[..bytes].to_vec());
        refused(&left, &format!("{bytes} bytes"));
    }
}

#[test]
fn damage_behind_a_marker_is_damage_too() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    commit(&mut wal, &entries(1, 10, 1), b"").expect("commit");
    wal.save_snapshot_marker(marker(10, 1)).expect("marker");
    let name = dir.list().expect("list").remove(0);
    let mut bytes = dir.read(&name).expect("read");
    bytes[400] ^= 4;
    dir.write(&name, bytes);
    refused(&dir, "before the marker");
}

#[test]
fn random_files_are_refused_without_a_panic() {
    let mut random = crate::util::Random(1);
    for bytes in [0, 1, 8, 16, 100, 5000] {
        for _ in 0..50 {
            let dir = MemoryDir::new();
            let content = (0..bytes).map(|_| random.next() as u8).collect();
            dir.write("0000000000000000-0000000000000000.wal", content);
            refused(&dir, &format!("{bytes} random bytes"));
        }
    }
}
