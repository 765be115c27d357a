//! What clients ask for, and what they are answered.

use crate::NO_WATCH;
use crate::index::Id;
use crate::queue::header;
use crate::state::{State, Stream};
use crate::watcher::{Entry, Place, Watcher, requested_range};
use model::pb::etcdserverpb::{WatchCreateRequest, WatchResponse};
use model::{Rejection, Revision};
use mvcc::Read;
use std::sync::Arc;
use std::task::Waker;

/// Texts of etcd that are no gRPC status (etcd server/storage/mvcc/watcher.go).
const DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
const EMPTY_RANGE: &str = "mvcc: watcher range is empty";

impl State {
    /// Answers a create request; the watch id if a watcher came to be.
    pub fn create(
        &mut self,
        number: u64,
        request: &WatchCreateRequest,
        wakers: &mut Vec<Waker>,
    ) -> Option<i64> {
        if request.start_revision < 0 {
            self.refuse(number, Rejection::Compacted.message(), wakers);
            return None;
        }
        let range = requested_range(request);
        if range.is_empty() {
            self.refuse(number, EMPTY_RANGE, wakers);
            return None;
        }
        if self.table.len() >= self.watchers_max {
            self.refuse(number, Rejection::TooManyRequests.message(), wakers);
            return None;
        }
        let stream = self.streams.get_mut(&number)?;
        let Some(watch_id) = stream.choose_id(request.watch_id) else {
            self.refuse(number, DUPLICATE_ID, wakers);
            return None;
        };

        let view = self.store.view();
        let current = self.revision.max(view.revision());
        let watcher = Arc::new(Watcher::new(watch_id, range, request, stream.queue.clone()));
        let answer = WatchResponse {
            header: header(current),
            watch_id,
            created: true,
            ..Default::default()
        };
        watcher.queue.answer(answer, None, wakers);
        if watcher.start > Revision(0) && watcher.start < view.compacted() {
            end_compacted(&watcher, view.compacted(), wakers);
            return None;
        }

        stream.start_max = stream.start_max.max(watcher.start);
        if watcher.progress {
            stream.progress += 1;
            self.schedule.enter(number);
        }
        let next = match watcher.start {
            Revision(0) => current.next(),
            start => start,
        };
        let queue = watcher.queue.clone();
        let id = self.table.insert(Entry {
            watcher,
            stream: number,
            next,
            place: Place::Stalled,
            quiet: true,
        });
        stream.ids.insert(watch_id, id);
        queue.set_watchers(stream.ids.len());
        self.put_in(id);
        Some(watch_id)
    }

    /// Answers a create request with a refusal.
    pub fn refuse(&mut self, number: u64, reason: &str, wakers: &mut Vec<Waker>) {
        let revision = self.current();
        if let Some(stream) = self.streams.get(&number) {
            let answer = WatchResponse {
                header: header(revision),
                watch_id: NO_WATCH,
                created: true,
                canceled: true,
                cancel_reason: reason.to_owned(),
                ..Default::default()
            };
            stream.queue.answer(answer, None, wakers);
        }
    }

    /// Ends a watcher and says so; silent if there is none of that id.
    pub fn cancel(&mut self, number: u64, watch_id: i64, reason: &str, wakers: &mut Vec<Waker>) {
        let Some(id) = self
            .streams
            .get(&number)
            .and_then(|stream| stream.ids.get(&watch_id).copied())
        else {
            return;
        };
        let revision = self.current();
        if let Some(entry) = self.remove(id) {
            let answer = WatchResponse {
                header: header(revision),
                watch_id,
                canceled: true,
                cancel_reason: reason.to_owned(),
                ..Default::default()
            };
            entry.watcher.queue.answer(answer, Some(&entry.watcher), wakers);
        }
    }

    /// Tells a stream how far all of its watchers are, unless one of them is behind or still waits for its start.
    pub fn report_progress(&mut self, number: u64, wakers: &mut Vec<Waker>) {
        let Some(stream) = self.streams.get(&number) else {
            return;
        };
        let started = |id: &Id| {
            self.table
                .get(*id)
                .is_none_or(|entry| entry.watcher.start <= self.revision)
        };
        let behind = stream.synced < stream.ids.len();
        #[cfg(feature = "planted")]
        let behind = behind && !planted::is(planted::Bug::ProgressAhead);
        if stream.ids.is_empty() || behind {
            return;
        }
        if stream.start_max <= self.revision || stream.ids.values().all(started) {
            stream.queue.offer_progress(NO_WATCH, self.revision, wakers);
        }
    }

    /// Tells those watchers of a stream that asked for it how far they are, if no event has told them lately.
    pub fn report_quiet(&mut self, number: u64, wakers: &mut Vec<Waker>) {
        let Some(stream) = self.streams.get(&number) else {
            return;
        };
        for id in stream.ids.values() {
            let Some(entry) = self.table.get_mut(*id).filter(|entry| entry.watcher.progress) else {
                continue;
            };
            let synced = matches!(entry.place, Place::Synced { .. });
            if entry.quiet && synced && entry.watcher.start <= self.revision {
                stream
                    .queue
                    .offer_progress(entry.watcher.watch_id, self.revision, wakers);
            }
            entry.quiet = true;
        }
    }
}

impl Stream {
    /// The id asked for, or the next free one for 0; `None` if it is taken.
    fn choose_id(&mut self, requested: i64) -> Option<i64> {
        if requested != 0 {
            return (!self.ids.contains_key(&requested)).then_some(requested);
        }
        while self.ids.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Some(self.next_id - 1)
    }
}

/// The last word to a watcher whose history is gone. Header revision 0 and no reason, as etcd has it.
pub(crate) fn end_compacted(watcher: &Watcher, compacted: Revision, wakers: &mut Vec<Waker>) {
    let answer = WatchResponse {
        header: header(Revision(0)),
        watch_id: watcher.watch_id,
        canceled: true,
        compact_revision: compacted.0,
        ..Default::default()
    };
    watcher.queue.answer(answer, Some(watcher), wakers);
}
