//! Watch streams: what each watcher was told, in order, whatever responses it came in.

use crate::catalog::method;
use crate::endpoint::Endpoint;
use crate::mask;
use bytes::Bytes;
use model::pb::etcdserverpb::watch_request::RequestUnion;
use model::pb::etcdserverpb::{WatchCancelRequest, WatchProgressRequest, WatchRequest};
use prost::Message;
use prost_reflect::{DynamicMessage, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

/// A server that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions whether all watchers have caught up.
const PAUSE: Duration = Duration::from_millis(50);
/// Requests on their way to the server.
const QUEUE: usize = 64;

/// What a stream has brought so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Flow {
    /// By watcher: creations, events, ends.
    pub(crate) watchers: BTreeMap<i64, Vec<String>>,
    active: BTreeSet<i64>,
    /// Watchers that ended because their start was compacted away. etcd keeps them, and reports no progress on their
    /// stream, until the client cancels them once more.
    compacted: BTreeSet<i64>,
    created: u64,
    /// Answers to progress requests.
    progress: u64,
    /// How the stream ended, if it did.
    pub(crate) end: Option<String>,
}

/// One stream.
pub(crate) struct Watching {
    requests: mpsc::Sender<Bytes>,
    flow: watch::Receiver<Flow>,
    reader: tokio::task::JoinHandle<()>,
    /// A progress request was never answered.
    unsettled: bool,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Watching {
    /// Opens a stream with a token, or none.
    pub(crate) fn open(endpoint: &Endpoint, token: Option<String>) -> Watching {
        let (requests, queue) = mpsc::channel(QUEUE);
        let (sender, flow) = watch::channel(Flow::default());
        let endpoint = endpoint.clone();
        let reader = tokio::spawn(async move {
            let end = read(&endpoint, token, queue, &sender).await;
            sender.send_modify(|flow| flow.end = Some(end));
        });
        Watching {
            requests,
            flow,
            reader,
            unsettled: false,
        }
    }

    /// Sends one request; after a creation or the end of a watcher waits until the server has confirmed it.
    pub(crate) async fn send(&mut self, request: &DynamicMessage) {
        let before = self.flow.borrow().clone();
        let bytes = request.encode_to_vec().into();
        if self.requests.send(bytes).await.is_err() {
            return;
        }
        if request.has_field_by_name("create_request") {
            self.wait(|flow| flow.created > before.created).await;
        } else if let Some(id) = cancelled(request)
            && before.active.contains(&id)
        {
            self.wait(|flow| !flow.active.contains(&id)).await;
        }
    }

    /// Waits until every watcher has caught up with the store: a progress request is answered only then.
    pub(crate) async fn settle(&mut self) {
        let before = self.flow.borrow().progress;
        let settled = async {
            // A server drops the request where a watcher has not caught up yet.
            loop {
                let progress = RequestUnion::ProgressRequest(WatchProgressRequest {});
                if self.release().await.is_err() || self.send_own(progress).await.is_err() {
                    return;
                }
                let answered =
                    |flow: &Flow| flow.progress > before || flow.active.is_empty() || flow.end.is_some();
                let answer = tokio::time::timeout(PAUSE, self.flow.wait_for(answered));
                if answer.await.is_ok() {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, settled).await.is_err() {
            self.unsettled = true;
        }
        // Of those that ended while progress was waited for.
        let _ = self.release().await;
    }

    /// Cancels watchers that a compaction ended: only then may their numbers be used again.
    async fn release(&self) -> Result<(), mpsc::error::SendError<Bytes>> {
        let ended = self.flow.borrow().compacted.clone();
        for watch_id in ended {
            let cancel = RequestUnion::CancelRequest(WatchCancelRequest { watch_id });
            self.send_own(cancel).await?;
        }
        Ok(())
    }

    async fn send_own(&self, request: RequestUnion) -> Result<(), mpsc::error::SendError<Bytes>> {
        let request = WatchRequest {
            request_union: Some(request),
        };
        self.requests.send(request.encode_to_vec().into()).await
    }

    async fn wait(&mut self, condition: impl Fn(&Flow) -> bool) {
        let condition = |flow: &Flow| condition(flow) || flow.end.is_some();
        let _ = tokio::time::timeout(PATIENCE, self.flow.wait_for(condition)).await;
    }

    /// What it has brought so far.
    pub(crate) fn flow(&self) -> Flow {
        let mut flow = self.flow.borrow().clone();
        if self.unsettled {
            flow.end = Some("progress was never reported".to_owned());
        }
        flow
    }
}

fn cancelled(request: &DynamicMessage) -> Option<i64> {
    let cancel = request.get_field_by_name("cancel_request")?;
    let request = request.has_field_by_name("cancel_request");
    let id = cancel.as_message()?.get_field_by_name("watch_id")?.as_i64();
    id.filter(|_| request)
}

async fn read(
    endpoint: &Endpoint,
    token: Option<String>,
    queue: mpsc::Receiver<Bytes>,
    flow: &watch::Sender<Flow>,
) -> String {
    let method = method("Watch/Watch").expect("the method exists");
    let requests = ReceiverStream::new(queue);
    let mut responses = match endpoint.call(&method, token.as_deref(), requests).await {
        Ok(responses) => responses,
        Err(status) => return format!("{:?}: {}", status.code(), status.message()),
    };
    loop {
        match responses.message().await {
            Ok(Some(bytes)) => match DynamicMessage::decode(method.output(), bytes) {
                Ok(response) => flow.send_modify(|flow| flow.take(response)),
                Err(error) => return format!("no WatchResponse: {error}"),
            },
            Ok(None) => return "end of stream".to_owned(),
            Err(status) => return format!("{:?}: {}", status.code(), status.message()),
        }
    }
}

impl Flow {
    fn take(&mut self, mut response: DynamicMessage) {
        let flag = |name: &str| {
            let value = response.get_field_by_name(name);
            value.and_then(|value| value.as_bool()).unwrap_or(false)
        };
        let (created, canceled) = (flag("created"), flag("canceled"));
        let field = response.get_field_by_name("watch_id");
        let id = field.and_then(|id| id.as_i64()).unwrap_or(0);
        let events = match response.get_field_by_name("events").as_deref() {
            Some(Value::List(events)) => events.clone(),
            _ => Vec::new(),
        };
        if !created && !canceled && events.is_empty() {
            self.progress += 1;
            return;
        }
        let number = |name: &str| {
            let value = response.get_field_by_name(name);
            value.and_then(|value| value.as_i64()).unwrap_or(0)
        };
        // Says -1 for the watcher that was not created, and nothing about one that was created with this number.
        let refused = created && canceled;
        let ended = canceled && !refused;
        let compacted = ended && number("compact_revision") != 0;
        if ended && !compacted && self.compacted.remove(&id) {
            return;
        }
        let told = self.watchers.entry(id).or_default();
        for event in &events {
            told.push(event.to_string());
        }
        if created {
            self.created += 1;
        }
        if created && !refused {
            self.compacted.remove(&id);
            self.active.insert(id);
        }
        if ended {
            self.active.remove(&id);
        }
        if compacted {
            self.compacted.insert(id);
        }
        if created || canceled {
            mask::watch_response(&mut response);
            told.push(response.to_text_format());
        }
    }
}
