//! Finding versions: in the open group, in `current`, or in the history.

use crate::counts::Counts;
use crate::format::{LogRow, Row};
use crate::kv::Fields;
use crate::overlay::{Overlay, Versions};
use crate::page_counts::PageCounts;
use crate::{Error, Kv, Result, version_key};
use bytes::{Bytes, BytesMut};
use model::{EventKind, KeyRange, Rejection, Revision, RevisionKey};
use std::ops::{Bound, ControlFlow, Deref};
use storage::{Cursor, Family, Snapshot};

pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A state of the store: a snapshot, and over it what the open group changed.
///
/// Every key that lived at a readable revision has a row in `current`, were it only the mark of its deletion. So one
/// walk over `current` finds all keys of any revision, and only those that changed since cost a look into the history.
pub(crate) struct Reader<'a> {
    pub snapshot: &'a dyn Snapshot,
    pub overlay: Option<&'a Overlay>,
    pub counts: &'a Counts,
    /// Only where everything is committed.
    pub page_counts: Option<&'a PageCounts>,
    pub revision: Revision,
    pub compacted: Revision,
}

/// Order of a walk over keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

/// A living version on its way to whoever asked.
pub(crate) struct Found<'a> {
    bytes: FoundBytes<'a>,
    /// Where the whole of it is, if it is without its value.
    apart: Option<&'a dyn Snapshot>,
    /// Place within the revision that wrote it.
    pub sub: i64,
}

enum FoundBytes<'a> {
    /// In the engine's memory, until the walk goes on.
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

/// A whole version, in memory of its own or not.
pub(crate) enum Whole<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

impl<'a> Found<'a> {
    pub fn shared(kv: Bytes, sub: i64) -> Found<'static> {
        Found {
            bytes: FoundBytes::Shared(kv),
            apart: None,
            sub,
        }
    }

    /// The version, perhaps without its value.
    pub fn head(&self) -> &[u8] {
        match &self.bytes {
            FoundBytes::Borrowed(kv) => kv,
            FoundBytes::Shared(kv) => kv,
        }
    }

    /// All of the version. Reads the log for a large value.
    pub fn whole(self) -> Result<Whole<'a>> {
        if let Some(snapshot) = self.apart {
            let at = RevisionKey {
                main: Revision(Fields::parse(self.head())?.modified),
                sub: self.sub,
            };
            return logged(snapshot, at).map(Whole::Shared);
        }
        Ok(match self.bytes {
            FoundBytes::Borrowed(kv) => Whole::Borrowed(kv),
            FoundBytes::Shared(kv) => Whole::Shared(kv),
        })
    }

    /// All of the version, beyond the walk.
    pub fn keep(self, arena: &mut Arena) -> Result<Bytes> {
        Ok(match self.whole()? {
            Whole::Borrowed(kv) => arena.copy(kv),
            Whole::Shared(kv) => kv,
        })
    }
}

impl Deref for Whole<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Whole::Borrowed(kv) => kv,
            Whole::Shared(kv) => kv,
        }
    }
}

/// Copies many small things into few allocations.
#[derive(Default)]
pub(crate) struct Arena(BytesMut);

impl Arena {
    const CHUNK_BYTES: usize = 32 << 10;
    /// The first chunk is small, because most answers are.
    const FIRST_CHUNK_BYTES: usize = 1 << 10;

    pub fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if self.0.capacity() < bytes.len() {
            if bytes.len() >= Self::CHUNK_BYTES / 4 {
                return Bytes::copy_from_slice(bytes);
            }
            let chunk = if self.0.is_empty() && self.0.capacity() == 0 {
                Self::FIRST_CHUNK_BYTES
            } else {
                Self::CHUNK_BYTES
            };
            self.0 = BytesMut::with_capacity(chunk.max(bytes.len()));
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }
}

impl<'a> Reader<'a> {
    /// The revision that a request reads at: etcd takes everything up to 0 for "newest".
    pub fn readable(&self, revision: i64) -> Result<Revision> {
        match Revision(revision) {
            asked if asked > self.revision => Err(Rejection::FutureRevision.into()),
            Revision(..=0) => Ok(self.revision),
            asked if asked < self.compacted => Err(Rejection::Compacted.into()),
            asked => Ok(asked),
        }
    }

    /// Row of `current`, with the open group in it.
    pub fn row(&self, key: &[u8]) -> Result<Option<Bytes>> {
        match self.pending(key) {
            Some(versions) => Ok(Some(versions.newest().row.clone())),
            None => Ok(self.snapshot.get(Family::Current, key)?),
        }
    }

    /// Newest version of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Kv>> {
        match self.row(key)? {
            Some(row) => {
                let parsed = Row::parse(&row)?;
                let kv = parsed.is_live().then(|| self.version(&row, &parsed));
                kv.transpose()?.map(Kv::decode).transpose()
            }
            None => Ok(None),
        }
    }

    /// The whole version in a row of `current`, which is not the mark of a deletion.
    pub fn version(&self, row: &Bytes, parsed: &Row<'_>) -> Result<Bytes> {
        match parsed.apart {
            Some(_) => logged(self.snapshot, parsed.at()?),
            None => Ok(row.slice_ref(parsed.kv)),
        }
    }

    /// A key at a readable revision.
    pub fn get_at(&self, key: &[u8], revision: Revision) -> Result<Option<Found<'a>>> {
        if let Some(version) = self.pending(key).and_then(|versions| versions.at(revision)) {
            return version.live();
        }
        let Some(row) = self.snapshot.get(Family::Current, key)? else {
            return Ok(None);
        };
        let parsed = Row::parse(&row)?;
        if revision < self.revision && parsed.modified()? > revision {
            return History::new(self.snapshot).get(key, revision);
        }
        Ok(parsed.is_live().then(|| Found {
            bytes: FoundBytes::Shared(row.slice_ref(parsed.kv)),
            apart: parsed.apart.map(|_| self.snapshot),
            sub: parsed.sub,
        }))
    }

    /// Shows the keys that live at a readable `revision`, in the given order, until `visit` breaks. Returns whether
    /// all were shown.
    pub fn visit(
        &self,
        bounds: Bounds<'_>,
        order: Order,
        revision: Revision,
        mut visit: impl FnMut(&[u8], Found<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<bool> {
        let mut resolve = Resolve::new(self, revision);
        let mut cursor = self.snapshot.scan(Family::Current, bounds)?;
        let mut pending = Pending::new(self.overlay, bounds, order);
        loop {
            let row = match order {
                Order::Ascending => cursor.next()?,
                Order::Descending => cursor.prev()?,
            };
            while let Some((key, versions)) = pending.before(row.map(|(key, _)| key)) {
                if resolve.show(key, Some(versions), None, &mut visit)?.is_break() {
                    return Ok(false);
                }
            }
            let Some((key, row)) = row else {
                return Ok(true);
            };
            if resolve
                .show(key, pending.exactly(key), Some(row), &mut visit)?
                .is_break()
            {
                return Ok(false);
            }
        }
    }

    /// Calls `visit` with the newest version of each key.
    pub fn scan(&self, range: &KeyRange, visit: &mut dyn FnMut(Kv) -> ControlFlow<()>) -> Result<()> {
        if let KeyRange::Single(key) = range {
            if let Some(kv) = self.get(key)? {
                let _ = visit(kv);
            }
            return Ok(());
        }
        let mut arena = Arena::default();
        self.visit(range.bounds(), Order::Ascending, self.revision, |_, found| {
            Ok(visit(Kv::decode(found.keep(&mut arena)?)?))
        })?;
        Ok(())
    }

    fn pending(&self, key: &[u8]) -> Option<&'a Versions> {
        self.overlay.and_then(|overlay| overlay.get(key))
    }
}

/// Uncommitted keys, merged into a walk over the committed ones.
struct Pending<'a> {
    keys: Option<Box<dyn Iterator<Item = (&'a Bytes, &'a Versions)> + 'a>>,
    next: Option<(&'a Bytes, &'a Versions)>,
    order: Order,
}

impl<'a> Pending<'a> {
    fn new(overlay: Option<&'a Overlay>, bounds: Bounds<'_>, order: Order) -> Pending<'a> {
        let keys = overlay
            .filter(|overlay| !overlay.is_empty())
            .map(|overlay| overlay.range(bounds));
        let mut keys: Option<Box<dyn Iterator<Item = _>>> = match (keys, order) {
            (None, _) => None,
            (Some(keys), Order::Ascending) => Some(Box::new(keys)),
            (Some(keys), Order::Descending) => Some(Box::new(keys.rev())),
        };
        let next = keys.as_mut().and_then(Iterator::next);
        Pending { keys, next, order }
    }

    /// The next one that comes before `row_key`; `None` as `row_key` is after everything.
    fn before(&mut self, row_key: Option<&[u8]>) -> Option<(&'a Bytes, &'a Versions)> {
        let (key, _) = self.next?;
        let due = row_key.is_none_or(|row_key| match self.order {
            Order::Ascending => &key[..] < row_key,
            Order::Descending => &key[..] > row_key,
        });
        if due { self.take() } else { None }
    }

    /// The one that is `row_key` itself.
    fn exactly(&mut self, row_key: &[u8]) -> Option<&'a Versions> {
        let (key, _) = self.next?;
        if key == row_key {
            self.take().map(|(_, versions)| versions)
        } else {
            None
        }
    }

    fn take(&mut self) -> Option<(&'a Bytes, &'a Versions)> {
        let following = self.keys.as_mut().and_then(Iterator::next);
        std::mem::replace(&mut self.next, following)
    }
}

/// What decides, key by key, which version is shown.
struct Resolve<'a> {
    revision: Revision,
    newest: bool,
    history: History<'a>,
}

impl<'a> Resolve<'a> {
    fn new(reader: &Reader<'a>, revision: Revision) -> Resolve<'a> {
        Resolve {
            revision,
            newest: revision >= reader.revision,
            history: History::new(reader.snapshot),
        }
    }

    fn show(
        &mut self,
        key: &[u8],
        pending: Option<&Versions>,
        row: Option<&[u8]>,
        visit: &mut impl FnMut(&[u8], Found<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        let found = if let Some(version) = pending.and_then(|versions| versions.at(self.revision)) {
            version.live()?
        } else if let Some(row) = row {
            let row = Row::parse(row)?;
            if !self.newest && row.modified()? > self.revision {
                self.history.get(key, self.revision)?
            } else {
                row.is_live().then_some(Found {
                    bytes: FoundBytes::Borrowed(row.kv),
                    apart: row.apart.map(|_| self.history.snapshot),
                    sub: row.sub,
                })
            }
        } else {
            None
        };
        match found {
            Some(found) => visit(key, found),
            None => Ok(ControlFlow::Continue(())),
        }
    }
}

/// Versions that are no longer the newest.
pub(crate) struct History<'a> {
    snapshot: &'a dyn Snapshot,
    /// Kept from key to key, as long as they ascend: a seek in an open cursor is cheaper than a new one.
    versions: Option<(Bytes, Box<dyn Cursor + 'a>)>,
}

impl<'a> History<'a> {
    pub fn new(snapshot: &'a dyn Snapshot) -> History<'a> {
        History {
            snapshot,
            versions: None,
        }
    }

    /// What `key` was at `revision`.
    pub fn get(&mut self, key: &[u8], revision: Revision) -> Result<Option<Found<'static>>> {
        let target = version_key::encode(
            key,
            RevisionKey {
                main: revision,
                sub: i64::MAX,
            },
        );
        let prefix_len = target.len() - RevisionKey::LEN;
        let mut versions = match self.versions.take() {
            Some((last, versions)) if last <= target => versions,
            _ => self
                .snapshot
                .scan(Family::Versions, (Bound::Unbounded, Bound::Unbounded))?,
        };
        versions.seek(&target)?;
        let at = match versions.next()? {
            Some((row_key, kind)) if row_key.starts_with(&target[..prefix_len]) => (kind
                == [EventKind::Put as u8])
            .then(|| version_key::revision(row_key))
            .transpose()?,
            _ => None,
        };
        self.versions = Some((target, versions));
        let Some(at) = at else {
            return Ok(None);
        };
        Ok(Some(Found::shared(logged(self.snapshot, at)?, at.sub)))
    }
}

/// A version that must be in the log.
pub(crate) fn logged(snapshot: &dyn Snapshot, at: RevisionKey) -> Result<Bytes> {
    let log = snapshot.get(Family::Log, &at.encode())?.ok_or_else(|| {
        let RevisionKey { main, sub } = at;
        Error::Damaged(format!("revision {main}/{sub} is missing in log"))
    })?;
    log_kv(&log)
}

/// The KeyValue in a log row, without a copy.
fn log_kv(log: &Bytes) -> Result<Bytes> {
    Ok(log.slice_ref(LogRow::parse(log)?.row.kv))
}
