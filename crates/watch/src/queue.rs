//! What waits to be sent on one stream: bounded, so that a slow client costs this much and no more. What many responses
//! share is counted with the first of them; once that is sent, so much more may be held than is counted.
//!
//! Answers to the client's own requests and events share one line: an answer never overtakes events that came before
//! it, nor the other way round.

use crate::response::{EncodedEvents, Response};
use crate::stats::EventCounters;
use crate::sync::Mutex;
use crate::watcher::Watcher;
use model::pb::etcdserverpb::{ResponseHeader, WatchResponse};
use model::{Revision, pb};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Answers (created, canceled) that may wait before the stream's requests are left unread.
const ANSWERS_MAX: usize = 256;

/// Answers that may wait at all: whoever keeps asking without reading the answers loses the stream.
const ANSWERS_LIMIT: usize = 1 << 16;

pub(crate) struct Queue {
    inner: Mutex<Inner>,
    counters: Arc<EventCounters>,
    responses_max: usize,
    bytes_max: usize,
}

struct Inner {
    items: VecDeque<Item>,
    /// Of the items, those that are answers.
    answers: usize,
    bytes: usize,
    /// Watchers on the stream, each of which may have one response more in the queue.
    watchers: usize,
    /// Something was refused since the queue was last seen with room.
    refused: bool,
    closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Item {
    response: Response,
    bytes: usize,
    kind: ItemKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ItemKind {
    Answer,
    Events { fragment: bool },
}

/// A response on its way out.
pub(crate) struct Taken {
    pub response: Response,
    pub fragment: bool,
    /// There is room again for watchers that were refused.
    pub has_room: bool,
}

/// Events for a watcher.
pub(crate) enum Events {
    /// One by one.
    Own(Vec<bytes::Bytes>),
    /// The same as for others.
    Shared(EncodedEvents),
}

/// What became of an offered response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offer {
    Queued,
    /// No room now.
    Full,
    /// The watcher or the stream has ended.
    Ended,
}

impl Queue {
    pub fn new(responses_max: usize, bytes_max: usize, counters: Arc<EventCounters>) -> Queue {
        Queue {
            inner: Mutex::new(Inner {
                items: VecDeque::new(),
                answers: 0,
                bytes: 0,
                watchers: 0,
                refused: false,
                closed: false,
                reader: None,
                writer: None,
            }),
            counters,
            responses_max,
            bytes_max,
        }
    }

    /// Offers events to a watcher's stream. On `Full` the stream will say when it has room (see [`Taken::has_room`]).
    ///
    /// Events that the watcher before got too take next to no memory of their own, and always have room: watchers of one
    /// stream that ask for the same stay together, and are served together again. So a stream holds at most one response
    /// more for each of its watchers.
    pub fn offer_events(
        &self,
        watcher: &Watcher,
        revision: Revision,
        events: Events,
        wakers: &mut Vec<Waker>,
    ) -> Offer {
        let (events, encoded) = match events {
            Events::Own(events) => (events, None),
            Events::Shared(encoded) => (Vec::new(), Some(encoded)),
        };
        let bytes = match &encoded {
            Some(encoded) => encoded.bytes().len(),
            None => events.iter().map(|event| event.len() + EVENT_OVERHEAD).sum(),
        };
        let mut inner = self.inner.lock();
        if inner.closed || watcher.is_cancelled() {
            return Offer::Ended;
        }
        let again = encoded.as_ref().is_some_and(|encoded| inner.ends_with(encoded));
        let bytes = if again { size_of::<Item>() } else { bytes };
        if !again && !inner.has_room(self, bytes) {
            inner.refused = true;
            return Offer::Full;
        }
        let message = WatchResponse {
            header: header(revision),
            watch_id: watcher.watch_id,
            events,
            ..Default::default()
        };
        let response = Response { message, encoded };
        self.counters.queued(response.events());
        let kind = ItemKind::Events {
            fragment: watcher.fragment,
        };
        inner.push(response, bytes, kind, wakers);
        Offer::Queued
    }

    /// Offers a response without events; dropped if there is no room, for the next one will say more.
    pub fn offer_progress(&self, watch_id: i64, revision: Revision, wakers: &mut Vec<Waker>) {
        let mut inner = self.inner.lock();
        if inner.closed || !inner.has_room(self, 0) {
            return;
        }
        let response = WatchResponse {
            header: header(revision),
            watch_id,
            ..Default::default()
        };
        inner.push(response.into(), 0, ItemKind::Events { fragment: false }, wakers);
    }

    /// Queues an answer to a request of the client. `ends` is the watcher that takes no events after it.
    pub fn answer(&self, response: WatchResponse, ends: Option<&Watcher>, wakers: &mut Vec<Waker>) {
        let mut inner = self.inner.lock();
        if let Some(watcher) = ends {
            watcher.set_cancelled();
        }
        if inner.closed {
            return;
        }
        if inner.answers >= ANSWERS_LIMIT {
            self.close_locked(&mut inner, wakers);
            return;
        }
        let bytes = response.cancel_reason.len();
        inner.answers += 1;
        inner.push(response.into(), bytes, ItemKind::Answer, wakers);
    }

    /// Ready once a further request's answer fits.
    pub fn poll_answers(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.lock();
        if inner.closed || inner.answers < ANSWERS_MAX {
            return Poll::Ready(());
        }
        inner.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next response, `None` once closed and empty.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Taken>> {
        let mut inner = self.inner.lock();
        let Some(item) = inner.items.pop_front() else {
            if inner.closed {
                return Poll::Ready(None);
            }
            #[cfg(feature = "shuttle")]
            if crate::sync::slips() {
                drop(inner);
                inner = self.inner.lock();
            }
            if !inner
                .reader
                .as_ref()
                .is_some_and(|reader| reader.will_wake(cx.waker()))
            {
                inner.reader = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        inner.bytes -= item.bytes;
        let mut writer = None;
        let fragment = match item.kind {
            ItemKind::Answer => {
                inner.answers -= 1;
                if inner.answers <= ANSWERS_MAX / 2 {
                    writer = inner.writer.take();
                }
                false
            }
            ItemKind::Events { fragment } => fragment,
        };
        // Half empty, not one response: whoever waits for room shall find enough of it to be worth the turn.
        let has_room = inner.refused
            && inner.items.len() <= inner.responses_max(self) / 2
            && inner.bytes <= self.bytes_max / 2;
        if has_room {
            inner.refused = false;
        }
        drop(inner);
        self.counters.taken(item.response.events());
        if let Some(writer) = writer {
            writer.wake();
        }
        Poll::Ready(Some(Taken {
            response: item.response,
            fragment,
            has_room,
        }))
    }

    pub fn set_watchers(&self, watchers: usize) {
        self.inner.lock().watchers = watchers;
    }

    /// Ends the stream: what waits is dropped, the reader is told.
    pub fn close(&self, wakers: &mut Vec<Waker>) {
        self.close_locked(&mut self.inner.lock(), wakers);
    }

    fn close_locked(&self, inner: &mut Inner, wakers: &mut Vec<Waker>) {
        inner.closed = true;
        let events = inner.items.iter().map(|item| item.response.events()).sum();
        self.counters.dropped(events);
        inner.items = VecDeque::new();
        inner.answers = 0;
        inner.bytes = 0;
        wakers.extend(inner.reader.take());
        wakers.extend(inner.writer.take());
    }
}

/// What an event costs beside its bytes.
const EVENT_OVERHEAD: usize = std::mem::size_of::<bytes::Bytes>();

impl Inner {
    fn responses_max(&self, queue: &Queue) -> usize {
        queue.responses_max + self.watchers
    }

    fn has_room(&self, queue: &Queue, bytes: usize) -> bool {
        let events = self.items.len() - self.answers;
        let fits = self.bytes + bytes <= queue.bytes_max || events == 0;
        fits && events < self.responses_max(queue)
    }

    /// Whether the last response has these events too.
    fn ends_with(&self, encoded: &EncodedEvents) -> bool {
        let last = self.items.back();
        let last = last.and_then(|last| last.response.encoded.as_ref());
        last.is_some_and(|last| last.is_same(encoded))
    }

    fn push(&mut self, response: Response, bytes: usize, kind: ItemKind, wakers: &mut Vec<Waker>) {
        self.bytes += bytes;
        self.items.push_back(Item {
            response,
            bytes,
            kind,
        });
        wakers.extend(self.reader.take());
    }
}

/// A header with the revision; who answers is added by the gateway.
pub(crate) fn header(revision: Revision) -> Option<ResponseHeader> {
    Some(pb::etcdserverpb::ResponseHeader {
        revision: revision.0,
        ..Default::default()
    })
}
