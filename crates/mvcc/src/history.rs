//! Reading the log back as events, for watchers that are behind.

use crate::change::earlier_prev_kv;
use crate::format::{LogRow, log_revision};
use crate::kv::Fields;
use crate::reader::logged;
use crate::{Change, Changes, Result};
use bytes::Bytes;
use model::{Rejection, Revision, RevisionKey};
use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;
use storage::{Family, Snapshot};

/// How much history one call may return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChangesLimit {
    /// Most revisions.
    pub revisions: usize,
    /// Stop after the revision with which this many bytes are reached.
    pub bytes: usize,
}

pub(crate) fn changes(
    snapshot: &dyn Snapshot,
    compacted: Revision,
    from: Revision,
    limit: ChangesLimit,
) -> Result<Vec<Arc<Changes>>> {
    if from < compacted {
        return Err(Rejection::Compacted.into());
    }
    let start = RevisionKey { main: from, sub: 0 }.encode();
    let mut cursor = snapshot.scan(Family::Log, (Bound::Included(&start), Bound::Unbounded))?;
    let mut found: Vec<Arc<Changes>> = Vec::new();
    let mut open: Option<Changes> = None;
    let mut bytes = 0;
    while let Some((row_key, row)) = cursor.next()? {
        let at = log_revision(row_key)?;
        if let Some(done) = open.take_if(|open| open.revision != at.main) {
            found.push(finish(done, compacted));
            if found.len() >= limit.revisions || bytes >= limit.bytes {
                return Ok(found);
            }
        }
        let open = open.get_or_insert_with(|| Changes {
            revision: at.main,
            changes: Vec::new(),
        });
        let change = change(snapshot, compacted, at, row, &open.changes)?;
        bytes += change.bytes();
        open.changes.push(change);
    }
    found.extend(open.map(|done| finish(done, compacted)));
    Ok(found)
}

/// What was replaced within the compacted revision may be removed already or not: then it is left out.
fn finish(mut changes: Changes, compacted: Revision) -> Arc<Changes> {
    if changes.revision == compacted {
        let mut later = HashSet::new();
        changes.changes.reverse();
        changes.changes.retain(|change| later.insert(change.key.clone()));
        changes.changes.reverse();
    }
    Arc::new(changes)
}

fn change(
    snapshot: &dyn Snapshot,
    compacted: Revision,
    at: RevisionKey,
    row: &[u8],
    earlier: &[Change],
) -> Result<Change> {
    let parsed = LogRow::parse(row)?;
    let event = Bytes::copy_from_slice(parsed.event);
    let kv = event.slice(event.len() - parsed.row.kv.len()..);
    let fields = Fields::parse(&kv)?;
    let key = kv.slice_ref(fields.key);
    // What the key was before this revision: as with etcd, not even a transaction's own changes count.
    let prev_kv = match parsed.replaced {
        _ if fields.is_creation(parsed.row.kind) => Bytes::new(),
        Some(replaced) if replaced.at.main == at.main => earlier_prev_kv(earlier, &key),
        // etcd reads the previous version at the revision before, which must not be compacted.
        Some(replaced) if at.main.0 > compacted.0 => logged(snapshot, replaced.at)?,
        _ => Bytes::new(),
    };
    Ok(Change {
        key,
        kind: parsed.row.kind,
        sub: at.sub,
        event,
        kv,
        prev_kv,
    })
}
