//! A stream of watch responses on its way out. tonic would copy each event into a buffer for each watcher; what was
//! encoded for many is sent from where it lies.

use crate::services::Responses;
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use prost::Message;
use std::task::{Context, Poll};
use tonic::{Code, Status};
use watch::EncodedEvents;

/// Bytes before each message: compression flag and length.
const HEADER: usize = 5;
/// Up to this length what is shared is copied beside the rest: sending it apart costs more.
const COPIED_MAX: usize = 4 << 10;
/// Messages are gathered up to this length, as far as they are there.
const GATHERED_BYTES: usize = 32 << 10;

/// The frames of a body that never stops by itself.
pub(crate) struct Messages {
    source: Responses<watch::Response>,
    gathered: BytesMut,
    /// The rest of the last message gathered.
    shared: Bytes,
    /// How the stream has ended; to be said when everything before is sent.
    end: Option<Status>,
    done: bool,
}

impl Messages {
    pub fn new(source: Responses<watch::Response>) -> Messages {
        Messages {
            source,
            gathered: BytesMut::new(),
            shared: Bytes::new(),
            end: None,
            done: false,
        }
    }

    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        if self.done {
            return Poll::Ready(None);
        }
        if !self.shared.is_empty() {
            return Poll::Ready(Some(Frame::data(std::mem::take(&mut self.shared))));
        }
        while self.end.is_none() && self.shared.is_empty() && self.gathered.len() < GATHERED_BYTES {
            match self.source.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(response))) => self.gather(response),
                Poll::Ready(Some(Err(status))) => self.end = Some(status),
                Poll::Ready(None) => self.end = Some(Status::new(Code::Ok, "")),
                Poll::Pending if self.gathered.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if !self.gathered.is_empty() {
            return Poll::Ready(Some(Frame::data(self.gathered.split().freeze())));
        }
        self.done = true;
        let mut trailers = HeaderMap::new();
        if let Some(status) = &self.end {
            // Fails for a text that is no header value; ours all are.
            let _ = status.add_header(&mut trailers);
        }
        Poll::Ready(Some(Frame::trailers(trailers)))
    }

    /// Whether nothing more comes.
    pub fn is_done(&self) -> bool {
        self.done
    }

    fn gather(&mut self, response: watch::Response) {
        let watch::Response { message, encoded } = response;
        let shared = encoded.map(EncodedEvents::into_bytes).unwrap_or_default();
        let own_len = message.encoded_len();
        let Ok(len) = u32::try_from(own_len + shared.len()) else {
            let text = "grpc: trying to send message larger than max";
            self.end = Some(Status::new(Code::ResourceExhausted, text));
            return;
        };
        let is_short = shared.len() <= COPIED_MAX;
        let room = HEADER + own_len + if is_short { shared.len() } else { 0 };
        self.gathered.reserve(room);
        self.gathered.put_u8(0);
        self.gathered.put_u32(len);
        message.encode_raw(&mut self.gathered);
        if is_short {
            self.gathered.put_slice(&shared);
        } else {
            self.shared = shared;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Frames;
    use futures::stream;
    use model::pb::etcdserverpb::WatchResponse;
    use std::task::Waker;

    /// A response whose events, of so many bytes in all, are shared or its own.
    fn response(watch_id: i64, bytes: usize, is_shared: bool) -> watch::Response {
        let event = Bytes::from(vec![7; bytes]);
        let message = WatchResponse {
            watch_id,
            events: if is_shared {
                Vec::new()
            } else {
                vec![event.clone()]
            },
            ..Default::default()
        };
        watch::Response {
            message,
            encoded: is_shared.then(|| EncodedEvents::new(&[event])),
        }
    }

    fn messages(responses: Vec<Result<watch::Response, Status>>) -> Messages {
        Messages::new(Box::pin(stream::iter(responses)))
    }

    /// All data, and the trailers.
    fn read(mut messages: Messages) -> (Vec<Bytes>, HeaderMap) {
        let mut data = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match messages.poll_frame(&mut cx) {
                Poll::Ready(Some(frame)) => match frame.into_data() {
                    Ok(bytes) => data.push(bytes),
                    Err(frame) => {
                        assert!(messages.is_done());
                        assert!(matches!(messages.poll_frame(&mut cx), Poll::Ready(None)));
                        return (data, frame.into_trailers().expect("data or trailers"));
                    }
                },
                other => panic!("{other:?} of a stream that has ended"),
            }
        }
    }

    #[test]
    fn whatever_is_shared_or_not_arrives_in_order() {
        for len in [0, 1, COPIED_MAX - 10, COPIED_MAX + 1, 3 * GATHERED_BYTES] {
            let sent: Vec<_> = (0..5).map(|id| response(id, len, id % 2 == 0)).collect();
            let (data, trailers) = read(messages(sent.iter().cloned().map(Ok).collect()));
            assert_eq!(trailers["grpc-status"], "0");
            let mut rest = data.concat();
            for response in sent {
                let (header, body) = rest.split_at(HEADER);
                let length = u32::from_be_bytes(header[1..].try_into().expect("four bytes"));
                let (body, behind) = body.split_at(length as usize);
                assert_eq!(WatchResponse::decode(body), Ok(response.into_message()));
                rest = behind.to_vec();
            }
            assert!(rest.is_empty());
        }
    }

    /// What is large and shared is not copied, or all the memory that sharing saved is taken again.
    #[test]
    fn what_is_large_and_shared_goes_out_from_where_it_lies() {
        let large = response(1, COPIED_MAX + 1, true);
        let (data, _) = read(messages(vec![Ok(response(0, 10, true)), Ok(large.clone())]));
        assert_eq!(data.len(), 2);
        let encoded = large.encoded.expect("it is shared");
        assert_eq!(data[1].as_ptr(), encoded.bytes().as_ptr());
        // Its header came with what was before it: a stream must not be cut here.
        let mut frames = Frames::default();
        frames.feed(&data[0], usize::MAX).expect("there is no limit");
        assert_ne!(frames.begun(), 0);
    }

    #[test]
    fn an_error_comes_after_what_was_before_it() {
        let (data, trailers) = read(messages(vec![
            Ok(response(0, 10, false)),
            Err(Status::unavailable("gone")),
            Ok(response(1, 10, false)),
        ]));
        assert_eq!(data.len(), 1);
        assert_eq!(trailers["grpc-status"], "14");
        assert_eq!(trailers["grpc-message"], "gone");
    }
}
