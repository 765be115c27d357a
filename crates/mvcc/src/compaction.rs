//! Removing versions that no readable revision needs.
//!
//! Every log record names the living version it replaced. So compacting to revision T is one walk over the records
//! after the last compaction and up to T: each makes what it replaced obsolete, and a deletion below T is obsolete
//! itself, together with the mark it left in `current`. A deletion at T stays until the next compaction, because a
//! watcher may still start at T (etcd #18089). Nothing else is read, whatever the number of keys.
//!
//! The walk goes in steps. Each writes its removals and where it stands in one batch, after what the writer has
//! committed and before what it commits next, so a crash loses whole steps, which are then done again. The writer and
//! a step can only meet at the mark of a deletion in `current`, when a put supersedes it, which moves the deletion to
//! `versions`. If the put is committed when the step gets the lock, the step removes the deletion from there. If it is
//! in the open group, the step removes the mark, and the writer sees when it gets the lock that the deletion is gone.

use crate::format::{LogRow, Row, log_revision};
use crate::hash;
use crate::kv::Fields;
use crate::meta::{Job, SWEEP, Sweep};
use crate::{HashKv, Result, Sizes, Store, View, version_key};
use bytes::Bytes;
use model::{EventKind, Revision, RevisionKey};
use parking_lot::Mutex;
use std::ops::Bound;
use std::sync::Arc;
use storage::{Batch, Family, Snapshot};

/// What a step of compaction did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// There was nothing to do.
    Idle,
    /// A part is done, and there is more to do.
    More {
        /// Versions that this step removed.
        removed: u64,
    },
    /// A compaction ended.
    Finished(Swept),
}

/// A compaction whose versions are all removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swept {
    /// Revision compacted to.
    pub revision: Revision,
    /// Versions removed, by all its steps in this process.
    pub removed: u64,
    /// etcd's hash of what was there before, where [`crate::Options::compaction_hash`] asks for it and no compaction
    /// before was left out or interrupted.
    pub hash: Option<HashKv>,
}

impl Store {
    /// Looks at up to `max` (at least 1) log records of the last compaction and removes what they made obsolete.
    /// Called again and again by one housekeeping thread, which sets the pace; after a crash it goes on where the
    /// backend's rows stand. Several compactions that come in faster are done as one.
    pub fn compaction_step(&self, max: usize) -> Result<Progress> {
        let Some(task) = self.task() else {
            return Ok(Progress::Idle);
        };
        if task.starts
            && self.shared.options.compaction_hash
            && task.previous == task.finished
            && let Some(hash) = hash::compaction(&task.view, task.finished, task.job.target)?
        {
            self.shared.hashes.begin(hash);
        }
        let removals = Removals::find(&*task.view.snapshot, task.finished, task.job, max.max(1))?;
        self.remove(task, removals)
    }

    /// Whether there is something for [`Store::compaction_step`] to do.
    pub fn compaction_pending(&self) -> bool {
        self.swept() < self.shared.view.load().compacted
    }

    /// Up to which revision the versions that a compaction made obsolete are removed.
    pub fn swept(&self) -> Revision {
        self.shared.swept()
    }

    /// Calls `then` once everything that a compaction to `revision` made obsolete is removed; at once if it is. Called
    /// on the thread that runs the compaction, so it must not block. Dropped uncalled with the store.
    pub fn when_swept(&self, revision: Revision, then: Box<dyn FnOnce() + Send>) {
        let mut waiting = self.shared.waiters.0.lock();
        // Whoever moves it on looks for waiters afterwards, and must wait for the lock.
        if self.swept() < revision {
            waiting.push((revision, then));
            return;
        }
        drop(waiting);
        then();
    }

    fn task(&self) -> Option<Task> {
        let ground = self.shared.ground.lock();
        if ground.sweep.finished >= ground.head.compacted {
            return None;
        }
        let finished = ground.sweep.finished;
        let fresh = Job {
            target: ground.head.compacted,
            // Deletions at the revision of the last compaction are still there.
            next: RevisionKey {
                main: Revision(finished.0.max(0)),
                sub: 0,
            },
        };
        Some(Task {
            view: self.shared.view.load_full(),
            epoch: ground.epoch,
            finished,
            previous: ground.head.previous,
            starts: ground.sweep.job.is_none(),
            job: ground.sweep.job.unwrap_or(fresh),
        })
    }

    fn remove(&self, task: Task, removals: Removals) -> Result<Progress> {
        let Removals {
            mut batch,
            marks,
            next,
            removed,
            bytes,
        } = removals;
        let mut ground = self.shared.ground.lock();
        failpoint::point!("compactAfterAcquiredBatchTxLock");
        if ground.epoch != task.epoch {
            return Ok(Progress::More { removed: 0 });
        }
        let now = self.shared.view.load();
        for (key, at) in marks {
            if now.revision == task.view.revision || is_mark(&*now.snapshot, &key, at)? {
                batch.delete(Family::Current, key);
            } else {
                batch.delete(Family::Versions, version_key::encode(&key, at));
            }
        }
        let target = task.job.target;
        let sweep = Sweep {
            finished: if next.is_some() { task.finished } else { target },
            job: next.map(|next| Job { target, next }),
            reclaimed: ground.sweep.reclaimed + bytes,
        };
        batch.put(Family::Meta, SWEEP, sweep.encode());
        failpoint::point!(if next.is_some() => "compactBeforeCommitBatch", "compactBeforeSetFinishedCompact");
        ground.backend.write(batch)?;
        failpoint::point!(if next.is_some() => "compactAfterCommitBatch", "compactAfterSetFinishedCompact");
        ground.sweep = sweep;
        ground.removed += removed;
        self.shared.publish(&ground);
        // Otherwise the view of a store that nobody writes to would keep the removed rows in the engine.
        self.shared.view.store(Arc::new(View {
            snapshot: ground.backend.snapshot()?,
            counts: now.counts.clone(),
            page_counts: now.page_counts.clone(),
            ..**now
        }));
        if next.is_some() {
            return Ok(Progress::More { removed });
        }
        let removed = std::mem::take(&mut ground.removed);
        let hash = self.shared.hashes.finish(target);
        drop(ground);
        self.shared.waiters.tell(target);
        Ok(Progress::Finished(Swept {
            revision: target,
            removed,
            hash,
        }))
    }
}

/// Those who want to know when a compaction has removed everything.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<Vec<(Revision, Then)>>);

type Then = Box<dyn FnOnce() + Send>;

impl Waiters {
    /// Everything up to `swept` is removed.
    pub fn tell(&self, swept: Revision) {
        let satisfied: Vec<_> = self
            .0
            .lock()
            .extract_if(.., |(revision, _)| *revision <= swept)
            .collect();
        for (_, then) in satisfied {
            then();
        }
    }
}

/// What a step works on.
struct Task {
    view: Arc<View>,
    epoch: u64,
    finished: Revision,
    previous: Revision,
    /// Whether nothing of the job is done yet.
    starts: bool,
    job: Job,
}

/// What a step removes.
struct Removals {
    batch: Batch,
    /// Rows of `current` to remove, if they still are the mark of this deletion; otherwise it is in `versions`.
    marks: Vec<(Bytes, RevisionKey)>,
    /// Where the next step begins; `None` at the end.
    next: Option<RevisionKey>,
    /// Versions.
    removed: u64,
    /// What these versions counted for.
    bytes: u64,
}

impl Removals {
    fn find(snapshot: &dyn Snapshot, finished: Revision, job: Job, max: usize) -> Result<Removals> {
        let mut removals = Removals {
            batch: Batch::new(),
            marks: Vec::new(),
            next: None,
            removed: 0,
            bytes: 0,
        };
        let (start, end) = (
            job.next.encode(),
            RevisionKey {
                main: job.target,
                sub: i64::MAX,
            }
            .encode(),
        );
        let mut cursor = snapshot.scan(Family::Log, (Bound::Included(&start), Bound::Included(&end)))?;
        let mut seen = 0;
        while let Some((row_key, row)) = cursor.next()? {
            let at = log_revision(row_key)?;
            if seen == max {
                removals.next = Some(at);
                break;
            }
            seen += 1;
            let LogRow { replaced, row, .. } = LogRow::parse(row)?;
            let key = Fields::parse(row.kv)?.key;
            // What the records at `finished` replaced went with the last compaction.
            if let Some(replaced) = replaced.filter(|_| at.main > finished) {
                removals.log_row(replaced.at, replaced.kv_len);
                removals
                    .batch
                    .delete(Family::Versions, version_key::encode(key, replaced.at));
            }
            #[cfg(feature = "planted")]
            if planted::is(planted::Bug::CompactionEatsLive)
                && row.kind != EventKind::Delete
                && at.main < job.target
            {
                removals
                    .batch
                    .delete(Family::Versions, version_key::encode(key, at));
                removals.batch.delete(Family::Log, at.encode().to_vec());
            }
            let old_delete = row.kind == EventKind::Delete && at.main < job.target;
            #[cfg(feature = "planted")]
            let old_delete = old_delete
                || planted::is(planted::Bug::CompactionEatsDelete)
                    && row.kind == EventKind::Delete
                    && at.main == job.target;
            if old_delete {
                removals.log_row(at, row.kv.len() as u64);
                if is_mark(snapshot, key, at)? {
                    removals.marks.push((Bytes::copy_from_slice(key), at));
                } else {
                    removals
                        .batch
                        .delete(Family::Versions, version_key::encode(key, at));
                }
            }
        }
        Ok(removals)
    }

    fn log_row(&mut self, at: RevisionKey, kv_len: u64) {
        self.batch.delete(Family::Log, at.encode().to_vec());
        self.removed += 1;
        self.bytes += Sizes::of_version(kv_len);
    }
}

/// Whether `current` still shows that `key` was deleted by that change.
fn is_mark(snapshot: &dyn Snapshot, key: &[u8], at: RevisionKey) -> Result<bool> {
    let Some(row) = snapshot.get(Family::Current, key)? else {
        return Ok(false);
    };
    let row = Row::parse(&row)?;
    Ok(!row.is_live() && row.at()? == at)
}
