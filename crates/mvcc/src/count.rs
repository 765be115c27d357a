//! Counting keys, at any revision, without walking over them where that can be helped.

use crate::counts::Chunk;
use crate::format::LogRow;
use crate::kv::Fields;
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

/// Keys that a walk for an answer passes on its way; what it takes to know from them how many there are in all.
pub(crate) struct Tally {
    passed: u64,
    /// Where a walk at the newest revision begins: passing the rest of this chunk is what counting would cost too, and
    /// most answers need these keys anyway.
    first: Option<Chunk>,
    passed_first: u64,
}

impl Tally {
    pub fn new(reader: &Reader<'_>, range: &KeyRange, revision: Revision, order: Order) -> Tally {
        let newest = revision >= reader.revision && order == Order::Ascending;
        Tally {
            passed: 0,
            first: newest.then(|| reader.counts.chunk(range.start())),
            passed_first: 0,
        }
    }

    pub fn pass(&mut self, key: &[u8]) {
        self.passed += 1;
        if self.is_in_first(key) {
            self.passed_first = self.passed;
        }
    }

    /// Whether going on from `key`, which was passed, would tell nothing that [`Tally::total`] wants.
    pub fn is_enough(&self, key: &[u8]) -> bool {
        self.first.is_none() || !self.is_in_first(key)
    }

    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Keys of the range after a walk that stopped where there was enough; `None` if they must be counted.
    pub fn total(&self, reader: &Reader<'_>, range: &KeyRange) -> Result<Option<u64>> {
        let Some(first) = &self.first else {
            return Ok(None);
        };
        let after = before_end(reader, range)?.checked_sub(first.before + first.count);
        let after = after.ok_or_else(|| Error::Damaged("counts do not agree with the keys".into()))?;
        Ok(Some(self.passed_first + after))
    }

    fn is_in_first(&self, key: &[u8]) -> bool {
        let end = self.first.as_ref().map(|first| &first.end);
        end.is_some_and(|end| end.as_ref().is_none_or(|end| key < end))
    }
}

fn count_newest(reader: &Reader<'_>, range: &KeyRange) -> Result<u64> {
    if range.is_empty() {
        return Ok(0);
    }
    let first = reader.counts.chunk(range.start());
    if let KeyRange::Interval(_, end) = range
        && first.end.as_ref().is_none_or(|chunk_end| end <= chunk_end)
    {
        return if first.count == 0 {
            Ok(0)
        } else {
            walk(reader, range.bounds(), reader.revision)
        };
    }
    let before_start = before(reader, range.start())?;
    before_end(reader, range)?
        .checked_sub(before_start)
        .ok_or_else(|| Error::Damaged("counts do not agree with the keys".into()))
}

/// Living keys below the end of the range.
fn before_end(reader: &Reader<'_>, range: &KeyRange) -> Result<u64> {
    match range {
        KeyRange::Interval(_, end) => before(reader, end),
        KeyRange::Single(_) | KeyRange::From(_) => Ok(reader.counts.total()),
    }
}

/// Living keys below `key`.
fn before(reader: &Reader<'_>, key: &[u8]) -> Result<u64> {
    let chunk = reader.counts.chunk(key);
    if chunk.count == 0 || chunk.fence == key {
        return Ok(chunk.before);
    }
    let bounds = (Bound::Included(&chunk.fence[..]), Bound::Excluded(key));
    Ok(chunk.before + walk(reader, bounds, reader.revision)?)
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
    // No more than there are rows.
    let mut since = 0i64;
    while let Some((_, value)) = cursor.next()? {
        let row = LogRow::parse(value)?.row;
        let fields = Fields::parse(row.kv)?;
        if range.contains(fields.key) {
            match row.kind {
                EventKind::Delete => since += 1,
                EventKind::Put if fields.version == 1 => since -= 1,
                EventKind::Put => {}
            }
        }
    }
    newest
        .checked_add_signed(since)
        .ok_or_else(|| Error::Damaged("counts do not agree with the log".into()))
}
