//! A range, walked by RocksDB's iterator.

use crate::db::Held;
use crate::error::running;
use rocksdb::{DB, DBRawIteratorWithThreadMode};
use std::ops::Bound;
use storage::{Cursor, Family, Result};

/// Bounds are RocksDB's own: an iterator that knows them reads no block behind them and no tombstones outside.
pub struct Range<'a> {
    iterator: DBRawIteratorWithThreadMode<'a, DB>,
    stand: Stand,
}

enum Stand {
    /// Nowhere yet.
    Outside,
    /// On a row that is to be shown next.
    Before,
    /// On the row shown last, or at the end.
    On,
}

impl<'a> Range<'a> {
    pub fn new(held: &'a Held, family: Family, (low, high): (Bound<&[u8]>, Bound<&[u8]>)) -> Range<'a> {
        let mut options = held.scan_options();
        // RocksDB includes the lower bound and excludes the upper one.
        match low {
            Bound::Unbounded => {}
            Bound::Included(key) => options.set_iterate_lower_bound(key),
            Bound::Excluded(key) => options.set_iterate_lower_bound(successor(key)),
        }
        match high {
            Bound::Unbounded => {}
            Bound::Included(key) => options.set_iterate_upper_bound(successor(key)),
            Bound::Excluded(key) => options.set_iterate_upper_bound(key),
        }
        let db = held.db();
        let iterator = db.rocks().raw_iterator_cf_opt(db.family(family), options);
        Range {
            iterator,
            stand: Stand::Outside,
        }
    }

    fn show(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.stand = Stand::On;
        let row = self.iterator.item();
        if row.is_none() {
            self.iterator.status().map_err(running)?;
        }
        Ok(row)
    }
}

/// The first key after `key`.
fn successor(key: &[u8]) -> Vec<u8> {
    let mut successor = Vec::with_capacity(key.len() + 1);
    successor.extend_from_slice(key);
    successor.push(0);
    successor
}

impl Cursor for Range<'_> {
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match self.stand {
            Stand::Outside => self.iterator.seek_to_first(),
            Stand::Before => {}
            Stand::On => self.iterator.next(),
        }
        self.show()
    }

    fn prev(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match self.stand {
            Stand::Outside => self.iterator.seek_to_last(),
            Stand::Before | Stand::On => self.iterator.prev(),
        }
        self.show()
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.iterator.seek(key);
        self.stand = Stand::Before;
        // An error shows as the end of the range; `next` asks for it.
        Ok(())
    }
}
