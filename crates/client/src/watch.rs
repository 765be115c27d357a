//! A watch that goes on where it was after a lost connection.

use crate::{Client, Error, Result, kv};
use api::etcdserverpb::watch_client::WatchClient;
use futures::StreamExt;
use model::pb::etcdserverpb::watch_request::RequestUnion;
use model::pb::etcdserverpb::{WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Streaming};

/// One watch on a stream of its own. Ends when dropped.
pub struct Watcher {
    client: Client,
    request: WatchCreateRequest,
    open: Option<Open>,
    /// Pieces of a response that was cut.
    pieces: Option<WatchResponse>,
    /// The token was renewed since the watch last worked.
    renewed: bool,
}

struct Open {
    endpoint: usize,
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

const PAUSE: Duration = Duration::from_millis(100);

impl Client {
    /// Watches what `request` names. Nothing is sent before the first [`Watcher::next`].
    ///
    /// The server ends the stream when it has no leader, so that another endpoint is tried.
    pub fn watch(&self, request: WatchCreateRequest) -> Watcher {
        Watcher {
            client: self.clone(),
            request,
            open: None,
            pieces: None,
            renewed: false,
        }
    }
}

impl Watcher {
    /// The next response: events, a progress report, or the answer that the watch was created. Lost connections are
    /// made up for; the answer of creation then comes again. Safe to drop and call again.
    pub async fn next(&mut self) -> Result<WatchResponse> {
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => {
                    let open = self.connect().await?;
                    self.open.insert(open)
                }
            };
            let endpoint = open.endpoint;
            match open.responses.next().await {
                Some(Ok(response)) => {
                    if let Some(response) = self.accept(response).await? {
                        return Ok(response);
                    }
                }
                Some(Err(status))
                    if !matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal) =>
                {
                    return Err(status.into());
                }
                // Unknown and Internal are what a server says that dies in mid-sentence.
                Some(Err(_)) | None => {
                    self.open = None;
                    self.pieces = None;
                    self.client.leave(endpoint);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Asks the server how far the watch is; the answer comes through [`Watcher::next`], with watch id −1.
    pub async fn request_progress(&self) {
        if let Some(open) = &self.open {
            // A closed stream is found by `next`.
            _ = open
                .requests
                .send(wrap(RequestUnion::ProgressRequest(WatchProgressRequest {})))
                .await;
        }
    }

    async fn connect(&self) -> Result<Open> {
        let bytes_max = self.client.options().response_bytes_max;
        let endless = self.client.with_timeout(None);
        loop {
            let (endpoint, channel) = endless.channel();
            let (requests, receiver) = mpsc::channel(4);
            // The channel is new and empty.
            _ = requests.try_send(wrap(RequestUnion::CreateRequest(self.request.clone())));
            let mut request = endless.request(ReceiverStream::new(receiver)).await;
            request
                .metadata_mut()
                .insert("hasleader", MetadataValue::from_static("true"));
            let mut service = WatchClient::new(channel).max_decoding_message_size(bytes_max);
            match service.watch(request).await {
                Ok(responses) => {
                    return Ok(Open {
                        endpoint,
                        requests,
                        responses: responses.into_inner(),
                    });
                }
                Err(status) if status.code() == Code::Unavailable => {
                    self.client.leave(endpoint);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }

    /// Notes how far the watch is; `None` while a response is still in pieces.
    async fn accept(&mut self, mut response: WatchResponse) -> Result<Option<WatchResponse>> {
        if let Some(mut pieces) = self.pieces.take() {
            pieces.events.append(&mut response.events);
            pieces.fragment = response.fragment;
            response = pieces;
        }
        if response.fragment {
            self.pieces = Some(response);
            return Ok(None);
        }
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        if response.canceled {
            self.open = None;
            if response.created && !self.renewed && self.client.renews(&response.cancel_reason) {
                self.renewed = true;
                self.client.authenticate().await?;
                return Ok(None);
            }
            return Err(Error::WatchEnded(Box::new(response)));
        }
        self.renewed = false;
        let next = &mut self.request.start_revision;
        if let Some(last) = response.events.last() {
            *next = kv::event(last)?.kv.mod_revision + 1;
        } else if response.created {
            // Not one more: a change may have come between the start of the watch and this answer.
            if *next == 0 {
                *next = revision;
            }
        } else if revision >= *next {
            *next = revision + 1;
        }
        Ok(Some(response))
    }
}

fn wrap(request: RequestUnion) -> WatchRequest {
    WatchRequest {
        request_union: Some(request),
    }
}
