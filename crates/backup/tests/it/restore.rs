//! Databases read by the crate's own reader: restored, hashed, damaged.

use crate::database::back_up_with;
use apply::{Applied, Machine, Options};
use auth::Tokens;
use backup::{Database, Error};
use model::pb::etcdserverpb as pb;
use model::{ClusterId, Command, KeyRange, LogIndex, Request, Revision, Term};
use mvcc::Read;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use storage::memory::MemoryBackend;
use storage::{Backend, Batch, Family, Snapshot};

/// A member's state with some of everything.
struct Source {
    machine: Machine,
}

impl Source {
    fn open(backend: Arc<dyn Backend>) -> Source {
        let options = Options {
            cluster: ClusterId(1),
            quota_bytes: None,
            mvcc: mvcc::Options::default(),
            lease: lease::Options::default(),
            tokens: Arc::new(Tokens::open("simple", Duration::from_secs(300)).unwrap()),
        };
        Source {
            machine: Machine::open(backend, options).unwrap(),
        }
    }

    fn apply(&mut self, request: Request) {
        let next = LogIndex(self.machine.applied().index.0 + 1);
        let outcome = self.machine.apply(next, Term(1), &Command::new(0, request), true);
        outcome.unwrap().result.unwrap();
        self.machine.commit().unwrap();
    }

    fn put(&mut self, key: &str, value: &str, lease: i64) {
        self.apply(Request::Put(pb::PutRequest {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            lease,
            ..Default::default()
        }));
    }

    fn delete(&mut self, key: &str) {
        self.apply(Request::DeleteRange(pb::DeleteRangeRequest {
            key: key.to_owned().into(),
            ..Default::default()
        }));
    }

    fn compact(&mut self, revision: i64) {
        self.apply(Request::Compaction(pb::CompactionRequest {
            revision,
            physical: false,
        }));
    }

    /// Leases with keys, keys that left them, users, an alarm, deletions, a compaction that is not swept.
    fn full() -> Source {
        let mut source = Source::open(Arc::new(MemoryBackend::new()));
        for id in [5, -2] {
            source.apply(Request::LeaseGrant(pb::LeaseGrantRequest { id, ttl: 60 }));
        }
        for round in 0..10 {
            source.put(&format!("key{}", round % 4), &round.to_string(), 0);
            source.put("leased", "x", 5);
            source.put(&format!("gone{round}"), "x", -2);
            source.delete(&format!("gone{round}"));
        }
        source.put("left", "x", 5);
        source.put("left", "x", 0);
        source.compact(20);
        source.apply(Request::AuthUserAdd(pb::AuthUserAddRequest {
            name: "ada".into(),
            hashed_password: "aGFzaA==".into(),
            ..Default::default()
        }));
        source.apply(Request::AuthRoleAdd(pb::AuthRoleAddRequest { name: "r".into() }));
        source.apply(Request::Alarm(pb::AlarmRequest {
            action: pb::alarm_request::AlarmAction::Activate as i32,
            member_id: 300,
            alarm: 1,
        }));
        source
    }

    fn bytes(&self) -> Vec<u8> {
        back_up_with(&self.machine.shared().store.view(), &[]).bytes
    }
}

fn file(bytes: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn database(bytes: &[u8]) -> Database {
    Database::read(file(bytes)).unwrap()
}

/// Rows of a family as text.
fn rows(backend: &dyn Backend, family: Family) -> Vec<String> {
    rows_of(&*backend.snapshot().unwrap(), family)
}

fn rows_of(snapshot: &dyn Snapshot, family: Family) -> Vec<String> {
    let everything = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let mut cursor = snapshot.scan(family, everything).unwrap();
    let mut rows = Vec::new();
    while let Some((key, value)) = cursor.next().unwrap() {
        rows.push(format!("{} = {}", key.escape_ascii(), value.escape_ascii()));
    }
    rows
}

#[test]
fn what_is_backed_up_comes_back() {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let source = Source::full();
    let database = database(&source.bytes());
    assert_eq!(database.check().unwrap(), [""; 0]);
    let mut own = Batch::new();
    own.put(Family::Meta, "own", "row");
    let restored = database.restore(backend.clone(), 0, own).unwrap();

    let view = source.machine.shared().store.view();
    assert_eq!(
        (restored.revision, restored.compacted),
        (view.revision(), view.compacted())
    );
    assert_eq!(restored.keys, view.count(&KeyRange::all(), 0).unwrap());
    let back = Source::open(backend.clone());
    let (old, new) = (&source.machine.shared().store, &back.machine.shared().store);
    new.verify().unwrap();
    for revision in view.compacted().0..=view.revision().0 {
        let hash = old.hash_kv(Revision(revision)).unwrap();
        assert_eq!(new.hash_kv(Revision(revision)).unwrap(), hash);
        assert_eq!(
            database.hash_kv(Revision(revision)).unwrap(),
            hash,
            "revision {revision}"
        );
    }
    assert_eq!(
        rows(&*backend, Family::LeaseKeys),
        [r"\x00\x00\x00\x00\x00\x00\x00\x05leased = "],
        "keys that were deleted or have left a lease do not hang on it"
    );
    let auth = rows(&*backend, Family::Auth);
    assert!(
        auth.iter().any(|row| row.starts_with("user/ada"))
            && auth.iter().any(|row| row.starts_with("role/r"))
    );
    let meta = rows(&*backend, Family::Meta);
    assert!(meta.iter().any(|row| row.starts_with("alarm/")) && meta.iter().any(|row| row == "own = row"));
    assert_eq!(rows(&*backend, Family::Lease).len(), 2);
}

#[test]
fn a_member_is_taken_over_with_its_place_in_the_log() {
    let own: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let mut members = Batch::new();
    let id = |kind: u8, id: u64| [&[kind][..], &id.to_be_bytes()].concat();
    let json = r#"{"id":300,"peerURLs":["http://10.0.0.1:2380"],"name":"m1"}"#;
    members.put(Family::Members, id(b'm', 300), json);
    members.put(Family::Members, id(b'r', 9), "");
    own.write(members).unwrap();
    let mut source = Source::open(own);
    source.put("key", "value", 0);
    let configuration = [&[8, 0xac, 2][..], &[8, 7], &[16, 9]].concat();
    let bytes = back_up_with(&source.machine.shared().store.view(), &configuration).bytes;
    let database = database(&bytes);
    assert_eq!(database.applied().unwrap(), (LogIndex(70), Term(3)));
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let taken = database.take_over(backend.clone()).unwrap();

    let applied = Applied::load(&*backend.snapshot().unwrap()).unwrap();
    assert_eq!((applied.index, applied.term), (LogIndex(70), Term(3)));
    assert_eq!(applied.configuration, configuration);
    let view = source.machine.shared().store.view();
    assert_eq!(
        (taken.revision, taken.compacted),
        (view.revision(), view.compacted())
    );
    let members = rows(&*backend, Family::Members);
    assert_eq!(members, rows_of(&**view.snapshot(), Family::Members));
    assert_eq!(members.len(), 2);
    Source::open(backend).machine.shared().store.verify().unwrap();

    let without = back_up_with(&source.machine.shared().store.view(), &[]).bytes;
    let refused = self::database(&without).take_over(Arc::new(MemoryBackend::new()));
    assert!(refused.unwrap_err().to_string().contains("confState"));
}

#[test]
fn an_old_database_beside_a_store_is_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let member = dir.path().join("member");
    let found = || backup::etcd_database(dir.path()).unwrap();
    assert_eq!(found(), None);
    std::fs::create_dir_all(member.join("snap")).unwrap();
    std::fs::write(member.join("snap/db"), "").unwrap();
    std::fs::create_dir(member.join("store.unfinished")).unwrap();
    assert_eq!(found(), Some(member.join("snap/db")));
    std::fs::create_dir(member.join("store.2")).unwrap();
    assert_eq!(found(), None, "a store without a link");
    std::fs::remove_dir(member.join("store.2")).unwrap();
    std::os::unix::fs::symlink("store.1", member.join("store")).unwrap();
    assert_eq!(found(), None, "a link that leads nowhere");
}

#[test]
fn a_bump_makes_everything_before_it_history() {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    let database = database(&Source::full().bytes());
    let (newest, _) = database.position().unwrap();
    let restored = database.restore(backend.clone(), 1000, Batch::new()).unwrap();
    assert_eq!(restored.revision, Revision(newest.0 + 1000));
    assert_eq!(restored.compacted, restored.revision);
    let back = Source::open(backend);
    let store = &back.machine.shared().store;
    store.verify().unwrap();
    assert_eq!(store.view().revision(), restored.revision);
    assert!(store.hash_kv(newest).is_err(), "compacted");
    assert!(
        database
            .restore(Arc::new(MemoryBackend::new()), u64::MAX, Batch::new())
            .is_err()
    );
}

#[test]
fn a_rewritten_database_has_the_same_rows_and_another_version() {
    let bytes = Source::full().bytes();
    let database = database(&bytes);
    let rewrite = |version| {
        let mut out = std::io::Cursor::new(Vec::new());
        database.rewrite(&mut out, version).unwrap();
        Database::read(file(&out.into_inner())).unwrap()
    };
    assert_eq!(rewrite(None).status().unwrap(), database.status().unwrap());
    let older = rewrite(Some("3.6.0"));
    assert_eq!(older.storage_version().unwrap().as_deref(), Some("3.6.0"));
    assert_eq!(
        older.hash_kv(Revision(0)).unwrap(),
        database.hash_kv(Revision(0)).unwrap()
    );
    let oldest = rewrite(Some(""));
    assert_eq!(oldest.storage_version().unwrap(), None);
    assert_eq!(
        oldest.get("meta", b"term").unwrap(),
        database.get("meta", b"term").unwrap()
    );
}

#[test]
fn the_hash_behind_a_snapshot_is_held_to() {
    use sha2::{Digest, Sha256};
    let mut bytes = Source::full().bytes();
    assert!(matches!(
        backup::verify_hash(&mut file(&bytes)),
        Err(Error::NoHash)
    ));
    let hash = Sha256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    backup::verify_hash(&mut file(&bytes)).unwrap();
    assert_eq!(database(&bytes).check().unwrap(), [""; 0]);
    bytes[5000] ^= 1;
    let error = backup::verify_hash(&mut file(&bytes)).unwrap_err().to_string();
    assert!(error.starts_with("expected sha256 ["), "{error}");
}

#[test]
fn the_newer_meta_page_counts_and_either_is_enough() {
    let bytes = Source::full().bytes();
    let status = database(&bytes).status().unwrap();
    for page in [0, 1] {
        let mut torn = bytes.clone();
        torn[page * 4096 + 40] ^= 1;
        assert_eq!(database(&torn).status().unwrap(), status);
    }
    let mut torn = bytes.clone();
    torn[40] ^= 1;
    torn[4096 + 40] ^= 1;
    assert!(matches!(Database::read(file(&torn)), Err(Error::NoDatabase)));
    assert!(matches!(Database::read(file(b"")), Err(Error::NoDatabase)));
    let short = Database::read(file(&bytes[..bytes.len() - 1]))
        .err()
        .unwrap()
        .to_string();
    assert!(short.contains("ends after"), "{short}");
}

/// etcd's small buckets have no page of their own, and its files no list of free pages.
#[test]
fn a_small_bucket_stands_in_its_parent() {
    let word = |value: u32| value.to_le_bytes();
    let element = |flags: u32, from_here: u32, key: u32, value: u32| {
        [word(flags), word(from_here), word(key), word(value)].concat()
    };
    let header = |id: u64, flags: u16, count: u16| {
        [
            &id.to_le_bytes()[..],
            &flags.to_le_bytes(),
            &count.to_le_bytes(),
            &word(0),
        ]
        .concat()
    };
    let leaf = [header(0, 2, 1), element(0, 16, 1, 1), b"kv".to_vec()].concat();
    let bucket = [&[0; 16][..], &leaf].concat();
    let root = [
        header(3, 2, 1),
        element(1, 16, 4, bucket.len() as u32),
        b"meta".to_vec(),
        bucket,
    ]
    .concat();
    let mut bytes = vec![0; 5 * 4096];
    for transaction in 0..2u64 {
        let mut meta: Vec<u8> = [0xed0c_daed, 2, 4096, 0].into_iter().flat_map(word).collect();
        for number in [3, 0, u64::MAX, 5, transaction] {
            meta.extend(number.to_le_bytes());
        }
        let sum = meta.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        meta.extend(sum.to_le_bytes());
        let page = [header(transaction, 4, 0), meta].concat();
        let at = transaction as usize * 4096;
        bytes[at..at + page.len()].copy_from_slice(&page);
    }
    bytes[3 * 4096..3 * 4096 + root.len()].copy_from_slice(&root);
    let database = database(&bytes);
    assert_eq!(database.get("meta", b"k").unwrap(), Some(b"v".to_vec()));
    assert_eq!(
        database.check().unwrap(),
        [""; 0],
        "page 4 is free: nothing leads to it"
    );
}

#[test]
fn a_page_that_nobody_uses_and_is_not_free_is_found() {
    let mut bytes = Source::full().bytes();
    // One more page, which both metas count.
    let pages = (bytes.len() / 4096) as u64 + 1;
    bytes.resize(bytes.len() + 4096, 0);
    for page in 0..2 {
        let at = page * 4096 + 16;
        bytes[at + 40..at + 48].copy_from_slice(&pages.to_le_bytes());
        let sum = bytes[at..at + 56]
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
            });
        bytes[at + 56..at + 64].copy_from_slice(&sum.to_le_bytes());
    }
    let wrong = database(&bytes).check().unwrap();
    assert_eq!(wrong, [format!("page {}: unreachable unfreed", pages - 1)]);
}

/// Whatever is in a file, reading it ends, and never in a panic.
#[test]
fn a_damaged_file_is_an_error_at_worst() {
    let bytes = Source::full().bytes();
    for seed in 0..3000u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |end: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % end as u64) as usize
        };
        let mut damaged = bytes.clone();
        for _ in 0..1 + below(4) {
            // Most damage goes to headers and elements: the first bytes of a page.
            let page = 2 + below(bytes.len() / 4096 - 2);
            let place = page * 4096 + if below(4) > 0 { below(96) } else { below(4096) };
            damaged[place] = match below(4) {
                0 => 0xff,
                1 => 0,
                2 => damaged[place].wrapping_add(1),
                _ => below(256) as u8,
            };
        }
        if below(10) == 0 {
            damaged.truncate(below(bytes.len()));
        }
        let Ok(database) = Database::read(file(&damaged)) else {
            continue;
        };
        // The seed is in the name of the thread that panics here.
        std::thread::Builder::new()
            .name(format!("seed {seed}"))
            .spawn(move || {
                let _ = database.check();
                let _ = database.status();
                let _ = database.hash_kv(Revision(0));
                let _ = database.rewrite(&mut std::io::Cursor::new(Vec::new()), Some("3.6.0"));
                let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
                let _ = database.restore(backend, 0, Batch::new());
            })
            .unwrap()
            .join()
            .unwrap_or_else(|_| panic!("seed {seed}"));
    }
}

#[test]
fn a_store_with_keys_takes_no_restore() {
    let bytes = Source::full().bytes();
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    Source::open(backend.clone()).put("a", "1", 0);
    let error = database(&bytes).restore(backend, 0, Batch::new()).unwrap_err();
    assert!(error.to_string().contains("empty store"), "{error}");
}

#[test]
fn revisions_that_cannot_be_hashed_are_refused() {
    let database = database(&Source::full().bytes());
    let future = database.hash_kv(Revision(10_000)).unwrap_err().to_string();
    assert!(future.contains("future"), "{future}");
    let compacted = database.hash_kv(Revision(3)).unwrap_err().to_string();
    assert!(compacted.contains("compacted"), "{compacted}");
}
