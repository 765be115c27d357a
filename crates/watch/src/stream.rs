//! The two ends of one watch stream as the gateway sees them.

use crate::fragment;
use crate::hub::Shared;
use crate::queue::Queue;
use crate::response::Response;
use model::pb::etcdserverpb::{WatchCreateRequest, WatchResponse};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Takes the client's requests. Every answer comes through [`Responses`], in order with the events.
///
/// Dropping it does nothing: a client that has said all it wants to say goes on receiving.
pub struct Control {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stream: u64,
    pub(crate) queue: Arc<Queue>,
}

impl Control {
    /// Ready when the answer to a further request has room. Wait for it before reading a request from the client:
    /// a client that asks without reading answers is thus left to wait, and in the end loses the stream.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.queue.poll_answers(cx)
    }

    /// Starts a watcher, or refuses to, and queues the answer. Whether the caller may watch these keys is for the
    /// gateway to find out before (see [`Control::refuse`]).
    ///
    /// Returns the id of the watcher; `None` if it did not come to be, or ended at once since its start is compacted.
    pub fn create(&self, request: &WatchCreateRequest) -> Option<i64> {
        self.shared
            .change(|state, wakers| state.create(self.stream, request, wakers))
    }

    /// Answers a create request with a refusal, for a reason that the hub does not know of, such as permissions.
    pub fn refuse(&self, reason: &str) {
        self.shared
            .change(|state, wakers| state.refuse(self.stream, reason, wakers));
    }

    /// Ends a watcher at its client's wish; an unknown id gets no answer.
    pub fn cancel(&self, watch_id: i64) {
        self.cancel_because(watch_id, "");
    }

    /// Ends a watcher against its client's wish, who is told the reason.
    pub fn cancel_because(&self, watch_id: i64, reason: &str) {
        self.shared
            .change(|state, wakers| state.cancel(self.stream, watch_id, reason, wakers));
    }

    /// Asks for one response that says how far the stream is. Nothing comes while one of its watchers is behind: the
    /// client has to ask again.
    pub fn request_progress(&self) {
        self.shared
            .change(|state, wakers| state.report_progress(self.stream, wakers));
    }
}

/// What goes to the client. Dropping it ends the stream and all its watchers.
pub struct Responses {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stream: u64,
    pub(crate) queue: Arc<Queue>,
    pub(crate) fragment_bytes: usize,
    /// The rest of a response that was cut.
    pub(crate) pieces: VecDeque<WatchResponse>,
}

impl Responses {
    /// The next response; its header carries only the revision. `None` once the hub has closed the stream: at the end
    /// of the server, or since far too many answers were left unread.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<WatchResponse>> {
        self.poll_encoded(cx)
            .map(|response| response.map(Response::into_message))
    }

    /// As [`poll_next`](Self::poll_next), with events that many watchers get left as they are encoded for all.
    pub fn poll_encoded(&mut self, cx: &mut Context<'_>) -> Poll<Option<Response>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(piece.into()));
        }
        let Poll::Ready(taken) = self.queue.poll_take(cx) else {
            return Poll::Pending;
        };
        let Some(taken) = taken else {
            return Poll::Ready(None);
        };
        if taken.has_room {
            self.shared.has_room(self.stream);
        }
        if !taken.fragment {
            return Poll::Ready(Some(taken.response));
        }
        self.pieces = fragment::cut(taken.response.into_message(), self.fragment_bytes);
        Poll::Ready(self.pieces.pop_front().map(Response::from))
    }
}

impl Drop for Responses {
    fn drop(&mut self) {
        self.shared
            .change(|state, wakers| state.close(self.stream, wakers));
    }
}
