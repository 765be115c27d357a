//! Database files: snapshots of etcd's, or of whoever says so.

use backup::Database;
use model::Revision;
use std::sync::Arc;
use storage::Batch;
use storage::memory::MemoryBackend;

/// Largest file that the short form makes.
const BYTES_MAX: usize = 1 << 20;

/// The first byte says whether the others are the file, or its short form.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((how, bytes)) = data.split_first() else {
        return false;
    };
    match how % 4 {
        0 => read(bytes),
        _ => read(&long(bytes)),
    }
}

fn read(bytes: &[u8]) -> bool {
    let mut file = crate::scratch::unnamed(bytes);
    let whole = backup::verify_hash(&mut file).is_ok();
    let Ok(database) = Database::read(file) else {
        return whole;
    };
    let _ = database.storage_version();
    let _ = database.position();
    let _ = database.get("meta", b"consistent_index");
    for bucket in database.buckets().unwrap_or_default() {
        let Ok(bucket) = String::from_utf8(bucket) else {
            continue;
        };
        let Ok(mut rows) = database.rows(&bucket) else {
            continue;
        };
        while let Ok(Some(_)) = rows.next() {}
    }
    let sound = database.check().is_ok() && database.status().is_ok();
    let _ = database.hash_kv(Revision(0));
    let backend = Arc::new(MemoryBackend::new());
    if database.restore(backend.clone(), 0, Batch::new()).is_ok() {
        let (store, _) =
            mvcc::Store::open(backend, mvcc::Options::default()).expect("what was restored is a store");
        store.verify().expect("what was restored is sound");
    }
    sound
}

/// Pages are mostly zeros: one of them stands in the short form for as many as the two bytes behind it say. The sums of
/// both meta pages are made right.
fn long(mut bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    while let Some((byte, rest)) = bytes.split_first() {
        bytes = rest;
        match (byte, rest.split_first_chunk::<2>()) {
            (0, Some((count, rest))) => {
                bytes = rest;
                file.resize(file.len() + usize::from(u16::from_le_bytes(*count)), 0);
            }
            _ => file.push(*byte),
        }
        if file.len() > BYTES_MAX {
            break;
        }
    }
    let page = match file.get(24..28) {
        Some(size) => u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize,
        None => return file,
    };
    for start in [16, page.saturating_add(16)] {
        let end = start.saturating_add(56);
        if let Some(meta) = file.get_mut(start..end.saturating_add(8)) {
            let sum = fnv(&meta[..56]);
            meta[56..].copy_from_slice(&sum.to_le_bytes());
        }
    }
    file
}

/// FNV-1a with 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// The short form of a file.
pub(crate) fn short(file: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    for run in file.chunk_by(|one, other| (*one == 0) == (*other == 0)) {
        if run[0] != 0 {
            out.extend_from_slice(run);
            continue;
        }
        for part in run.chunks(usize::from(u16::MAX)) {
            out.push(0);
            out.extend((part.len() as u16).to_le_bytes());
        }
    }
    out
}
