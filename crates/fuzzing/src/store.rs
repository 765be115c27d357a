//! A store whose rows somebody else wrote: every read gives what is there, or says that it is damaged.

use crate::wire::Input;
use apply::{Machine, Options};
use bytes::Bytes;
use model::pb::etcdserverpb::RangeRequest;
use model::{ClusterId, KeyRange, Revision};
use mvcc::{ChangesLimit, Read};
use std::sync::Arc;
use std::time::Duration;
use storage::memory::MemoryBackend;
use storage::{Backend, Batch, Family};

/// Reads in one run, of a store that may say that it has very many revisions.
const STEPS_MAX: usize = 64;

/// The first byte says whether the others are the file of a store in memory, with its sum made right, or rows: for each
/// one byte for the family, then key and value behind their lengths.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((how, bytes)) = data.split_first() else {
        return false;
    };
    let backend = match how % 4 {
        0 => {
            let mut bytes = bytes.to_vec();
            if let Some(at) = bytes.len().checked_sub(4) {
                let sum = crc32c::crc32c(&bytes[..at]);
                bytes[at..].copy_from_slice(&sum.to_le_bytes());
            }
            let path = crate::scratch::file("rows", &bytes);
            let dir = path.parent().expect("a file is in a directory");
            match MemoryBackend::open(dir) {
                Ok(backend) => backend,
                Err(_) => return false,
            }
        }
        _ => rows(bytes),
    };
    read(Arc::new(backend))
}

fn rows(bytes: &[u8]) -> MemoryBackend {
    let backend = MemoryBackend::new();
    let mut batch = Batch::new();
    let mut input = Input(bytes);
    while let Some(family) = input.byte() {
        let family = Family::ALL[usize::from(family) % Family::ALL.len()];
        let (Some(key), Some(value)) = (input.bytes(), input.bytes()) else {
            break;
        };
        batch.put(family, key, value);
    }
    backend.write(batch).expect("memory does not fail");
    backend
}

pub(crate) fn options() -> Options {
    Options {
        cluster: ClusterId(1),
        quota_bytes: None,
        mvcc: mvcc::Options {
            compaction_hash: true,
            large_value_bytes: Some(2),
            ..mvcc::Options::default()
        },
        lease: lease::Options::default(),
        tokens: Arc::new(auth::Tokens::open("simple", Duration::ZERO).expect("simple tokens need no file")),
    }
}

fn read(backend: Arc<dyn Backend>) -> bool {
    let Ok(machine) = Machine::open(backend, options()) else {
        return false;
    };
    let store = machine.shared().store.clone();
    let view = store.view();
    let everything = KeyRange::new(Bytes::from_static(b"\0"), Bytes::from_static(b"\0"));
    let mut sound = true;
    for revision in [0, 1, view.revision().0 / 2, view.revision().0] {
        let request = RangeRequest {
            key: Bytes::from_static(b"\0"),
            range_end: Bytes::from_static(b"\0"),
            revision,
            limit: 10,
            ..RangeRequest::default()
        };
        let answer = view.range(&request);
        // Older ones may be compacted.
        sound &= revision != 0 || answer.is_ok();
        let _ = view.count(&everything, revision);
        let _ = view.chunk(&everything, None, revision, 10, false);
        let _ = view.get(b"k");
        let limit = ChangesLimit {
            revisions: 10,
            bytes: 1 << 16,
        };
        let _ = view.changes(Revision(revision), limit);
    }
    let _ = store.hash();
    let _ = store.hash_kv(Revision(0));
    sound &= store.verify().is_ok();
    for _ in 0..STEPS_MAX {
        if !store.compaction_pending() || store.compaction_step(16).is_err() {
            break;
        }
    }
    sound
}
