//! One request being executed.

use crate::change::earlier_prev_kv;
use crate::format::{Record, Replaced, Row, Superseded};
use crate::kv::Fields;
use crate::reader::{Arena, Order, Reader};
use crate::{Change, Changes, Error, Kv, Read, Result, View, Writer, count};
use bytes::Bytes;
use model::pb::etcdserverpb::{RangeRequest, RangeResponse};
use model::{EventKind, KeyRange, Revision, RevisionKey};
use std::ops::ControlFlow;
use std::sync::Arc;

/// One request: all its changes get one revision, the current one plus 1. Reads see its own changes; there is no
/// way back, so check before writing. Dropping it ends the request as [`Tx::finish`] does.
pub struct Tx<'a> {
    writer: &'a mut Writer,
    /// What the writer's group builds on.
    base: Arc<View>,
    /// The revision that changes get.
    revision: Revision,
    changes: Vec<Change>,
}

/// What `current` shows of a key before a change.
enum Before {
    Nothing,
    /// It was deleted by this change.
    Mark(RevisionKey),
    Version(Version),
}

struct Version {
    kv: Kv,
    at: RevisionKey,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(writer: &'a mut Writer, base: Arc<View>) -> Tx<'a> {
        let revision = writer.revision().next();
        Tx {
            writer,
            base,
            revision,
            changes: Vec::new(),
        }
    }

    /// Sets `key`; `lease` 0 for none. Returns the version before.
    pub fn put(&mut self, key: Bytes, value: Bytes, lease: i64) -> Result<Option<Kv>> {
        let result = self.write_put(&key, &value, lease);
        self.checked(result)
    }

    /// Deletes every key of the range. Returns the versions before, in order of keys.
    pub fn delete_range(&mut self, range: &KeyRange) -> Result<Vec<Kv>> {
        let result = self.write_deletes(range);
        self.checked(result)
    }

    /// Whether something was written.
    pub fn changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Ends the request. Returns its revision, or the current one if it changed nothing.
    pub fn finish(self) -> Revision {
        self.revision()
    }

    fn write_put(&mut self, key: &[u8], value: &[u8], lease: i64) -> Result<Option<Kv>> {
        self.ready()?;
        let before = self.before(key)?;
        let (create, version) = match &before {
            Before::Version(before) => (before.kv.create, before.kv.version + 1),
            Before::Mark(_) | Before::Nothing => (self.revision.0, 1),
        };
        let fields = Fields {
            key,
            create,
            modified: self.revision.0,
            version,
            value,
            lease,
        };
        self.write(EventKind::Put, &fields, &before)?;
        Ok(before.into_kv())
    }

    fn write_deletes(&mut self, range: &KeyRange) -> Result<Vec<Kv>> {
        self.ready()?;
        let mut living = Vec::new();
        if let KeyRange::Single(key) = range {
            living.push(self.before(key)?);
        } else {
            let mut arena = Arena::default();
            let reader = self.reader();
            reader.visit(range.bounds(), Order::Ascending, reader.revision, |_, found| {
                let sub = found.sub;
                living.push(Before::version(found.keep(&mut arena)?, sub)?);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let mut deleted = Vec::with_capacity(living.len());
        for before in living {
            let Before::Version(version) = &before else {
                continue;
            };
            let fields = Fields {
                key: &version.kv.key,
                modified: self.revision.0,
                ..Fields::default()
            };
            self.write(EventKind::Delete, &fields, &before)?;
            deleted.extend(before.into_kv());
        }
        Ok(deleted)
    }

    fn before(&self, key: &[u8]) -> Result<Before> {
        let reader = self.reader();
        let Some(row) = reader.row(key)? else {
            return Ok(Before::Nothing);
        };
        let parsed = Row::parse(&row)?;
        if parsed.is_live() {
            Before::version(reader.version(&row, &parsed)?, parsed.sub)
        } else {
            parsed.at().map(Before::Mark)
        }
    }

    fn write(&mut self, kind: EventKind, fields: &Fields<'_>, before: &Before) -> Result<()> {
        let at = RevisionKey {
            main: self.revision,
            sub: self.changes.len() as i64,
        };
        let superseded = before.superseded();
        let record = Record::encode(kind, at, superseded, fields);
        let prev_kv = match before {
            _ if fields.is_creation(kind) => Bytes::new(),
            _ if self.changed_before(fields.key) => earlier_prev_kv(&self.changes, fields.key),
            Before::Version(before) => before.kv.encoded.clone(),
            Before::Mark(_) | Before::Nothing => Bytes::new(),
        };
        let change = self.writer.add(kind, at, superseded, record, prev_kv)?;
        if self.changes.is_empty() {
            // Most requests change one key, and the watch hub keeps this list for a while: no room for four.
            self.changes.reserve_exact(1);
        }
        self.changes.push(change);
        Ok(())
    }

    /// Whether this request has changed `key` already.
    fn changed_before(&self, key: &[u8]) -> bool {
        if self.changes.is_empty() {
            return false;
        }
        let versions = self.writer.overlay().get(key);
        versions.is_some_and(|versions| versions.newest().at.main == self.revision)
    }

    fn ready(&self) -> Result<()> {
        if self.writer.is_failed() {
            Err(Error::Failed)
        } else {
            Ok(())
        }
    }

    /// A write that ended half-way leaves a group that must never be committed.
    fn checked<T>(&mut self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.writer.fail();
        }
        result
    }

    fn reader(&self) -> Reader<'_> {
        self.writer.reader(&self.base, self.revision())
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if self.changed() {
            let changes = std::mem::take(&mut self.changes);
            self.writer.end(Changes {
                revision: self.revision,
                changes,
            });
        }
    }
}

impl Before {
    fn version(kv: Bytes, sub: i64) -> Result<Before> {
        let kv = Kv::decode(kv)?;
        let at = RevisionKey {
            main: Revision(kv.modified),
            sub,
        };
        Ok(Before::Version(Version { kv, at }))
    }

    fn superseded(&self) -> Option<Superseded> {
        match self {
            Before::Nothing => None,
            Before::Mark(at) => Some(Superseded::Mark(*at)),
            Before::Version(version) => Some(Superseded::Version(Replaced {
                at: version.at,
                kv_len: version.kv.encoded.len() as u64,
            })),
        }
    }

    fn into_kv(self) -> Option<Kv> {
        match self {
            Before::Version(version) => Some(version.kv),
            Before::Mark(_) | Before::Nothing => None,
        }
    }
}

impl Read for Tx<'_> {
    fn revision(&self) -> Revision {
        if self.changed() {
            self.revision
        } else {
            self.writer.revision()
        }
    }

    fn compacted(&self) -> Revision {
        self.writer.compacted()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Kv>> {
        self.reader().get(key)
    }

    fn range(&self, request: &RangeRequest) -> Result<RangeResponse> {
        self.reader().range(request)
    }

    fn scan(&self, range: &KeyRange, visit: &mut dyn FnMut(Kv) -> ControlFlow<()>) -> Result<()> {
        self.reader().scan(range, visit)
    }

    fn count(&self, range: &KeyRange, revision: i64) -> Result<u64> {
        let reader = self.reader();
        let revision = reader.readable(revision)?;
        count::count(&reader, range, revision)
    }
}
