//! A log's directory as a crash, a bad disk or somebody else left it.

use crate::wire::Input;
use std::sync::Arc;
use wal::{Dir, MemoryDir, Options, Wal};

/// The first byte says how the rest becomes segments: as it is, cut where the byte says; or, if it is odd, as records
/// whose lengths and sums are made right, so that what is in them is read.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((how, bytes)) = data.split_first() else {
        return false;
    };
    let segments = match how % 2 {
        0 => {
            let (one, other) = bytes.split_at(bytes.len() * usize::from(*how) / 254);
            vec![(0, one.to_vec()), (u64::from(*how / 16), other.to_vec())]
        }
        _ => summed(bytes),
    };
    let dir = Arc::new(MemoryDir::new());
    for (sequence, (first, bytes)) in segments.iter().enumerate() {
        if sequence > 0 && bytes.is_empty() {
            break;
        }
        let file = dir
            .create(&format!("{sequence:016x}-{first:016x}.wal"))
            .expect("memory does not fail");
        file.write_at(bytes, 0).expect("memory does not fail");
    }
    let Ok((mut log, recovered)) = Wal::open_in(dir.clone(), options()) else {
        return false;
    };
    // What opens is read back, and goes on.
    let (first, last) = (log.first_index(), log.last_index());
    let _ = log.reader().entries(first, last.saturating_add(1), 1 << 20);
    let _ = log.append(&[]).and_then(|()| log.sync());
    drop(log);
    Wal::open_in(dir, options()).expect("what was opened once opens again");
    !recovered.entries.is_empty()
}

/// Each record is a byte for its kind and its data behind a length. Kind 7 begins a new segment, whose name says the
/// number in its data.
fn summed(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut input = Input(bytes);
    let mut segments = vec![(0, Vec::new())];
    let mut chain = 0;
    while let Some(kind) = input.byte() {
        let data = input.piece().unwrap_or_default();
        let kind = kind % 8;
        if kind == 7 {
            let first = data
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte));
            segments.push((first, Vec::new()));
        } else {
            chain = crc32c::crc32c_append(chain, data);
        }
        if let Some((_, segment)) = segments.last_mut() {
            let kind = if kind == 7 { 4 } else { kind };
            put_frame(segment, kind, chain, data);
        }
    }
    segments
}

/// A record in etcd's framing, which has no seal.
fn put_frame(out: &mut Vec<u8>, kind: u8, chain: u32, data: &[u8]) {
    let mut record = vec![1 << 3, kind, 2 << 3];
    crate::wire::put_varint(&mut record, chain.into());
    if kind != 4 {
        crate::wire::put_bytes(&mut record, 3, data);
    }
    let padding = record.len().next_multiple_of(8) - record.len();
    let mut length = record.len() as u64;
    if padding > 0 {
        length |= (0x80 | padding as u64) << 56;
    }
    out.extend(length.to_le_bytes());
    out.extend(record);
    out.resize(out.len() + padding, 0);
}

/// Without threads, and small.
pub(crate) fn options() -> Options {
    Options {
        segment_bytes: 1 << 16,
        background: false,
        fsync: false,
    }
}
