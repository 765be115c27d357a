//! Checksums that members, backups and the real etcd can be compared by.

use crate::format::{LogRow, log_revision};
use crate::meta::{SWEEP, Sweep};
use crate::reader::Order;
use crate::{Error, Result, Store, View, count};
use crc32c::crc32c_append;
use model::{EventKind, KeyRange, Rejection, Revision, RevisionKey};
use parking_lot::Mutex;
use prost::encoding::encode_varint;
use std::collections::BinaryHeap;
use std::ops::{Bound, ControlFlow};
use storage::{Family, Snapshot};

/// etcd's hash of the history, see [`Store::hash_kv`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashKv {
    /// CRC-32C.
    pub hash: u32,
    /// Compacted revision that it was computed with.
    pub compact_revision: Revision,
    /// Revision up to which history is in it.
    pub hash_revision: Revision,
}

impl Store {
    /// etcd's HashKV at `revision` (0: newest): equal to that of an etcd with the same history. Reads all living keys
    /// and all history. For a revision that a recent compaction computed its hash at, it is that one.
    ///
    /// Rejects a revision that is compacted or in the future.
    pub fn hash_kv(&self, revision: Revision) -> Result<HashKv> {
        let view = self.view();
        // 0 asks for the newest revision, and not for what a compaction to revision 0 has found.
        if revision.0 != 0
            && let Some(stored) = self.shared.hashes.get(revision)
        {
            return Ok(stored);
        }
        // etcd checks positive revisions only, and finds nothing at negative ones.
        let hash_revision = match revision {
            Revision(0) => view.revision,
            Revision(..0) => revision,
            asked if asked < view.compacted => return Err(Rejection::Compacted.into()),
            asked if asked > view.revision => return Err(Rejection::FutureRevision.into()),
            asked => asked,
        };
        let any_kept = hash_revision.0 > 0 && lives_any(&view, hash_revision)?;
        history(&view, view.compacted, hash_revision, any_kept)
    }

    /// [`Store::hash_kv`] for whoever compares answers before and after a compaction to `revision`: as long as no other
    /// compaction comes between or after, what was answered before is answered again. etcd answers what the compaction
    /// computed from all keys, which is the same. Only the last answers are remembered, and by this process alone, so
    /// members must not be judged by it.
    pub fn hash_kv_as_told(&self, revision: Revision) -> Result<HashKv> {
        let hashes = &self.shared.hashes;
        let compactions = || {
            let head = self.shared.ground.lock().head;
            (head.compacted, head.previous)
        };
        if let Some(told) = hashes.told(revision)
            && compactions() == (revision, told.compact_revision)
        {
            return Ok(told);
        }
        let hash = self.hash_kv(revision)?;
        hashes.tell(hash);
        Ok(hash)
    }

    /// Hashes of the last compactions that computed one, oldest first.
    pub fn compaction_hashes(&self) -> Vec<HashKv> {
        self.shared.hashes.kept.lock().stored.clone()
    }

    /// CRC-32C of the replicated state (revision, living keys, leases, users, members), and its revision: equal on
    /// members that applied the same log, whatever each of them has removed by now. Not etcd's, which depends on the
    /// pages of its file.
    pub fn hash(&self) -> Result<(u32, Revision)> {
        let view = self.view();
        let mut sum = crc32c::crc32c(&view.revision.0.to_be_bytes());
        let everything = (Bound::Unbounded, Bound::Unbounded);
        view.reader()
            .visit(everything, Order::Ascending, view.revision, |_, found| {
                sum = crc32c_append(sum, &found.whole()?);
                Ok(ControlFlow::Continue(()))
            })?;
        for family in [Family::Lease, Family::LeaseKeys, Family::Auth, Family::Members] {
            sum = crc32c_append(sum, family.name().as_bytes());
            let mut cursor = view.snapshot.scan(family, everything)?;
            while let Some((key, value)) = cursor.next()? {
                sum = crc32c_append(crc32c_append(sum, key), value);
            }
        }
        Ok((sum, view.revision))
    }
}

/// The hash that etcd computes while it compacts from `previous` to `target`, of what is there before.
///
/// `None` where `target` deleted the last keys: there etcd's compaction counts these deletions among what it keeps, and
/// its HashKV does not. Members that have made the compaction and others that have not would disagree about the same
/// history, and healthy ones be told on as corrupt.
pub(crate) fn compaction(view: &View, previous: Revision, target: Revision) -> Result<Option<HashKv>> {
    let any_kept = lives_any(view, target)?;
    if !any_kept && deletes_any_at(&*view.snapshot, target)? {
        return Ok(None);
    }
    history(view, previous, target, any_kept).map(Some)
}

/// Hashes of compactions.
#[derive(Default)]
pub(crate) struct Hashes {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Of the compaction under way.
    begun: Option<HashKv>,
    /// Of those that ended, oldest first.
    stored: Vec<HashKv>,
    /// Answers to clients, oldest first.
    told: Vec<HashKv>,
}

impl Hashes {
    /// As many as etcd keeps.
    const LEN_MAX: usize = 10;

    pub fn begin(&self, hash: HashKv) {
        self.kept.lock().begun = Some(hash);
    }

    pub fn finish(&self, target: Revision) -> Option<HashKv> {
        let mut kept = self.kept.lock();
        let hash = kept.begun.take().filter(|hash| hash.hash_revision == target)?;
        push(&mut kept.stored, hash);
        Some(hash)
    }

    pub fn get(&self, revision: Revision) -> Option<HashKv> {
        find(&self.kept.lock().stored, revision)
    }

    fn told(&self, revision: Revision) -> Option<HashKv> {
        find(&self.kept.lock().told, revision)
    }

    fn tell(&self, hash: HashKv) {
        let told = &mut self.kept.lock().told;
        told.retain(|other| other.hash_revision != hash.hash_revision);
        push(told, hash);
    }

    pub fn clear(&self) {
        *self.kept.lock() = Kept::default();
    }
}

fn push(hashes: &mut Vec<HashKv>, hash: HashKv) {
    if hashes.len() == Hashes::LEN_MAX {
        hashes.remove(0);
    }
    hashes.push(hash);
}

fn find(hashes: &[HashKv], revision: Revision) -> Option<HashKv> {
    hashes.iter().find(|hash| hash.hash_revision == revision).copied()
}

/// etcd hashes its rows up to `revision` in order. Of those up to `compacted` it takes what `revision` still needs, so
/// that it does not matter how much of the compaction is done; but where `revision` needs nothing at all (`any_kept`
/// is false), it takes what there is: once the compaction is done, that is what `compacted` needs.
fn history(view: &View, compacted: Revision, revision: Revision, any_kept: bool) -> Result<HashKv> {
    let snapshot = &*view.snapshot;
    let mut sum = crc32c::crc32c(b"key");
    let old = compacted.min(revision);
    if old.0 > 0 {
        sum = hash_old(snapshot, sum, old, if any_kept { revision } else { compacted })?;
    }
    let after = last_of(Revision(compacted.0.max(0)));
    walk(snapshot, after, last_of(revision), |at, row| {
        sum = hash_row(sum, at, row);
        Ok(())
    })?;
    Ok(HashKv {
        hash: sum,
        compact_revision: compacted,
        hash_revision: revision,
    })
}

/// Adds the living versions up to `old` that no record up to `upper` has replaced.
fn hash_old(snapshot: &dyn Snapshot, mut sum: u32, old: Revision, upper: Revision) -> Result<u32> {
    let mut low = RevisionKey::default();
    loop {
        let window = Obsolete::find(snapshot, low, old, upper)?;
        let end = window.end.unwrap_or(last_of(old));
        sum = hash_kept(snapshot, sum, low, end, &window.versions)?;
        match window.end {
            Some(end) => low = end,
            None => return Ok(sum),
        }
    }
}

/// Versions that were replaced, in order, from a window of the history that is small enough to keep in memory.
struct Obsolete {
    versions: Vec<RevisionKey>,
    /// Where the window ends, `None` if it holds everything.
    end: Option<RevisionKey>,
}

impl Obsolete {
    /// 16 MiB. With more replaced versions the log is read once more for each further window.
    const LEN_MAX: usize = 1 << 20;

    /// Of the versions after `low` and up to `compacted` the first ones that a record up to `upper` replaced.
    fn find(
        snapshot: &dyn Snapshot,
        low: RevisionKey,
        compacted: Revision,
        upper: Revision,
    ) -> Result<Obsolete> {
        let swept = match snapshot.get(Family::Meta, SWEEP)? {
            Some(row) => Sweep::decode(&row)?.finished,
            None => Revision::NEVER_COMPACTED,
        };
        let mut heap = BinaryHeap::new();
        let mut overflow = false;
        let after = last_of(Revision(swept.0.max(0)));
        walk(snapshot, after, last_of(upper), |_, row| {
            let Some(replaced) = row.replaced else {
                return Ok(());
            };
            if replaced.at <= low || replaced.at.main > compacted {
                return Ok(());
            }
            heap.push(replaced.at);
            if heap.len() > Self::LEN_MAX {
                heap.pop();
                overflow = true;
            }
            Ok(())
        })?;
        let versions = heap.into_sorted_vec();
        let end = versions.last().copied().filter(|_| overflow);
        Ok(Obsolete { versions, end })
    }
}

/// Adds the living versions after `low` and up to `end`, without the `obsolete` ones.
fn hash_kept(
    snapshot: &dyn Snapshot,
    mut sum: u32,
    low: RevisionKey,
    end: RevisionKey,
    obsolete: &[RevisionKey],
) -> Result<u32> {
    let mut obsolete = obsolete.iter().peekable();
    walk(snapshot, low, end, |at, row| {
        while obsolete.next_if(|version| **version < at).is_some() {}
        if row.row.kind == EventKind::Put && obsolete.next_if(|version| **version == at).is_none() {
            sum = hash_row(sum, at, row);
        }
        Ok(())
    })?;
    Ok(sum)
}

/// Adds a row as etcd stores it.
fn hash_row(sum: u32, at: RevisionKey, row: &LogRow<'_>) -> u32 {
    let mut key = [0; 18];
    key[..8].copy_from_slice(&at.main.0.to_be_bytes());
    key[8] = b'_';
    key[9..17].copy_from_slice(&at.sub.to_be_bytes());
    key[17] = b't';
    match row.row.kind {
        EventKind::Put => crc32c_append(crc32c_append(sum, &key[..17]), row.row.kv),
        EventKind::Delete => {
            let sum = crc32c_append(sum, &key);
            // Its value is a KeyValue with nothing but the key, which is what ours begins with.
            crc32c_append(sum, &row.row.kv[..key_field_len(row.row.kv)])
        }
    }
}

/// Bytes of the KeyValue's first field, the key.
pub(crate) fn key_field_len(kv: &[u8]) -> usize {
    let key = crate::kv::Fields::parse(kv).map_or(&[][..], |fields| fields.key);
    if key.is_empty() {
        return 0;
    }
    let mut head = Vec::with_capacity(11);
    encode_varint(key.len() as u64, &mut head);
    1 + head.len() + key.len()
}

fn lives_any(view: &View, revision: Revision) -> Result<bool> {
    Ok(count::count(&view.reader(), &KeyRange::all(), revision)? > 0)
}

fn deletes_any_at(snapshot: &dyn Snapshot, revision: Revision) -> Result<bool> {
    let mut any = false;
    let before = last_of(Revision(revision.0 - 1));
    walk(snapshot, before, last_of(revision), |_, row| {
        any |= row.row.kind == EventKind::Delete;
        Ok(())
    })?;
    Ok(any)
}

/// Shows the log records after `after` and up to `end`.
fn walk(
    snapshot: &dyn Snapshot,
    after: RevisionKey,
    end: RevisionKey,
    mut visit: impl FnMut(RevisionKey, &LogRow<'_>) -> Result<(), Error>,
) -> Result<()> {
    if after >= end {
        return Ok(());
    }
    let (after, end) = (after.encode(), end.encode());
    let mut cursor = snapshot.scan(Family::Log, (Bound::Excluded(&after), Bound::Included(&end)))?;
    while let Some((row_key, row)) = cursor.next()? {
        visit(log_revision(row_key)?, &LogRow::parse(row)?)?;
    }
    Ok(())
}

/// Greatest key of a revision; of a negative one, something below all keys that are in use.
fn last_of(revision: Revision) -> RevisionKey {
    if revision.0 < 0 {
        return RevisionKey::default();
    }
    RevisionKey {
        main: revision,
        sub: i64::MAX,
    }
}
