//! What becomes of our rows: etcd's buckets.

use crate::pages::{Pages, Plan};
use crate::tree::Tree;
use crate::{Error, Result};
use model::pb::etcdserverpb::AlarmMember;
use model::{EventKind, LogIndex, Revision, RevisionKey, Term};
use mvcc::{Read, View};
use prost::Message;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Bound;
use storage::{Family, Snapshot};

/// Everything that goes into a backup.
pub struct Source<'a> {
    /// Keys and their history, and every other row of the store as of the same moment.
    pub view: &'a View,
    /// Position in raft's log that the view is at.
    pub applied: (LogIndex, Term),
    /// Raft's configuration there, as an encoded `raftpb.ConfState`; empty before there is one.
    pub configuration: &'a [u8],
    /// Storage version such as `3.7.0`; empty while undecided.
    pub version: &'a str,
}

/// Finds out what stands where in a backup: reads everything and writes nothing. The same source gives the same plan.
pub fn plan(source: &Source<'_>) -> Result<Plan> {
    fill(source, Pages::begin(io::sink(), Plan::default())?)
}

/// Writes a backup of the length that its [`plan`] says, a multiple of 4096; the hash that etcd's tools expect behind it
/// is not there. Nothing is synced to disk.
///
/// Fails with [`Error::Damaged`], at its end, if `plan` is not that of the source.
pub fn write(source: &Source<'_>, plan: Plan, out: &mut impl Write) -> Result<()> {
    let found = fill(source, Pages::begin(out, plan)?)?;
    if found != plan {
        return Err(Error::Damaged(format!(
            "reading it twice gave {} and {} bytes",
            plan.bytes(),
            found.bytes()
        )));
    }
    Ok(())
}

/// Everything behind the first pages.
fn fill<W: Write>(source: &Source<'_>, pages: Pages<W>) -> Result<Plan> {
    let mut file = Backup {
        pages,
        rows: &**source.view.snapshot(),
    };
    // In order of names, as they stand in the root.
    let buckets = [
        ("alarm", file.alarms()?),
        ("auth", file.auth()?),
        ("authRoles", file.named(Family::Auth, b"role/")?),
        ("authUsers", file.named(Family::Auth, b"user/")?),
        ("cluster", file.cluster()?),
        ("key", file.keys(source.view)?),
        ("lease", file.named(Family::Lease, b"")?),
        ("members", file.members(b'm')?),
        ("members_removed", file.members(b'r')?),
        ("meta", file.meta(source)?),
    ];
    let mut root = Tree::new();
    for (name, page) in buckets {
        root.put_bucket(&mut file.pages, name.as_bytes(), page)?;
    }
    let root = root.finish(&mut file.pages)?;
    Ok(file.pages.finish(root)?)
}

/// A backup being written; each method writes a bucket and answers its root.
struct Backup<'a, W: Write> {
    pages: Pages<W>,
    rows: &'a dyn Snapshot,
}

impl<W: Write> Backup<'_, W> {
    /// Every version, under its revision.
    fn keys(&mut self, view: &View) -> Result<u64> {
        let mut tree = Tree::new();
        let mut newest = view.compacted().max(Revision::EMPTY_STORE);
        view.export(|at, kind, kv| {
            newest = newest.max(at.main);
            tree.put(&mut self.pages, bucket_key(&mut [0; 18], at, kind), kv)
        })?;
        if newest < view.revision() {
            // etcd takes its revision from its newest row. A deletion of no key is one that changes nothing else.
            let at = RevisionKey {
                main: view.revision(),
                sub: 0,
            };
            let key = &mut [0; 18];
            tree.put(&mut self.pages, bucket_key(key, at, EventKind::Delete), b"")?;
        }
        tree.finish(&mut self.pages)
    }

    /// Rows of a family as they are, but for the prefix of their keys, which ends with a byte below 0xff.
    fn named(&mut self, family: Family, prefix: &[u8]) -> Result<u64> {
        let mut end = prefix.to_vec();
        let end = match end.last_mut() {
            Some(last) => {
                *last += 1;
                Bound::Excluded(&end[..])
            }
            None => Bound::Unbounded,
        };
        let mut tree = Tree::new();
        let mut cursor = self.rows.scan(family, (Bound::Included(prefix), end))?;
        while let Some((key, value)) = cursor.next()? {
            tree.put(&mut self.pages, &key[prefix.len()..], value)?;
        }
        tree.finish(&mut self.pages)
    }

    fn auth(&mut self) -> Result<u64> {
        let mut rows = Rows::default();
        rows.add("authEnabled", self.rows.get(Family::Auth, b"enabled")?);
        rows.add("authRevision", self.rows.get(Family::Auth, b"revision")?);
        self.small(rows)
    }

    fn cluster(&mut self) -> Result<u64> {
        let mut rows = Rows::default();
        rows.add("clusterVersion", self.rows.get(Family::Meta, b"cluster/version")?);
        rows.add("downgrade", self.rows.get(Family::Meta, b"cluster/downgrade")?);
        self.small(rows)
    }

    /// Members, or ids of removed members: their kind is the first byte of the key, then comes the id.
    fn members(&mut self, kind: u8) -> Result<u64> {
        let mut rows = Rows::default();
        let bounds = (Bound::Included(&[kind][..]), Bound::Excluded(&[kind + 1][..]));
        let mut cursor = self.rows.scan(Family::Members, bounds)?;
        while let Some((key, value)) = cursor.next()? {
            let id = key[1..].try_into().map_err(|_| damaged(Family::Members, key))?;
            let value = if kind == b'r' { b"removed" } else { value };
            rows.add(format!("{:x}", u64::from_be_bytes(id)), Some(value));
        }
        drop(cursor);
        self.small(rows)
    }

    /// An alarm is a key without a value.
    fn alarms(&mut self) -> Result<u64> {
        let mut rows = Rows::default();
        let bounds = (Bound::Included(&b"alarm/"[..]), Bound::Excluded(&b"alarm0"[..]));
        let mut cursor = self.rows.scan(Family::Meta, bounds)?;
        while let Some((key, _)) = cursor.next()? {
            let damaged = || damaged(Family::Meta, key);
            let (alarm, member) = key[6..].split_first_chunk().ok_or_else(damaged)?;
            let alarm = AlarmMember {
                alarm: i32::from_be_bytes(*alarm),
                member_id: u64::from_be_bytes(member.try_into().map_err(|_| damaged())?),
            };
            rows.add(alarm.encode_to_vec(), Some([]));
        }
        drop(cursor);
        self.small(rows)
    }

    fn meta(&mut self, source: &Source<'_>) -> Result<u64> {
        let mut rows = Rows::default();
        // What is unknown is left out, never zero.
        let number = |number: u64| (number > 0).then(|| number.to_be_bytes());
        rows.add("consistent_index", number(source.applied.0.0));
        rows.add("term", number(source.applied.1.0));
        let compaction = |main: Revision| {
            let at = RevisionKey { main, sub: 0 };
            (main.0 > 0).then(|| bucket_key(&mut [0; 18], at, EventKind::Put).to_vec())
        };
        rows.add("scheduledCompactRev", compaction(source.view.compacted()));
        rows.add("finishedCompactRev", compaction(source.view.swept()?));
        rows.add("confState", conf_state(source.configuration)?);
        let version = source.version.as_bytes();
        rows.add("storageVersion", (!version.is_empty()).then_some(version));
        self.small(rows)
    }

    fn small(&mut self, rows: Rows) -> Result<u64> {
        let mut tree = Tree::new();
        for (key, value) in rows.0 {
            tree.put(&mut self.pages, &key, &value)?;
        }
        tree.finish(&mut self.pages)
    }
}

/// A few rows that do not come in order of their keys.
#[derive(Default)]
struct Rows(BTreeMap<Vec<u8>, Vec<u8>>);

impl Rows {
    /// Adds a row, if there is one.
    fn add(&mut self, key: impl Into<Vec<u8>>, value: Option<impl AsRef<[u8]>>) {
        if let Some(value) = value {
            self.0.insert(key.into(), value.as_ref().to_vec());
        }
    }
}

/// Key of a version: main, `_`, sub, and for a deletion a `t`.
fn bucket_key(bytes: &mut [u8; 18], at: RevisionKey, kind: EventKind) -> &[u8] {
    bytes[..8].copy_from_slice(&at.main.0.to_be_bytes());
    bytes[8] = b'_';
    bytes[9..17].copy_from_slice(&at.sub.to_be_bytes());
    bytes[17] = b't';
    match kind {
        EventKind::Put => &bytes[..17],
        EventKind::Delete => bytes,
    }
}

/// Raft's configuration as etcd's JSON.
fn conf_state(encoded: &[u8]) -> Result<Option<Vec<u8>>> {
    if encoded.is_empty() {
        return Ok(None);
    }
    let wrong = |error: &dyn std::fmt::Display| Error::Damaged(format!("raft's configuration: {error}"));
    let state = ConfState::decode(encoded).map_err(|error| wrong(&error))?;
    let json = serde_json::to_vec(&state).map_err(|error| wrong(&error))?;
    Ok(Some(json))
}

/// `raftpb.ConfState`.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub(crate) struct ConfState {
    #[prost(uint64, repeated, packed = "false", tag = "1")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    voters: Vec<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "2")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    learners: Vec<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "3")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    voters_outgoing: Vec<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "4")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    learners_next: Vec<u64>,
    #[prost(bool, tag = "5")]
    #[serde(default)]
    auto_leave: bool,
}

fn damaged(family: Family, key: &[u8]) -> Error {
    Error::Damaged(format!("row {} of {}", key.escape_ascii(), family.name()))
}
