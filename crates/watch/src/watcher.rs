//! One watcher: what it asked for, and where it stands.

use crate::index::Id;
use crate::queue::Queue;
use bytes::Bytes;
use model::pb::etcdserverpb::WatchCreateRequest;
use model::pb::etcdserverpb::watch_create_request::FilterType;
use model::{EventKind, KeyRange, Revision};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a watcher asked for. Shared with whoever serves it outside the hub's lock.
pub(crate) struct Watcher {
    /// Its number on its stream.
    pub watch_id: i64,
    pub range: KeyRange,
    /// As requested; 0 for "from now on".
    pub start: Revision,
    pub prev_kv: bool,
    pub fragment: bool,
    pub progress: bool,
    puts: bool,
    deletes: bool,
    pub queue: Arc<Queue>,
    cancelled: AtomicBool,
}

impl Watcher {
    pub fn new(watch_id: i64, range: KeyRange, request: &WatchCreateRequest, queue: Arc<Queue>) -> Watcher {
        let filtered = |filter: FilterType| request.filters.contains(&(filter as i32));
        Watcher {
            watch_id,
            range,
            start: Revision(request.start_revision),
            prev_kv: request.prev_kv,
            fragment: request.fragment,
            progress: request.progress_notify,
            puts: !filtered(FilterType::Noput),
            deletes: !filtered(FilterType::Nodelete),
            queue,
            cancelled: AtomicBool::new(false),
        }
    }

    pub fn wants(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::Put => self.puts,
            EventKind::Delete => self.deletes,
        }
    }

    /// What decides which events it gets, and how they look: the same for the same.
    pub fn interest(&self) -> Interest<'_> {
        Interest {
            range: &self.range,
            puts: self.puts,
            deletes: self.deletes,
            prev_kv: self.prev_kv,
        }
    }

    /// From now on the queue takes no event for it. Called with the queue locked, so that no event follows the
    /// response that says so.
    pub fn set_cancelled(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// See [`Watcher::interest`].
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Interest<'a> {
    range: &'a KeyRange,
    puts: bool,
    deletes: bool,
    prev_kv: bool,
}

/// The range a request names. The keys are copied: those of the request share the memory of everything that the
/// client sent with them.
pub(crate) fn requested_range(request: &WatchCreateRequest) -> KeyRange {
    let key = if request.key.is_empty() {
        Bytes::from_static(&[0])
    } else {
        Bytes::copy_from_slice(&request.key)
    };
    KeyRange::new(key, Bytes::copy_from_slice(&request.range_end))
}

/// A watcher in the hub's table.
pub(crate) struct Entry {
    pub watcher: Arc<Watcher>,
    /// Number of its stream.
    pub stream: u64,
    /// First revision it has not been given yet. Not kept up to date while the watcher is in step: then it has
    /// everything up to the hub's revision, or waits for a later one.
    pub next: Revision,
    pub place: Place,
    /// Got no event since its stream last reported progress.
    pub quiet: bool,
}

/// Which part of the hub looks after a watcher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In step: in the index, at this slot.
    Synced { slot: u32 },
    /// Waits for its turn to catch up.
    Behind,
    /// Catching up at this moment.
    CatchingUp,
    /// Waits for room on its stream.
    Stalled,
}

/// The hub's table of watchers. Numbers of removed ones are used again.
#[derive(Default)]
pub(crate) struct Table {
    entries: Vec<Option<Entry>>,
    free: Vec<Id>,
}

impl Table {
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub fn insert(&mut self, entry: Entry) -> Id {
        match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = Some(entry);
                id
            }
            None => {
                self.entries.push(Some(entry));
                (self.entries.len() - 1) as Id
            }
        }
    }

    pub fn remove(&mut self, id: Id) -> Option<Entry> {
        let entry = self.entries.get_mut(id as usize)?.take()?;
        self.free.push(id);
        Some(entry)
    }

    /// The watchers in step.
    pub fn synced(&self) -> Vec<Id> {
        let synced = |entry: &Option<Entry>| matches!(entry, Some(entry) if matches!(entry.place, Place::Synced { .. }));
        (0..)
            .zip(&self.entries)
            .filter(|(_, entry)| synced(entry))
            .map(|(id, _)| id)
            .collect()
    }

    pub fn get(&self, id: Id) -> Option<&Entry> {
        self.entries.get(id as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut Entry> {
        self.entries.get_mut(id as usize)?.as_mut()
    }
}
