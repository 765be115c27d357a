//! Entries read back while the log is written.

use crate::util::{commit, create, entries, entry, marker, open};
use wal::{Error, MemoryDir};

#[test]
fn entries_are_read_back_across_segments_and_bounds() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    for first in (1..=200).step_by(4) {
        commit(&mut wal, &entries(first, first + 3, 1), b"state in between").expect("commit");
    }
    drop(wal);
    let (wal, _) = open(&dir).expect("open");
    let reader = wal.reader();
    let mut read = Vec::new();
    while read.len() < 200 {
        let next = read.len() as u64 + 1;
        let part = reader.entries(next, 201, 1000).expect("entries");
        assert!(!part.is_empty() && part.len() <= 10);
        read.extend(part);
    }
    assert_eq!(read, entries(1, 200, 1));
    assert_eq!(reader.entries(7, 8, 0).expect("one at least"), entries(7, 7, 1));
    for index in [0, 201, u64::MAX] {
        assert!(matches!(reader.entries(index, u64::MAX, 1), Err(Error::Released(i)) if i == index));
    }
}

#[test]
fn overwritten_entries_are_not_read() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    commit(&mut wal, &entries(1, 10, 1), b"").expect("commit");
    commit(&mut wal, &entries(5, 7, 2), b"").expect("commit");
    let reader = wal.reader();
    let expected = [entries(1, 4, 1), entries(5, 7, 2)].concat();
    assert_eq!(reader.entries(1, 100, u64::MAX).expect("entries"), expected);
    assert!(matches!(reader.entries(8, 9, 1), Err(Error::Released(8))));
}

#[test]
fn released_entries_are_gone() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    for index in 1..=300 {
        commit(&mut wal, &entries(index, index, 1), b"").expect("commit");
    }
    let reader = wal.reader();
    wal.save_snapshot_marker(marker(200, 1)).expect("marker");
    wal.release(200).expect("release");
    let first = wal.first_index();
    assert!(first > 1 && first <= 201);
    assert!(matches!(
        reader.entries(first - 1, 300, 1),
        Err(Error::Released(_))
    ));
    assert_eq!(
        reader.entries(first, first + 1, 1).expect("entries"),
        entries(first, first, 1)
    );
    wal.reset_to_snapshot(marker(1000, 2), b"s").expect("reset");
    assert!(matches!(reader.entries(300, 301, 1), Err(Error::Released(_))));
    commit(&mut wal, &entries(1001, 1001, 2), b"").expect("commit");
    assert_eq!(
        reader.entries(1001, 1002, 1).expect("entries"),
        entries(1001, 1001, 2)
    );
}

#[test]
fn large_entries_are_read_whole() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    let large = [
        entry(1, 1, &[1; 300_000]),
        entry(2, 1, b"small"),
        entry(3, 1, &[3; 200_000]),
    ];
    for entry in &large {
        commit(&mut wal, std::slice::from_ref(entry), b"").expect("commit");
    }
    let reader = wal.reader();
    for entry in &large {
        let read = reader
            .entries(entry.index, entry.index + 1, u64::MAX)
            .expect("entries");
        assert_eq!(read, std::slice::from_ref(entry));
    }
}

#[test]
fn a_damaged_entry_is_not_handed_out() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    commit(&mut wal, &entries(1, 3, 1), b"").expect("commit");
    let reader = wal.reader();
    let name = wal::Dir::list(&dir).expect("list").remove(0);
    let file = wal::Dir::open(&dir, &name).expect("open");
    let bytes = dir.read(&name).expect("read");
    let at = bytes
        .windows(50)
        .rposition(|part| part == format!("{:0>50}", 2).as_bytes())
        .expect("entry 2");
    file.write_at(b"x", at as u64).expect("write");
    assert_eq!(reader.entries(1, 2, 1).expect("entries"), entries(1, 1, 1));
    assert!(matches!(reader.entries(2, 3, 1), Err(Error::Corrupt { .. })));
}
