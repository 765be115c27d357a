//! Counting keys, at any revision, without walking over them where that can be helped.

use crate::format::{Fields, LogRow};
use crate::reader::{Bounds, Order, Reader};
use crate::{Error, Result};
use model::{EventKind, KeyRange, Revision, RevisionKey};
use std::ops::{Bound, ControlFlow};
use storage::Family;

/// Number of keys of `range` that live at the readable `revision`.
pub(crate) fn count(reader: &Reader<'_>, range: &KeyRange, revision: Revision) -> Result<u64> {
    if let KeyRange::Single(key) = range {
        return Ok(reader.get_at(key, revision)?.is_some().into());
    }
    let newest = count_newest(reader, range)?;
    if revision >= reader.revision {
        return Ok(newest);
    }
    // Two ways back: undo the changes since, of all keys, or walk over the range. A revision has one change or more,
    // a key one row in the walk: the smaller number is a fair guess at the cheaper way. An open group's changes are
    // in no log yet.
    let changes = (reader.revision.0 - revision.0) as u64;
    if reader.overlay.is_none() && changes <= newest {
        undo(reader, range, revision, newest)
    } else {
        walk(reader, range.bounds(), revision)
    }
}

fn count_newest(reader: &Reader<'_>, range: &KeyRange) -> Result<u64> {
    if range.is_empty() {
        return Ok(0);
    }
    let start = range.start();
    let first = reader.counts.chunk(start);
    let end = match range {
        KeyRange::Interval(_, end) => Some(end),
        KeyRange::Single(_) | KeyRange::From(_) => None,
    };
    if let Some(end) = end
        && first.end.as_ref().is_none_or(|chunk_end| end <= chunk_end)
    {
        return if first.count == 0 {
            Ok(0)
        } else {
            walk(reader, range.bounds(), reader.revision)
        };
    }
    let below = |key: &[u8], fence: &[u8], count: u64| {
        if count == 0 || key == fence {
            return Ok(0);
        }
        walk(
            reader,
            (Bound::Included(fence), Bound::Excluded(key)),
            reader.revision,
        )
    };
    let before_start = first.before + below(start, &first.fence, first.count)?;
    let before_end = match end {
        None => reader.counts.total(),
        Some(end) => {
            let last = reader.counts.chunk(end);
            last.before + below(end, &last.fence, last.count)?
        }
    };
    before_end
        .checked_sub(before_start)
        .ok_or_else(|| Error::Damaged("counts do not agree with the keys".into()))
}

fn walk(reader: &Reader<'_>, bounds: Bounds<'_>, revision: Revision) -> Result<u64> {
    let mut count = 0;
    reader.visit(bounds, Order::Ascending, revision, |_, _| {
        count += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(count)
}

/// Every key created since was not there, every key deleted since was.
fn undo(reader: &Reader<'_>, range: &KeyRange, revision: Revision, newest: u64) -> Result<u64> {
    let from = RevisionKey {
        main: revision.next(),
        sub: 0,
    }
    .encode();
    let mut cursor = reader
        .snapshot
        .scan(Family::Log, (Bound::Included(&from), Bound::Unbounded))?;
    let mut count = newest as i64;
    while let Some((_, value)) = cursor.next()? {
        let row = LogRow::parse(value)?.row;
        let fields = Fields::parse(row.kv)?;
        if range.contains(fields.key) {
            match row.kind {
                EventKind::Delete => count += 1,
                EventKind::Put if fields.version == 1 => count -= 1,
                EventKind::Put => {}
            }
        }
    }
    u64::try_from(count).map_err(|_| Error::Damaged("counts do not agree with the log".into()))
}
