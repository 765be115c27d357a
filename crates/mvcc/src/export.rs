//! Handing history over to elsewhere: an etcd's database, a backup.

use crate::format::{LogRow, log_revision};
use crate::hash::key_field_len;
use crate::meta::{SWEEP, Sweep};
use crate::{Error, Result, View};
use model::{EventKind, Revision, RevisionKey};
use std::ops::Bound;
use storage::Family;

impl View {
    /// Shows every stored version in order of revisions, with its encoded `mvccpb.KeyValue` as etcd stores it: of a
    /// delete only the key. That is what [`crate::Writer::import`] takes. Versions that are compacted but not removed
    /// yet are among them.
    ///
    /// Stops with the first error of `visit`.
    pub fn export<E: From<Error>>(
        &self,
        mut visit: impl FnMut(RevisionKey, EventKind, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let mut cursor = self.snapshot.scan(Family::Log, everything).map_err(Error::from)?;
        while let Some((row_key, row)) = cursor.next().map_err(Error::from)? {
            let at = log_revision(row_key)?;
            let row = LogRow::parse(row)?.row;
            let kv = match row.kind {
                EventKind::Put => row.kv,
                EventKind::Delete => &row.kv[..key_field_len(row.kv)],
            };
            visit(at, row.kind, kv)?;
        }
        Ok(())
    }

    /// Up to which revision the versions that a compaction made obsolete are removed;
    /// [`Revision::NEVER_COMPACTED`] if none are.
    pub fn swept(&self) -> Result<Revision> {
        Ok(match self.snapshot.get(Family::Meta, SWEEP)? {
            Some(row) => Sweep::decode(&row)?.finished,
            None => Revision::NEVER_COMPACTED,
        })
    }
}
