//! A range, walked by fjall's iterator.

use crate::error::running;
use crate::key::{plain, stored_bounds};
use fjall::{Iter, Keyspace, Readable, Snapshot, UserKey, UserValue};
use std::ops::Bound;
use storage::{Cursor, Result};

/// fjall's iterator cannot be moved: a seek makes a new one.
pub struct Range<'a> {
    snapshot: &'a Snapshot,
    keyspace: &'a Keyspace,
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
    /// `None` if nothing can be within the bounds.
    iterator: Option<Iter>,
    shown: Option<(UserKey, UserValue)>,
}

impl<'a> Range<'a> {
    pub fn new(
        snapshot: &'a Snapshot,
        keyspace: &'a Keyspace,
        (low, high): (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Range<'a> {
        let iterator = iterate(snapshot, keyspace, (low, high));
        let (low, high) = (low.map(<[u8]>::to_vec), high.map(<[u8]>::to_vec));
        Range {
            snapshot,
            keyspace,
            low,
            high,
            iterator,
            shown: None,
        }
    }

    fn show(&mut self, row: Option<fjall::Guard>) -> Result<Option<(&[u8], &[u8])>> {
        self.shown = row.map(|row| row.into_inner().map_err(running)).transpose()?;
        if self.shown.is_none() {
            self.iterator = None;
        }
        Ok(self.shown.as_ref().map(|(key, value)| (plain(key), &value[..])))
    }
}

fn iterate(snapshot: &Snapshot, keyspace: &Keyspace, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Option<Iter> {
    Some(snapshot.range(keyspace, stored_bounds(bounds)?))
}

impl Cursor for Range<'_> {
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let row = self.iterator.as_mut().and_then(Iterator::next);
        self.show(row)
    }

    fn prev(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let row = self.iterator.as_mut().and_then(DoubleEndedIterator::next_back);
        self.show(row)
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let low = match &self.low {
            Bound::Included(low) if low[..] > *key => Bound::Included(&low[..]),
            Bound::Excluded(low) if low[..] >= *key => Bound::Excluded(&low[..]),
            _ => Bound::Included(key),
        };
        let high = self.high.as_ref().map(Vec::as_slice);
        self.iterator = iterate(self.snapshot, self.keyspace, (low, high));
        Ok(())
    }
}
