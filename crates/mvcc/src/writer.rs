//! The one writer: collects requests into groups.

use crate::change::{Change, Changes};
use crate::counts::Counts;
use crate::format::{Record, Superseded, current_row, version_kind};
use crate::meta::{HEAD, Head};
use crate::overlay::{Overlay, Version};
use crate::reader::Reader;
use crate::store::{Ground, Shared};
use crate::{Error, Result, Sizes, Tx, View, count_rows};
use bytes::Bytes;
use model::{EventKind, Rejection, Revision, RevisionKey};
use std::collections::BTreeSet;
use std::sync::Arc;
use storage::{Backend, Batch, Family};

/// From here on a value that is written a second time, and by each compaction of its key, costs more than the lookup that
/// each reading of it costs otherwise.
const LARGE_VALUE_BYTES: u32 = 2 << 10;

/// Collects the changes of many requests and commits them together. There is one per store; the apply thread owns it.
/// After an error other than a rejection it refuses everything: the store must be opened anew.
pub struct Writer {
    shared: Arc<Shared>,
    /// The committed state that the open group builds on. None is held between groups: a snapshot that nobody reads
    /// would keep the engine from giving back what a compaction removes.
    base: Option<Arc<View>>,
    /// As of the last commit.
    committed: Head,
    /// With the group's finished requests.
    head: Head,
    /// With the group's changes, but no chunk cut or joined.
    counts: Counts,
    /// Fences of the chunks that the group changed.
    touched: BTreeSet<Bytes>,
    overlay: Overlay,
    batch: Batch,
    /// Deletions that the group's puts supersede, with their keys in `versions`: they go there unless the compaction
    /// has removed them meanwhile.
    marks: Vec<(Bytes, RevisionKey)>,
    changes: Vec<Arc<Changes>>,
    last_import: RevisionKey,
    /// The last imported deletion of a key that was not there: right only if what it deleted was compacted away.
    baseless_delete: Option<RevisionKey>,
    failed: bool,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Writer {
        let head = shared.ground.lock().head;
        let counts = shared.view.load().counts.clone();
        Writer {
            shared,
            base: None,
            committed: head,
            head,
            counts,
            touched: BTreeSet::new(),
            overlay: Overlay::default(),
            batch: Batch::new(),
            marks: Vec::new(),
            changes: Vec::new(),
            last_import: RevisionKey::default(),
            baseless_delete: None,
            failed: false,
        }
    }

    /// Begins a request. Its reads see all requests of the group before it.
    pub fn begin(&mut self) -> Tx<'_> {
        let base = self.base();
        Tx::new(self, base)
    }

    /// Rows of other owners (leases, users, members, applied index) that go into the same group.
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Newest revision, with the requests of the group that are finished.
    pub fn revision(&self) -> Revision {
        self.head.revision
    }

    /// Oldest readable revision, with the compactions of the group.
    pub fn compacted(&self) -> Revision {
        self.head.compacted
    }

    /// The last committed state, without the group.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// Bytes that the open group holds in memory, roughly: a reason to commit.
    pub fn pending_bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// As [`crate::Store::sizes`], with the group.
    pub fn sizes(&self) -> Sizes {
        let ground = self.shared.ground.lock();
        let in_use = self.head.written.saturating_sub(ground.sweep.reclaimed);
        Sizes::new(ground.head.allocated, in_use)
    }

    /// Makes `revision` the oldest readable one. Versions that nothing needs any more are removed later, by
    /// [`crate::Store::compaction_step`].
    ///
    /// Rejects a revision at or below the compacted one, and one in the future.
    pub fn compact(&mut self, revision: Revision) -> Result<()> {
        if revision <= self.head.compacted {
            return Err(Rejection::Compacted.into());
        }
        if revision > self.head.revision {
            return Err(Rejection::FutureRevision.into());
        }
        failpoint::point!("compactBeforeCommitScheduledCompact");
        self.head.previous = self.head.compacted;
        self.head.compacted = revision;
        failpoint::point!("compactAfterCommitScheduledCompact");
        Ok(())
    }

    /// Writes the group as one backend batch and publishes the new view. Returns what changed, in order of
    /// revisions. Does nothing for an empty group.
    pub fn commit(&mut self) -> Result<Vec<Arc<Changes>>> {
        if self.failed {
            return Err(Error::Failed);
        }
        let result = self.write_group();
        self.failed = result.is_err();
        result
    }

    fn write_group(&mut self) -> Result<Vec<Arc<Changes>>> {
        if self.batch.is_empty() && self.head == self.committed {
            self.base = None;
            return Ok(Vec::new());
        }
        let base = self.base();
        let mut batch = std::mem::take(&mut self.batch);
        let large = self.shared.options.large_value_bytes.unwrap_or(LARGE_VALUE_BYTES) as usize;
        // Only the newest row of each key, in order of keys: what an LSM takes in fastest.
        for (key, row) in self.overlay.rows() {
            batch.put(Family::Current, key.clone(), current_row(row, large)?);
        }
        let touched = std::mem::take(&mut self.touched);
        if !touched.is_empty() {
            let chunk_keys = self.chunk_keys();
            self.counts = count_rows::settle(
                &self.reader(&base, self.head.revision),
                touched,
                chunk_keys,
                &mut batch,
            )?;
        }

        failpoint::point!("beforeStartDBTxn");
        let mut ground = self.shared.ground.lock();
        failpoint::point!("afterStartDBTxn");
        let mut head = self.head;
        let in_use = head.written.saturating_sub(ground.sweep.reclaimed);
        head.allocated = ground.head.allocated.max(in_use);
        for (key, mark) in self.marks.drain(..) {
            if !ground.sweep.has_removed_delete(mark) {
                batch.put(Family::Versions, key, version_kind(EventKind::Delete));
            }
        }
        if head != ground.head {
            batch.put(Family::Meta, HEAD, head.encode());
        }
        failpoint::point!("storeBeforeWrite");
        ground.backend.write(batch)?;
        failpoint::point!("storeAfterWrite");
        let view = Arc::new(View {
            snapshot: ground.backend.snapshot()?,
            counts: self.counts.clone(),
            revision: head.revision,
            compacted: head.compacted,
            page_counts: base.page_counts.clone(),
        });
        let has_written = head.revision != ground.head.revision;
        ground.head = head;
        if has_written {
            failpoint::point!("beforeWritebackBuf");
        }
        self.shared.view.store(view);
        failpoint::point!("afterWritebackBuf");
        self.shared.publish(&ground);
        drop(ground);

        self.base = None;
        self.committed = head;
        self.head = head;
        self.overlay.clear();
        Ok(std::mem::take(&mut self.changes))
    }

    /// Puts another backend (an installed snapshot) under the store; the group is dropped. Handles and hubs stay
    /// valid and see the new state from their next view on; views taken before still show the old one.
    pub fn restore(&mut self, backend: Arc<dyn Backend>) -> Result<()> {
        let (new, view) = Ground::load(backend)?;
        let view = Arc::new(view);
        let mut ground = self.shared.ground.lock();
        let epoch = ground.epoch + 1;
        *ground = Ground { epoch, ..new };
        self.shared.view.store(view);
        self.shared.hashes.clear();
        self.shared.publish(&ground);
        drop(ground);
        self.shared.waiters.tell(self.shared.swept());
        *self = Writer::new(self.shared.clone());
        Ok(())
    }

    fn chunk_keys(&self) -> u64 {
        let chosen = self.shared.options.chunk_keys.map(|keys| u64::from(keys.max(1)));
        chosen.unwrap_or_else(|| (self.counts.total().isqrt() / 8).clamp(32, 512))
    }

    /// What the group builds on.
    pub(crate) fn base(&mut self) -> Arc<View> {
        self.base
            .get_or_insert_with(|| self.shared.view.load_full())
            .clone()
    }

    /// The state of `base`, which is the group's, with the group's changes.
    pub(crate) fn reader<'a>(&'a self, base: &'a View, revision: Revision) -> Reader<'a> {
        Reader {
            snapshot: &*base.snapshot,
            overlay: Some(&self.overlay),
            counts: &self.counts,
            page_counts: None,
            revision,
            compacted: self.head.compacted,
        }
    }

    /// Whether the open group or the request wrote this key.
    pub(crate) fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// Takes a change into the group.
    pub(crate) fn add(
        &mut self,
        kind: EventKind,
        at: RevisionKey,
        superseded: Option<Superseded>,
        record: Record,
        prev_kv: Bytes,
    ) -> Result<Change> {
        let lived = matches!(superseded, Some(Superseded::Version(_)));
        let lives = kind == EventKind::Put;
        if lived != lives {
            let fence = self
                .counts
                .add(&record.key, i64::from(lives) - i64::from(lived))?;
            self.touched.insert(fence);
        }
        self.head.written += Sizes::of_version(record.kv.len() as u64);
        self.batch.put(Family::Log, record.log_key, record.log);
        match superseded {
            None => {}
            Some(Superseded::Version(_)) => {
                self.batch
                    .put(Family::Versions, record.version_key, version_kind(EventKind::Put));
            }
            Some(Superseded::Mark(mark)) => self.marks.push((record.version_key, mark)),
        }
        let row = record.row;
        self.overlay.insert(record.key.clone(), Version { at, row });
        Ok(Change {
            key: record.key,
            kind,
            sub: at.sub,
            event: record.event,
            kv: record.kv,
            prev_kv,
        })
    }

    /// The last version that was taken over.
    pub(crate) fn last_import(&self) -> RevisionKey {
        self.last_import
    }

    /// The last version taken over that deletes what was not there.
    pub(crate) fn baseless_delete(&self) -> Option<RevisionKey> {
        self.baseless_delete
    }

    /// A version was taken over.
    pub(crate) fn imported(&mut self, at: RevisionKey, is_baseless: bool) {
        self.last_import = at;
        if is_baseless {
            self.baseless_delete = Some(at);
        }
        self.head.revision = at.main;
    }

    pub(crate) fn set_position(&mut self, revision: Revision, compacted: Revision) {
        self.head.revision = revision;
        if compacted > self.head.compacted {
            self.head.previous = self.head.compacted;
            self.head.compacted = compacted;
        }
    }

    /// Ends a request that changed something.
    pub(crate) fn end(&mut self, changes: Changes) {
        self.head.revision = changes.revision;
        self.changes.push(Arc::new(changes));
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.failed
    }

    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }
}
