//! The hub's state behind its lock: who watches what, and how far each has come.
//!
//! Invariants:
//! * a watcher is in the index exactly while it is [`Place::Synced`], and then has been given every matching change up
//!   to `revision`, or waits for a later revision;
//! * a watcher that is [`Place::Behind`] stands in `behind` under its `next`, which is at most `revision`;
//! * the ring holds every revision after its floor up to `revision`.

use crate::Stats;
use crate::index::{Id, Index};
use crate::options::Options;
use crate::progress::Schedule;
use crate::queue::{Events, Offer, Queue};
use crate::requests::end_compacted;
use crate::ring::{Record, Ring};
use crate::watcher::{Entry, Place, Table};
use bytes::Bytes;
use model::Revision;
use mvcc::{Changes, Read, Store};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::task::Waker;

pub(crate) struct State {
    pub store: Store,
    pub ring: Ring,
    /// The newest revision that was handed out.
    pub revision: Revision,
    pub table: Table,
    pub behind: BTreeSet<(Revision, Id)>,
    pub streams: HashMap<u64, Stream>,
    pub schedule: Schedule,
    index: Index,
    synced: usize,
    streams_opened: u64,
    pub watchers_max: usize,
    /// Kept between calls for its memory.
    hits: Vec<(Id, u32)>,
}

/// One stream and its watchers, by watch id.
pub(crate) struct Stream {
    pub queue: Arc<Queue>,
    pub ids: BTreeMap<i64, Id>,
    /// Watchers that asked to be told of progress.
    pub progress: usize,
    pub next_id: i64,
    pub synced: usize,
    /// The latest start any of its watchers ever asked for.
    pub start_max: Revision,
}

impl State {
    pub fn new(store: Store, options: &Options) -> State {
        let revision = store.view().revision();
        State {
            ring: Ring::new(revision, options.ring_revisions_max, options.ring_bytes_max),
            revision,
            store,
            table: Table::default(),
            behind: BTreeSet::new(),
            streams: HashMap::new(),
            schedule: Schedule::new(options.progress_interval),
            index: Index::default(),
            synced: 0,
            streams_opened: 0,
            watchers_max: options.watchers_max,
            hits: Vec::new(),
        }
    }

    /// What answers are stamped with: the store may be a moment ahead of the hub.
    pub fn current(&self) -> Revision {
        self.revision.max(self.store.view().revision())
    }

    pub fn open(&mut self, queue: Arc<Queue>) -> u64 {
        self.streams_opened += 1;
        let stream = Stream {
            queue,
            ids: BTreeMap::new(),
            progress: 0,
            next_id: 0,
            synced: 0,
            start_max: Revision(0),
        };
        self.streams.insert(self.streams_opened, stream);
        self.streams_opened
    }

    pub fn close(&mut self, number: u64, wakers: &mut Vec<Waker>) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        stream.queue.close(wakers);
        for id in std::mem::take(&mut stream.ids).into_values() {
            self.take_out(id);
            self.table.remove(id);
        }
        self.streams.remove(&number);
        self.schedule.leave(number);
    }

    /// Hands out the changes of one revision.
    pub fn publish(&mut self, changes: Arc<Changes>, wakers: &mut Vec<Waker>) {
        let revision = changes.revision;
        if revision <= self.revision {
            return;
        }
        let skipped = revision != self.revision.next();
        #[cfg(feature = "planted")]
        let skipped = skipped && !planted::is(planted::Bug::WatchNotRestored);
        if skipped {
            // Never in order of business: but if revisions were skipped, the history has them.
            self.jump(Revision(revision.0 - 1));
        }
        let record = Arc::new(Record::new(changes));
        self.revision = revision;
        self.ring.push(record.clone());
        if !self.index.is_empty() {
            self.deliver(&record, wakers);
        }
    }

    fn deliver(&mut self, record: &Record, wakers: &mut Vec<Waker>) {
        let mut hits = std::mem::take(&mut self.hits);
        for (number, change) in record.changes.changes.iter().enumerate() {
            self.index.matching(&change.key, |ids| {
                hits.extend(ids.iter().map(|id| (*id, number as u32)));
            });
        }
        hits.retain(|(id, number)| {
            let kind = record.changes.changes[*number as usize].kind;
            self.table
                .get(*id)
                .is_some_and(|entry| entry.next <= record.revision() && entry.watcher.wants(kind))
        });
        if record.changes.changes.len() > 1 {
            hits.sort_unstable();
        }
        for hits in hits.chunk_by(|one, other| one.0 == other.0) {
            let id = hits[0].0;
            let Some(entry) = self.table.get_mut(id) else {
                continue;
            };
            let watcher = &entry.watcher;
            let events: Vec<Bytes> = hits
                .iter()
                .map(|(_, change)| record.event(*change as usize, watcher.prev_kv))
                .collect();
            entry.quiet = false;
            let offer = watcher
                .queue
                .offer_events(watcher, record.revision(), Events::Own(events), wakers);
            if offer == Offer::Full {
                self.take_out(id);
                if let Some(entry) = self.table.get_mut(id) {
                    entry.next = record.revision();
                    entry.place = Place::Stalled;
                }
            }
        }
        hits.clear();
        // A revision that touches very many keys shall not keep its memory for ever.
        hits.shrink_to(1 << 16);
        self.hits = hits;
    }

    /// The store has moved to `to` by other means than published changes: whoever was in step reads the history.
    pub fn jump(&mut self, to: Revision) {
        let to = to.max(self.revision);
        let reached = self.revision.next();
        self.revision = to;
        self.ring.reset(to);
        for id in self.table.synced() {
            let Some(entry) = self.table.get_mut(id) else {
                continue;
            };
            let next = entry.next.max(reached);
            if next <= to {
                self.take_out(id);
                if let Some(entry) = self.table.get_mut(id) {
                    entry.next = next;
                }
                self.put_in(id);
            }
        }
    }

    /// Gives the stalled watchers of a stream their turn again.
    pub fn resume(&mut self, number: u64) {
        let Some(stream) = self.streams.get(&number) else {
            return;
        };
        let stalled = |id: &Id| {
            self.table
                .get(*id)
                .is_some_and(|entry| entry.place == Place::Stalled)
        };
        for id in stream.ids.values().copied().filter(stalled).collect::<Vec<_>>() {
            self.put_in(id);
        }
    }

    /// Ends watchers whose next revision is compacted away, given that the ring does not hold it either.
    pub fn end_compacted(&mut self, compacted: Revision, wakers: &mut Vec<Waker>) {
        while let Some((next, id)) = self.behind.first().copied() {
            if next >= compacted || next > self.ring.floor() {
                return;
            }
            match self.remove(id) {
                Some(entry) => end_compacted(&entry.watcher, compacted, wakers),
                None => _ = self.behind.pop_first(),
            }
        }
    }

    /// Puts a watcher that is nowhere where its `next` says it belongs.
    pub fn put_in(&mut self, id: Id) {
        let Some(entry) = self.table.get_mut(id) else {
            return;
        };
        if entry.next <= self.revision {
            entry.place = Place::Behind;
            self.behind.insert((entry.next, id));
            return;
        }
        let slot = self.index.insert(&entry.watcher.range, id);
        entry.place = Place::Synced { slot };
        self.synced += 1;
        if let Some(stream) = self.streams.get_mut(&entry.stream) {
            stream.synced += 1;
        }
    }

    /// Takes a watcher out of wherever it is, to be put elsewhere or removed.
    fn take_out(&mut self, id: Id) {
        let Some(entry) = self.table.get_mut(id) else {
            return;
        };
        match entry.place {
            Place::Synced { slot } => {
                self.synced -= 1;
                if let Some(stream) = self.streams.get_mut(&entry.stream) {
                    stream.synced -= 1;
                }
                let moved = self.index.remove(&entry.watcher.range, slot);
                entry.place = Place::Stalled;
                if let Some(moved) = moved.and_then(|moved| self.table.get_mut(moved)) {
                    moved.place = Place::Synced { slot };
                }
            }
            Place::Behind => {
                self.behind.remove(&(entry.next, id));
            }
            Place::CatchingUp | Place::Stalled => {}
        }
    }

    /// Takes a watcher out of everything.
    pub fn remove(&mut self, id: Id) -> Option<Entry> {
        self.take_out(id);
        let entry = self.table.remove(id)?;
        if let Some(stream) = self.streams.get_mut(&entry.stream) {
            stream.ids.remove(&entry.watcher.watch_id);
            stream.queue.set_watchers(stream.ids.len());
            if entry.watcher.progress {
                stream.progress -= 1;
                if stream.progress == 0 {
                    self.schedule.leave(entry.stream);
                }
            }
        }
        Some(entry)
    }

    /// Stats as far as they are kept here.
    pub fn stats(&self) -> Stats {
        Stats {
            streams: self.streams.len() as u64,
            watchers: self.table.len() as u64,
            slow_watchers: (self.table.len() - self.synced) as u64,
            ..Stats::default()
        }
    }
}
