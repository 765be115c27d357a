//! A range in chunks, all of one revision, so that neither side ever holds the whole answer.

use super::Responses;
use crate::shared::Shared;
use bytes::Bytes;
use futures::stream;
use model::KeyRange;
use model::pb::etcdserverpb as pb;
use mvcc::{Read, View};
use std::sync::Arc;
use tonic::Status;

/// Keys in the first chunk.
const FIRST_KEYS: usize = 10;
/// Keys that are read without a change of threads.
const INLINE_KEYS: usize = 80;

struct Stream {
    shared: Arc<Shared>,
    view: Arc<View>,
    range: KeyRange,
    from: Option<Bytes>,
    revision: i64,
    keys_only: bool,
    /// Keys that the caller still wants; `None` for no limit.
    wanted: Option<usize>,
    chunk_keys: usize,
    header_revision: i64,
    sent: i64,
    ended: bool,
}

/// The responses to a request that has been checked, read from a view that is fresh enough for it.
pub(super) fn chunks(
    shared: Arc<Shared>,
    view: Arc<View>,
    request: pb::RangeRequest,
) -> Result<Responses<pb::RangeStreamResponse>, Status> {
    let revision = if request.revision > 0 {
        request.revision
    } else {
        view.revision().0
    };
    let state = Stream {
        range: KeyRange::new(request.key, request.range_end),
        from: None,
        revision,
        keys_only: request.keys_only,
        wanted: if request.count_only {
            Some(0)
        } else {
            usize::try_from(request.limit).ok().filter(|n| *n > 0)
        },
        chunk_keys: FIRST_KEYS,
        header_revision: view.revision().0,
        sent: 0,
        ended: false,
        shared,
        view,
    };
    Ok(Box::pin(stream::try_unfold(state, |mut state| async move {
        if state.ended {
            return Ok::<_, Status>(None);
        }
        if state.chunk_keys <= INLINE_KEYS {
            return Ok(Some((state.next()?, state)));
        }
        // Reading so much would hold up the other streams of this thread.
        tokio::task::spawn_blocking(move || Ok(Some((state.next()?, state))))
            .await
            .map_err(|error| Status::unknown(error.to_string()))?
    })))
}

/// An answer that was read as a whole, in pieces of the size that others have.
pub(super) fn whole(shared: &Shared, mut answer: pb::RangeResponse) -> Responses<pb::RangeStreamResponse> {
    let bytes_max = shared.options.request_bytes_max;
    let mut kvs = std::mem::take(&mut answer.kvs).into_iter().peekable();
    let mut end = Some(answer);
    let pieces = std::iter::from_fn(move || {
        let mut bytes = 0;
        let mut piece = Vec::new();
        while bytes < bytes_max
            && let Some(kv) = kvs.next()
        {
            bytes += kv.len();
            piece.push(kv);
        }
        let response = match kvs.peek() {
            Some(_) => pb::RangeResponse::default(),
            // After the last piece there is no end left to send.
            None => end.take()?,
        };
        Some(Ok(pb::RangeStreamResponse {
            range_response: Some(pb::RangeResponse {
                kvs: piece,
                ..response
            }),
        }))
    });
    Box::pin(stream::iter(pieces))
}

impl Stream {
    fn next(&mut self) -> Result<pb::RangeStreamResponse, Status> {
        let limit = self
            .wanted
            .map_or(self.chunk_keys, |wanted| wanted.min(self.chunk_keys));
        let chunk = match limit {
            0 => mvcc::Chunk {
                kvs: Vec::new(),
                next: None,
            },
            _ => self
                .view
                .chunk(
                    &self.range,
                    self.from.as_ref(),
                    self.revision,
                    limit,
                    self.keys_only,
                )
                .map_err(fault)?,
        };
        let bytes: usize = chunk.kvs.iter().map(Bytes::len).sum();
        let half = self.shared.options.request_bytes_max / 2;
        if bytes < half {
            self.chunk_keys = self.chunk_keys.saturating_mul(2);
        } else if bytes > half.saturating_mul(4) {
            self.chunk_keys = (self.chunk_keys / 2).max(1);
        }
        self.sent += chunk.kvs.len() as i64;
        if let Some(wanted) = &mut self.wanted {
            *wanted -= chunk.kvs.len().min(*wanted);
        }
        self.from = chunk.next;
        // A view keeps what it sees from being removed: a slow client must not hold on to one.
        self.view = self.shared.node.view();
        let mut response = pb::RangeResponse {
            kvs: chunk.kvs,
            ..Default::default()
        };
        if self.from.is_none() || self.wanted == Some(0) {
            self.ended = true;
            response.count = self.view.count(&self.range, self.revision).map_err(fault)? as i64;
            response.more = limit > 0 && response.count > self.sent;
            let mut header = Some(pb::ResponseHeader {
                revision: self.header_revision,
                ..Default::default()
            });
            self.shared.fill(&mut header);
            response.header = header;
        }
        Ok(pb::RangeStreamResponse {
            range_response: Some(response),
        })
    }
}

fn fault(error: mvcc::Error) -> Status {
    match error {
        mvcc::Error::Rejected(rejection) => crate::rejected(rejection),
        error => Status::unknown(error.to_string()),
    }
}
