//! What the store itself costs per request, on the memory backend: puts in groups, point reads, pages, counts,
//! history, compaction. Not for comparing engines, and not for latency under load.
//!
//! `cargo bench -p mvcc -- [keys]`; prints nanoseconds per operation, and a checksum that shows the work was done.

use bytes::Bytes;
use model::pb::etcdserverpb::RangeRequest;
use model::{KeyRange, Revision};
use mvcc::{ChangesLimit, Options, Progress, Read, Store};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use storage::memory::MemoryBackend;

fn main() {
    let keys = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(100_000);
    let (store, mut writer) = Store::open(Arc::new(MemoryBackend::new()), Options::default()).unwrap();
    let value = Bytes::from(vec![b'v'; 256]);
    let key = |number: u64| {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        Bytes::from(format!("/registry/pods/{mixed:012x}/{number:08}"))
    };
    let names: Vec<Bytes> = (0..keys).map(key).collect();
    for (what, group) in [("create", 200), ("update", 200), ("update", 1)] {
        measure(&format!("{what}, groups of {group}"), keys, || {
            for names in names.chunks(group) {
                for name in names {
                    let mut tx = writer.begin();
                    tx.put(name.clone(), value.clone(), 0).unwrap();
                    tx.finish();
                }
                black_box(writer.commit().unwrap());
            }
        });
    }
    let view = store.view();
    measure("get", keys, || {
        for name in &names {
            black_box(view.get(name).unwrap());
        }
    });
    let page = |name: &Bytes, revision| RangeRequest {
        key: name.clone(),
        range_end: Bytes::from_static(b"\0"),
        limit: 500,
        revision,
        ..Default::default()
    };
    measure("page of 500, newest", keys / 500, || {
        for name in names.iter().step_by(500) {
            black_box(view.range(&page(name, 0)).unwrap());
        }
    });
    measure("page of 500, all changed since", keys / 500, || {
        for name in names.iter().step_by(500) {
            black_box(
                view.chunk(&KeyRange::From(name.clone()), None, keys as i64 + 1, 500, false)
                    .unwrap(),
            );
        }
    });
    measure("count of a range", keys, || {
        for name in &names {
            black_box(view.count(&KeyRange::From(name.clone()), 0).unwrap());
        }
    });
    measure("history, per event", keys, || {
        let limit = ChangesLimit {
            revisions: 1000,
            bytes: usize::MAX,
        };
        let (mut from, mut events) = (keys as i64 * 2, 0);
        while events < keys {
            let changes = view.changes(Revision(from), limit).unwrap();
            events += changes.len() as u64;
            from = changes.last().unwrap().revision.0 + 1;
            if changes.len() < limit.revisions {
                break;
            }
        }
    });
    writer.compact(view.revision()).unwrap();
    writer.commit().unwrap();
    drop(view);
    measure("compaction, per removed version", keys * 2, || {
        while store.compaction_step(1000).unwrap() != Progress::Idle {}
    });
    println!("checksum {:08x}", store.hash_kv(Revision(0)).unwrap().hash);
}

fn measure(what: &str, operations: u64, work: impl FnOnce()) {
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    let start = Instant::now();
    work();
    println!(
        "{what:36} {:>8} ns",
        start.elapsed().as_nanos() / u128::from(operations.max(1))
    );
}
