//! Watches: one stream of the hub for each stream of a client.
//!
//! There is no task and no queue here. The stream of responses reads a request, hands it to the hub, passes a response
//! on, and so forth: a client that does not read its responses is not listened to either, and costs what the hub lets
//! it cost. Nor is there tonic's codec for the responses, which would copy what many watchers share (see [`Messages`]).

use crate::body::{Reply, RequestBody};
use crate::caller::Proof;
use crate::messages::Messages;
use crate::shared::Shared;
use crate::status::go_text;
use crate::{rejected, status, unary};
use bytes::Bytes;
use futures::Stream;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::watch_request::RequestUnion;
use model::{KeyRange, Rejection};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tonic::codec::Codec;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

pub(crate) struct Watch(pub Arc<Shared>);

impl Watch {
    /// Answers a call with the stream of its responses.
    pub fn answer(&self, request: http::Request<RequestBody>) -> http::Response<Reply> {
        if let Some(name) = compression(request.headers()) {
            let text = format!("grpc: Decompressor is not installed for grpc-encoding {name:?}");
            return unary::refuse(Status::unimplemented(text));
        }
        let decoder = ProstCodec::<pb::WatchResponse, pb::WatchRequest>::default().decoder();
        // The limit is kept by the body, with grpc-go's text.
        let request = request.map(|body| Streaming::new_request(decoder, body, None, Some(usize::MAX)));
        let request = Request::from_http(request);
        let options = watch::StreamOptions {
            fragment_bytes: self.0.options.message_bytes_max(),
        };
        let (control, responses) = self.0.node.watch_hub().open(options);
        let stream = WatchStream {
            proof: Proof::of(&request),
            requests: Some(request.into_inner()),
            check: None,
            control,
            responses,
            sending: None,
            shared: Arc::clone(&self.0),
        };
        unary::answer(Reply::Messages(Box::new(Messages::new(Box::pin(stream)))))
    }
}

/// How requests are compressed, if they are.
fn compression(headers: &http::HeaderMap) -> Option<&str> {
    let name = headers.get("grpc-encoding")?.to_str().ok()?;
    (name != "identity").then_some(name)
}

struct WatchStream {
    shared: Arc<Shared>,
    proof: Proof,
    /// `None` once the client has said all it wanted to say: it may go on listening.
    requests: Option<Streaming<pb::WatchRequest>>,
    /// A watcher that is to be created once it is known whether the caller may.
    check: Option<Check>,
    control: watch::Control,
    responses: watch::Responses,
    /// The response that was handed over last, and when.
    sending: Option<(Sending, Instant)>,
}

/// What a response is about.
enum Sending {
    Events(usize),
    Control,
    Progress,
}

type Check = Pin<Box<dyn Future<Output = (pb::WatchCreateRequest, Result<(), Status>)> + Send>>;

impl Stream for WatchStream {
    type Item = Result<watch::Response, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.note_sent();
        loop {
            let request = match this.poll_request(cx) {
                Poll::Ready(Err(status)) => {
                    if status.code() != tonic::Code::Cancelled {
                        this.shared.metrics.stream_receive_failed("watch");
                    }
                    return Poll::Ready(Some(Err(status)));
                }
                Poll::Ready(Ok(())) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            };
            match this.responses.poll_encoded(cx) {
                Poll::Ready(Some(response)) => return Poll::Ready(Some(Ok(this.complete(response)))),
                Poll::Ready(None) => return Poll::Ready(Some(Err(rejected(Rejection::Stopped)))),
                Poll::Pending if request.is_pending() => return Poll::Pending,
                // A request was handled: there may be another, or a response to it by now.
                Poll::Pending => {}
            }
        }
    }
}

impl WatchStream {
    /// The stream has asked for more: what it got before is on its way.
    fn note_sent(&mut self) {
        let Some((sending, since)) = self.sending.take() else {
            return;
        };
        let seconds = since.elapsed().as_secs_f64();
        let send = &self.shared.metrics.watch_send;
        match sending {
            Sending::Events(count) => {
                send.events.observe(seconds);
                send.per_event.observe(seconds / count as f64);
            }
            Sending::Control => send.control.observe(seconds),
            Sending::Progress => send.progress.observe(seconds),
        }
    }

    /// Handles one request, if there is one and room for its answer.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if let Some(check) = &mut self.check {
            let (request, verdict) = std::task::ready!(check.as_mut().poll(cx));
            self.check = None;
            match verdict {
                Ok(()) => {
                    self.control.create(&request);
                }
                Err(status) => self.control.refuse(&go_text(&status)),
            }
            return Poll::Ready(Ok(()));
        }
        let Some(requests) = &mut self.requests else {
            return Poll::Pending;
        };
        std::task::ready!(self.control.poll_ready(cx));
        match std::task::ready!(Pin::new(requests).poll_next(cx)) {
            Some(Ok(request)) => self.handle(request),
            Some(Err(status)) => return Poll::Ready(Err(status)),
            None => self.requests = None,
        }
        Poll::Ready(Ok(()))
    }

    fn handle(&mut self, request: pb::WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(request)) => self.create(request),
            Some(RequestUnion::CancelRequest(request)) => self.control.cancel(request.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.control.request_progress(),
            // Of a newer client, or empty: not worth the end of the stream.
            None => {}
        }
    }

    fn create(&mut self, mut request: pb::WatchCreateRequest) {
        // The keys stay for as long as the watcher, and would hold on to the buffer they were received in.
        request.key = Bytes::copy_from_slice(&request.key);
        request.range_end = Bytes::copy_from_slice(&request.range_end);
        // A negative start is refused before the permission is looked at, as in etcd.
        if request.start_revision < 0 || !self.shared.node.rules().is_enabled() {
            self.control.create(&request);
            return;
        }
        let shared = Arc::clone(&self.shared);
        let proof = self.proof.clone();
        self.check = Some(Box::pin(async move {
            let verdict = may_watch(&shared, &proof, &request).await;
            (request, verdict)
        }));
    }

    /// Adds who answers to the hub's response. The revision is the hub's, 0 included.
    fn complete(&mut self, mut response: watch::Response) -> watch::Response {
        failpoint::point!("beforeSendWatchResponse");
        let message = &mut response.message;
        let revision = message.header.take().map_or(0, |header| header.revision);
        message.header = Some(pb::ResponseHeader {
            revision,
            ..self.shared.header()
        });
        let is_control = message.created || message.canceled;
        let sending = match response.events() {
            0 if is_control => Sending::Control,
            0 => Sending::Progress,
            events => Sending::Events(events),
        };
        self.sending = Some((sending, now()));
        response
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an edge: how long sending takes is what a clock shows"
)]
fn now() -> Instant {
    Instant::now()
}

async fn may_watch(shared: &Shared, proof: &Proof, request: &pb::WatchCreateRequest) -> Result<(), Status> {
    let caller = shared.identify(proof).await?;
    // An empty key means the first one there can be.
    let key = if request.key.is_empty() {
        Bytes::from_static(&[0])
    } else {
        request.key.clone()
    };
    let keys = KeyRange::new(key, request.range_end.clone());
    shared.node.authorize_watch(&keys, &caller).map_err(status)
}
