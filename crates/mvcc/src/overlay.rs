//! Versions that are written but not committed.

use crate::Result;
use crate::format::Row;
use crate::reader::{Bounds, Found};
use bytes::Bytes;
use model::{Revision, RevisionKey};
use std::collections::{BTreeMap, btree_map};

/// The keys that the open group changed, with every version the group made of them: a request may read at a revision
/// that an earlier request of the same group made.
#[derive(Default)]
pub(crate) struct Overlay {
    keys: BTreeMap<Bytes, Versions>,
}

/// Uncommitted versions of one key.
pub(crate) struct Versions {
    newest: Version,
    /// Those before it, oldest first.
    older: Vec<Version>,
}

/// One uncommitted version.
pub(crate) struct Version {
    pub at: RevisionKey,
    /// As in `current`.
    pub row: Bytes,
}

impl Overlay {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn clear(&mut self) {
        self.keys.clear();
    }

    pub fn get(&self, key: &[u8]) -> Option<&Versions> {
        self.keys.get(key)
    }

    pub fn insert(&mut self, key: Bytes, version: Version) {
        match self.keys.entry(key) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(Versions {
                    newest: version,
                    older: Vec::new(),
                });
            }
            btree_map::Entry::Occupied(mut entry) => {
                let versions = entry.get_mut();
                let before = std::mem::replace(&mut versions.newest, version);
                versions.older.push(before);
            }
        }
    }

    /// Changed keys within bounds, in order. The bounds must not be inverted.
    pub fn range(&self, bounds: Bounds<'_>) -> btree_map::Range<'_, Bytes, Versions> {
        self.keys.range::<[u8], _>(bounds)
    }

    /// The newest row of each key, in order of keys.
    pub fn rows(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.keys
            .iter()
            .map(|(key, versions)| (key, &versions.newest.row))
    }
}

impl Versions {
    pub fn newest(&self) -> &Version {
        &self.newest
    }

    /// The version that counts at `revision`, `None` if it is older than the group.
    pub fn at(&self, revision: Revision) -> Option<&Version> {
        if self.newest.at.main <= revision {
            return Some(&self.newest);
        }
        self.older
            .iter()
            .rev()
            .find(|version| version.at.main <= revision)
    }
}

impl Version {
    /// `None` if it is the mark of a deletion.
    pub fn live(&self) -> Result<Option<Found<'static>>> {
        let row = Row::parse(&self.row)?;
        Ok(row
            .is_live()
            .then(|| Found::shared(self.row.slice_ref(row.kv), row.sub)))
    }
}
