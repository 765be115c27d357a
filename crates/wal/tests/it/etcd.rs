//! Segments that etcd wrote are read and gone on from.

use crate::util::{commit, entries, open, recover};
use wal::{Dir, Error, MemoryDir};

const NAME: &str = "0000000000000000-0000000000000000.wal";

/// The head of the log of an etcd 3.7.1 of one member, after three puts (k1=v1 to k3=v3) and a SIGKILL; the zeros behind it are
/// mostly cut.
const FILE: &[u8] = include_bytes!("files/etcd-3.7.1.wal");

fn log(bytes: &[u8]) -> MemoryDir {
    let dir = MemoryDir::new();
    dir.write(NAME, bytes.to_vec());
    dir
}

#[test]
fn a_log_of_etcd_is_read_and_continued() {
    let dir = log(FILE);
    let (mut wal, recovered) = open(&dir).expect("open");
    assert_eq!(recovered.repaired, None);
    assert_eq!((recovered.marker.index, recovered.marker.term), (0, 0));
    // Its own membership, its attributes, the cluster version, three puts.
    let indexes: Vec<_> = recovered
        .entries
        .iter()
        .map(|entry| (entry.index, entry.kind))
        .collect();
    assert_eq!(indexes[0], (1, 1), "a configuration change");
    let last = indexes.len() as u64;
    for (value, entry) in ["v1", "v2", "v3"]
        .iter()
        .zip(&recovered.entries[last as usize - 3..])
    {
        assert!(
            entry.data.windows(2).any(|part| part == value.as_bytes()),
            "{value}"
        );
    }
    assert!(!recovered.hard_state.is_empty() && !recovered.metadata.is_empty());

    let term = recovered.entries[last as usize - 1].term;
    commit(&mut wal, &entries(last + 1, last + 3, term), b"state").expect("commit");
    drop(wal);
    let again = recover(&dir);
    assert_eq!(
        again.entries,
        [recovered.entries, entries(last + 1, last + 3, term)].concat()
    );
    assert_eq!(again.metadata, recovered.metadata);
}

/// By etcd's own rules: a record with a sector of zeros, or beyond the file's end, is torn, any other bad one is damage.
#[test]
fn its_torn_tail_is_cut() {
    let end = FILE.iter().rposition(|byte| *byte != 0).expect("something") + 1;
    let whole = recover(&log(FILE)).entries;
    for cut in end - 60..end {
        let dir = log(&FILE[..cut]);
        let recovered = recover(&dir);
        assert!(recovered.entries.len() <= whole.len() && recovered.entries.len() + 2 >= whole.len());
        assert_eq!(recover(&dir).repaired, None);
    }
}

#[test]
fn its_damage_is_refused() {
    let at = FILE.windows(2).position(|part| part == b"v1").expect("v1");
    let mut bytes = FILE.to_vec();
    bytes[at] ^= 1;
    let dir = log(&bytes);
    assert!(matches!(open(&dir), Err(Error::Corrupt { .. })));
    assert_eq!(dir.read(NAME).expect("read"), bytes);
    assert_eq!(dir.list().expect("list"), [NAME]);
}
