//! The bodies of requests and responses: one type each for all that a connection may carry.

use crate::budget::Reservation;
use crate::core::{Call, Core};
use crate::cut::Cut;
use crate::frames::Frames;
use crate::messages::Messages;
use crate::methods::{Kind, Method};
use crate::pieces::Pieces;
use crate::unread::Unread;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;
use tonic::{Code, Status};

/// Time from the first byte of a message to its last. The largest needs 35 kB a second.
pub(crate) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the bytes of a call's requests come from.
pub(crate) enum Source {
    /// A client's connection.
    Wire(Incoming),
    /// The JSON gateway.
    Json(UnsyncBoxBody<Bytes, Status>),
}

/// The requests of a call: counted, and refused when too large.
pub(crate) struct RequestBody {
    source: Source,
    frames: Frames,
    reserved: Reservation,
    /// Runs while a message has begun and not ended.
    deadline: Option<Pin<Box<Sleep>>>,
    core: Arc<Core>,
    method: Method,
}

impl RequestBody {
    pub fn new(source: Source, core: Arc<Core>, method: Method) -> RequestBody {
        RequestBody {
            source,
            frames: Frames::default(),
            reserved: Reservation::new(&core.shared.budget),
            deadline: None,
            core,
            method,
        }
    }

    /// Whether a message takes too long from its first byte to its last: what is there of it is kept in memory.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.frames.begun() == 0 {
            self.deadline = None;
            return false;
        }
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(MESSAGE_TIMEOUT)));
        deadline.as_mut().poll(cx).is_ready()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let polled = match &mut this.source {
            Source::Wire(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|error| Status::from_error(Box::new(error))),
            Source::Json(body) => Pin::new(body).poll_frame(cx),
        };
        if polled.is_pending() && this.is_late(cx) {
            let text = format!("grpc: a message has not ended after {MESSAGE_TIMEOUT:?}");
            return Poll::Ready(Some(Err(Status::deadline_exceeded(text))));
        }
        let frame = ready!(polled);
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let bytes_max = this.core.shared.options.message_bytes_max();
            let refused = match this.frames.feed(data, bytes_max) {
                Ok(seen) => {
                    this.core
                        .counters
                        .received(this.method, seen.messages, seen.bytes);
                    this.reserved.hold(this.frames.begun()).err()
                }
                Err(error) => Some(Status::resource_exhausted(error.to_string())),
            };
            if let Some(status) = refused {
                return Poll::Ready(Some(Err(status)));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Wire(body) => body.is_end_stream(),
            Source::Json(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Wire(body) => body.size_hint(),
            Source::Json(body) => body.size_hint(),
        }
    }
}

/// What is sent back.
pub(crate) enum ResponseBody {
    /// The responses of a call.
    Rpc(RpcBody),
    /// An HTTP answer of one piece.
    Whole(Full<Bytes>),
    /// An HTTP answer that is made while it is sent.
    Stream(UnsyncBoxBody<Bytes, Status>),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            ResponseBody::Rpc(body) => Pin::new(body).poll_frame(cx),
            ResponseBody::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            ResponseBody::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Rpc(body) => body.is_end_stream(),
            ResponseBody::Whole(body) => body.is_end_stream(),
            ResponseBody::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Rpc(body) => body.size_hint(),
            ResponseBody::Whole(body) => body.size_hint(),
            ResponseBody::Stream(body) => body.size_hint(),
        }
    }
}

/// What a handler answers with.
pub(crate) enum Reply {
    /// One message, then the trailers that say that all is well.
    Message(Option<Bytes>),
    /// The same, but the message lies in several pieces, none of them empty.
    Pieces(VecDeque<Bytes>),
    /// Those trailers are sent too.
    Done,
    /// A stream of messages, or nothing where the headers hold a refusal.
    Stream(tonic::body::Body),
    /// A stream of watch responses.
    Messages(Box<Messages>),
}

impl Reply {
    /// A message with its header.
    pub fn message(framed: Bytes) -> Reply {
        Reply::Message(Some(framed))
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self {
            Reply::Message(message) => {
                let message = message.take();
                Poll::Ready(Some(Ok(self.data_or_end(message))))
            }
            Reply::Pieces(pieces) => {
                let piece = pieces.pop_front();
                Poll::Ready(Some(Ok(self.data_or_end(piece))))
            }
            Reply::Done => Poll::Ready(None),
            Reply::Stream(body) => Pin::new(body).poll_frame(cx),
            Reply::Messages(messages) => messages.poll_frame(cx).map(|frame| frame.map(Ok)),
        }
    }

    fn data_or_end(&mut self, data: Option<Bytes>) -> Frame<Bytes> {
        match data {
            Some(data) => Frame::data(data),
            None => {
                *self = Reply::Done;
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                Frame::trailers(trailers)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Reply::Message(_) | Reply::Pieces(_) => false,
            Reply::Done => true,
            Reply::Stream(body) => body.is_end_stream(),
            Reply::Messages(messages) => messages.is_done(),
        }
    }
}

/// The responses of a call: counted, and followed to the call's end.
pub(crate) struct RpcBody {
    reply: Reply,
    frames: Frames,
    pieces: Pieces,
    call: Call,
    cut: Option<Cut>,
    ended: bool,
}

impl RpcBody {
    /// Takes the response of a handler, which is refused where clients that do not read their answers hold too much
    /// already. A unary call has ended with it; a stream may be cut.
    pub fn response(
        mut call: Call,
        unread: &Unread,
        response: http::Response<Reply>,
        cut: Option<Cut>,
    ) -> http::Response<RpcBody> {
        let response = counted(unread, response).unwrap_or_else(crate::unary::refuse);
        if let Some(code) = code_in(response.headers()) {
            call.end(code);
        } else if call.method.kind() == Kind::Unary {
            call.end(Code::Ok);
        }
        response.map(|reply| RpcBody {
            reply,
            frames: Frames::default(),
            pieces: Pieces::default(),
            call,
            cut,
            ended: false,
        })
    }
}

/// Counts what a handler answers with until it is sent. Streams are made while they are read.
fn counted(unread: &Unread, response: http::Response<Reply>) -> Result<http::Response<Reply>, Status> {
    let (parts, reply) = response.into_parts();
    let reply = match reply {
        Reply::Message(Some(message)) => Reply::message(unread.count(message)?),
        Reply::Pieces(pieces) => Reply::Pieces(unread.count_pieces(pieces)?),
        reply => reply,
    };
    Ok(http::Response::from_parts(parts, reply))
}

fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers
        .get("grpc-status")
        .map(|status| Code::from_bytes(status.as_bytes()))
}

impl Body for RpcBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        // Also where the stream is to be cut: half a message would be an error of its own.
        if let Some(piece) = this.pieces.next() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if this.frames.begun() == 0
            && let Some(cut) = &mut this.cut
            && let Poll::Ready(status) = cut.as_mut().poll(cx)
        {
            this.ended = true;
            this.cut = None;
            this.call.end(status.code());
            let mut trailers = HeaderMap::new();
            // Fails for a text that is no header value; ours all are.
            let _ = status.add_header(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let frame = match ready!(this.reply.poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    // No limit on what is sent, so that this cannot fail.
                    if let Ok(seen) = this.frames.feed(&data, usize::MAX) {
                        this.call
                            .core
                            .counters
                            .sent(this.call.method, seen.messages, seen.bytes);
                    }
                    Some(Ok(Frame::data(this.pieces.begin(data))))
                }
                Err(frame) => {
                    if let Some(code) = frame.trailers_ref().and_then(code_in) {
                        this.call.end(code);
                    }
                    Some(Ok(frame))
                }
            },
            Some(Err(status)) => {
                this.call.end(status.code());
                Some(Err(status))
            }
            None => None,
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.pieces.is_empty() && self.reply.is_end_stream())
    }
}
