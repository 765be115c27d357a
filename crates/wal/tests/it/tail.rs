//! The last write, torn in every way.

use crate::util::{commit, create, entries, open, recover};
use wal::MemoryDir;

/// A log whose last group (entries 4 to 6) was never synced; its file, and the offset of that group.
fn with_unsynced_group() -> (String, Vec<u8>, usize) {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    commit(&mut wal, &entries(1, 3, 1), b"s").expect("commit");
    let name = wal::Dir::list(&dir).expect("list").remove(0);
    let before = dir.read(&name).expect("read");
    commit(&mut wal, &entries(4, 6, 1), b"t").expect("commit");
    let after = dir.read(&name).expect("read");
    let start = before
        .iter()
        .zip(&after)
        .position(|(a, b)| a != b)
        .expect("they differ");
    (name, after, start)
}

/// Opens what is left; all that was synced must be there, and of the rest a prefix; then the log goes on.
fn check(name: &str, bytes: Vec<u8>, what: &str) -> (usize, bool) {
    let dir = MemoryDir::new();
    dir.write(name, bytes);
    let (mut wal, recovered) = open(&dir).unwrap_or_else(|error| panic!("{what}: {error}"));
    let count = recovered.entries.len();
    assert!((3..=6).contains(&count), "{what}: {count} entries");
    assert_eq!(recovered.entries, entries(1, count as u64, 1), "{what}");
    commit(&mut wal, &entries(count as u64 + 1, 8, 2), b"u").expect("commit");
    drop(wal);
    let again = recover(&dir);
    assert_eq!(again.repaired, None, "{what}: repaired twice");
    assert_eq!(
        again.entries,
        [recovered.entries, entries(count as u64 + 1, 8, 2)].concat(),
        "{what}"
    );
    assert_eq!(again.hard_state, &b"u"[..]);
    (count, recovered.repaired.is_some())
}

#[test]
fn cut_at_every_byte() {
    let (name, bytes, start) = with_unsynced_group();
    for cut in start..bytes.len() {
        let (count, repaired) = check(&name, bytes[..cut].to_vec(), &format!("cut at {cut}"));
        if cut == start {
            assert_eq!((count, repaired), (3, false));
        }
    }
}

#[test]
fn zeros_from_every_byte_on() {
    let (name, bytes, start) = with_unsynced_group();
    for cut in start..bytes.len() {
        let mut torn = bytes.clone();
        torn[cut..].fill(0);
        check(&name, torn, &format!("zeros from {cut}"));
    }
}

#[test]
fn every_byte_garbled() {
    let (name, bytes, start) = with_unsynced_group();
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("something") + 1;
    for at in start..end {
        for mask in [0x01, 0x80, 0xff] {
            let mut torn = bytes.clone();
            torn[at] ^= mask;
            let (count, repaired) = check(&name, torn, &format!("byte {at} ^ {mask:x}"));
            assert!(repaired || count == 6, "byte {at} ^ {mask:x} went unnoticed");
        }
    }
}

#[test]
fn every_sector_lost_alone() {
    let (name, bytes, start) = with_unsynced_group();
    let mut sector = start / 512 * 512;
    while sector < bytes.len() {
        let mut torn = bytes.clone();
        // What was durable before stays.
        torn[sector.max(start)..sector + 512].fill(0);
        check(&name, torn, &format!("sector at {sector}"));
        sector += 512;
    }
}

#[test]
fn a_repair_says_where_and_what() {
    let (name, mut bytes, start) = with_unsynced_group();
    bytes[start + 100] ^= 1;
    let dir = MemoryDir::new();
    dir.write(&name, bytes);
    let repair = recover(&dir).repaired.expect("repaired");
    assert_eq!((repair.file, repair.offset), (name, start as u64));
    assert_eq!(repair.what, "a record that does not match its checksum");
}

#[test]
fn debris_of_a_torn_group_never_comes_back() {
    // The first sector of the group is lost, later ones are there. After the cut, shorter groups are written over it,
    // so that frames of the old group lie behind them.
    let (name, bytes, start) = with_unsynced_group();
    let dir = MemoryDir::new();
    let mut torn = bytes.clone();
    torn[start..start + 8].fill(0);
    dir.write(&name, torn);
    let (mut wal, recovered) = open(&dir).expect("open");
    assert!(recovered.repaired.is_some());
    assert_eq!(recovered.entries, entries(1, 3, 1));
    for index in 4..=6 {
        commit(&mut wal, &entries(index, index, 9), b"").expect("commit");
        let recovered = recover(&dir.crash(index));
        assert_eq!(
            recovered.entries,
            [entries(1, 3, 1), entries(4, index, 9)].concat()
        );
        assert_eq!(recovered.repaired, None);
    }
}
