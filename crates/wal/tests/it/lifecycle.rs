//! A log's life: created, written, opened, rotated, released, locked.

use crate::util::{METADATA, commit, create, entries, entry, marker, open, options, record, recover};
use std::sync::Arc;
use wal::{Error, MemoryDir, Options, Record, Wal};

#[test]
fn what_was_committed_is_recovered() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    let mut conf_change = entry(3, 1, b"add member");
    conf_change.kind = 1;
    let expected = [entry(1, 1, b"a"), entry(2, 1, b""), conf_change];
    commit(&mut wal, &expected, b"term 1").expect("commit");
    drop(wal);
    let (wal, recovered) = open(&dir).expect("open");
    assert_eq!(recovered.metadata, METADATA);
    assert_eq!(recovered.entries, expected);
    assert_eq!(recovered.hard_state, &b"term 1"[..]);
    assert_eq!(recovered.marker.index, 0);
    assert_eq!(recovered.repaired, None);
    assert_eq!((wal.first_index(), wal.last_index()), (1, 3));
}

#[test]
fn a_new_log_is_empty() {
    let dir = MemoryDir::new();
    create(&dir);
    let recovered = recover(&dir);
    assert!(recovered.entries.is_empty() && recovered.hard_state.is_empty());
    assert_eq!((recovered.marker.index, recovered.repaired), (0, None));
    assert!(matches!(
        Wal::create_in(Arc::new(dir), METADATA, options()),
        Err(Error::Exists { .. })
    ));
}

#[test]
fn a_later_entry_of_the_same_index_replaces_the_suffix() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    commit(&mut wal, &entries(1, 10, 1), b"").expect("commit");
    commit(&mut wal, &entries(4, 5, 2), b"").expect("commit");
    assert_eq!(wal.last_index(), 5);
    drop(wal);
    let expected = [entries(1, 3, 1), entries(4, 5, 2)].concat();
    assert_eq!(recover(&dir).entries, expected);
}

#[test]
fn a_suffix_is_replaced_across_segments() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    for index in 1..=200 {
        commit(&mut wal, &entries(index, index, 1), b"").expect("commit");
    }
    assert!(wal.stats().segments > 3);
    commit(&mut wal, &entries(20, 30, 2), b"").expect("commit");
    drop(wal);
    let (mut wal, recovered) = open(&dir).expect("open");
    assert_eq!(
        recovered.entries,
        [entries(1, 19, 1), entries(20, 30, 2)].concat()
    );
    // The segments in between hold only entries that are gone, yet lie amid the chain: they go when 200 would have.
    wal.save_snapshot_marker(marker(30, 2)).expect("marker");
    wal.release(30).expect("release");
    commit(&mut wal, &entries(31, 250, 2), b"").expect("commit");
    wal.save_snapshot_marker(marker(240, 2)).expect("marker");
    wal.release(240).expect("release");
    drop(wal);
    assert_eq!(recover(&dir).entries, entries(241, 250, 2));
}

#[test]
fn entries_out_of_order_are_refused_and_do_no_harm() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    commit(&mut wal, &entries(1, 5, 1), b"").expect("commit");
    wal.save_snapshot_marker(marker(3, 1)).expect("marker");
    for bad in [
        entries(7, 7, 1),
        entries(3, 3, 1),
        [entries(6, 6, 1), entries(8, 8, 1)].concat(),
    ] {
        let group: Vec<_> = bad.iter().map(record).collect();
        assert!(matches!(wal.append(&group), Err(Error::OutOfOrder(_))));
    }
    for bad in [marker(2, 1), marker(6, 1), marker(4, 2)] {
        assert!(matches!(wal.save_snapshot_marker(bad), Err(Error::OutOfOrder(_))));
    }
    assert!(matches!(
        wal.reset_to_snapshot(marker(3, 1), b"s"),
        Err(Error::OutOfOrder(_))
    ));
    commit(&mut wal, &entries(6, 6, 1), b"").expect("not poisoned");
    drop(wal);
    assert_eq!(recover(&dir).entries, entries(4, 6, 1));
}

#[test]
fn metadata_state_and_marker_survive_the_release_of_their_segments() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    commit(&mut wal, &entries(1, 60, 1), b"vote for 2").expect("commit");
    wal.save_snapshot_marker(marker(60, 1)).expect("marker");
    for index in 61..=150 {
        commit(&mut wal, &entries(index, index, 1), b"").expect("commit");
    }
    let before = wal.stats().segments;
    wal.release(u64::MAX).expect("release");
    assert!(wal.stats().segments < before);
    assert!(wal.first_index() <= 61 && wal.first_index() > 1);
    drop(wal);
    let recovered = recover(&dir);
    assert_eq!(recovered.metadata, METADATA);
    assert_eq!(recovered.hard_state, &b"vote for 2"[..]);
    assert_eq!(recovered.marker, marker(60, 1));
    assert_eq!(recovered.entries, entries(61, 150, 1));
}

#[test]
fn old_records_in_a_recycled_file_are_never_read() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    let mut last = 0;
    for round in 0..40 {
        // Groups of all lengths, so that new frames end within old ones.
        let group = entries(last + 1, last + 1 + round % 7, 1 + round);
        last = group.last().expect("entry").index;
        commit(&mut wal, &group, b"s").expect("commit");
        if round % 3 == 0 {
            wal.save_snapshot_marker(marker(last, 1 + round)).expect("marker");
            wal.release(last).expect("release");
        }
        let recovered = recover(&dir);
        assert_eq!(recovered.repaired, None);
        assert_eq!(
            recovered
                .entries
                .last()
                .map_or(recovered.marker.index, |entry| entry.index),
            last
        );
        // Opening has removed the spares under the first log's hands: it gets none to reuse from here on, unless it is
        // opened again itself.
        wal = open(&dir).expect("open").0;
    }
    for index in last + 1..last + 200 {
        commit(&mut wal, &entries(index, index, 50), b"").expect("commit");
        wal.save_snapshot_marker(marker(index, 50)).expect("marker");
        wal.release(index).expect("release");
        assert_eq!(wal.stats().segments, 1.max(wal.stats().segments.min(2)));
    }
    assert!(wal.stats().recycled > 2, "{:?}", wal.stats());
    drop(wal);
    let recovered = recover(&dir);
    assert_eq!((recovered.repaired, recovered.marker.index), (None, last + 199));
}

#[test]
fn an_installed_snapshot_replaces_the_log() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    commit(&mut wal, &entries(1, 50, 1), b"old").expect("commit");
    wal.reset_to_snapshot(marker(1000, 7), b"new").expect("reset");
    assert_eq!((wal.first_index(), wal.last_index()), (1001, 1000));
    assert!(matches!(
        wal.append(&[record(&entries(51, 51, 1)[0])]),
        Err(Error::OutOfOrder(_))
    ));
    commit(&mut wal, &entries(1001, 1003, 7), b"").expect("commit");
    drop(wal);
    let recovered = recover(&dir);
    assert_eq!(recovered.marker, marker(1000, 7));
    assert_eq!(recovered.hard_state, &b"new"[..]);
    assert_eq!(recovered.entries, entries(1001, 1003, 7));
}

#[test]
fn a_snapshot_within_a_conflicting_log_drops_what_follows_it() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    commit(&mut wal, &entries(1, 50, 1), b"old").expect("commit");
    // As if the crash came before the old segment was given back.
    let before = dir.crash(0);
    wal.reset_to_snapshot(marker(30, 2), b"new").expect("reset");
    drop(wal);
    let segment = wal::Dir::list(&dir)
        .expect("list")
        .into_iter()
        .find(|name| name.starts_with("0000000000000001"))
        .expect("new");
    before.write(&segment, dir.read(&segment).expect("read"));
    let recovered = recover(&before);
    assert_eq!((recovered.marker, recovered.entries), (marker(30, 2), vec![]));
    assert_eq!(recovered.hard_state, &b"new"[..]);
}

#[test]
fn a_group_larger_than_a_segment_is_kept_whole() {
    let dir = MemoryDir::new();
    let mut wal = create(&dir);
    let large = entry(1, 1, &[7; 50_000]);
    commit(&mut wal, std::slice::from_ref(&large), b"").expect("commit");
    commit(&mut wal, &entries(2, 3, 1), b"").expect("commit");
    drop(wal);
    let recovered = recover(&dir);
    assert_eq!(recovered.entries, [vec![large], entries(2, 3, 1)].concat());
}

#[test]
fn on_disk_with_a_thread_for_spares() {
    let temp = tempfile::tempdir().expect("tempdir");
    let path = temp.path().join("member/wal");
    let options = Options {
        segment_bytes: 100_000,
        ..Options::default()
    };
    assert!(!Wal::exists(&path).expect("exists"));
    let mut wal = Wal::create(&path, METADATA, options.clone()).expect("create");
    assert!(Wal::exists(&path).expect("exists"));
    for first in (1..=5000).step_by(50) {
        commit(&mut wal, &entries(first, first + 49, 1), b"state").expect("commit");
        if first % 500 == 1 {
            wal.save_snapshot_marker(marker(first, 1)).expect("marker");
            wal.release(first).expect("release");
        }
    }
    let stats = wal.stats();
    assert!(stats.recycled > 0 && stats.segments < 5, "{stats:?}");
    drop(wal);
    let (wal, recovered) = Wal::open(&path, options).expect("open");
    assert_eq!(recovered.marker.index, 4501);
    assert_eq!(recovered.entries, entries(4502, 5000, 1));
    assert_eq!(wal.last_index(), 5000);
}

#[test]
fn a_log_in_use_is_locked() {
    let temp = tempfile::tempdir().expect("tempdir");
    let wal = Wal::create(temp.path(), METADATA, options()).expect("create");
    let error = Wal::open(temp.path(), options()).err().expect("locked");
    assert!(matches!(error, Error::Locked { .. }));
    let text = format!(
        "the log in {} is in use by another process",
        temp.path().display()
    );
    assert_eq!(error.to_string(), text);
    drop(wal);
    Wal::open(temp.path(), options()).expect("open");
}

#[test]
fn without_fsync_all_else_is_the_same() {
    let dir = MemoryDir::traced();
    let options = Options {
        fsync: false,
        ..options()
    };
    let mut wal = Wal::create_in(Arc::new(dir.clone()), METADATA, options).expect("create");
    commit(&mut wal, &entries(1, 100, 1), b"").expect("commit");
    assert!(!dir.take_trace().iter().any(|line| line.starts_with("sync")));
    wal.append(&[Record::State(b"s")]).expect("append");
    drop(wal);
    assert_eq!(recover(&dir).entries, entries(1, 100, 1));
}

#[test]
fn leftovers_of_a_crash_do_no_harm() {
    let dir = MemoryDir::new();
    dir.write("spare-1.tmp", vec![9; 100]);
    dir.write("notes.txt", b"not ours".to_vec());
    let mut wal = create(&dir);
    commit(&mut wal, &entries(1, 3, 1), b"").expect("commit");
    drop(wal);
    dir.write("spare-7.tmp", vec![9; 100]);
    assert_eq!(recover(&dir).entries.len(), 3);
    let mut names = wal::Dir::list(&dir).expect("list");
    names.sort();
    assert_eq!(names, ["0000000000000000-0000000000000000.wal", "notes.txt"]);
}
