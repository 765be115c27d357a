//! The way to one member: a connection, made again whenever it is lost, and a stream of raft messages on it.

use crate::identity::{CLUSTER_MISMATCH, REMOVED};
use crate::metrics::LinkMetrics;
use crate::outbox::Outbox;
use crate::peers::Shared;
use crate::sum;
use crate::ways::{Back, Ways};
use crate::{Connector, Error};
use api::quorate::peer::peer_client::PeerClient;
use api::quorate::peer::{ProbeRequest, RaftBatch};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{BoxStream, Stream};
use hyper_util::rt::TokioIo;
use model::MemberId;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use url::Url;

/// A quiet connection is probed as often, and given up if no answer comes in time: a machine that vanished without
/// closing its connections is noticed within seconds.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(2);
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// A stream of raft messages is never quiet for so long: where there is nothing to say, an empty batch says that.
const BATCH_INTERVAL: Duration = Duration::from_secs(1);

/// A stream on which no batch has come for so long is given up. A length that was damaged on its way lets everything that
/// follows count as part of one message, perhaps for hours, and HTTP/2's probes are answered all the while.
pub(crate) const BATCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two measurements of the round trip.
const ROUND_TRIP_INTERVAL: Duration = Duration::from_secs(5);

/// HTTP/2 windows: a burst of entries, or a part of a snapshot, must not wait for a round trip.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 8 << 20;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Pauses between attempts, doubling. Short, for an election may wait for the member to be reached again.
const BACKOFF_MIN: Duration = Duration::from_millis(25);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// A connection that lives as long has proven itself: the next attempt need not wait.
const STOOD: Duration = Duration::from_secs(1);

/// Pause after a refusal: that does not change within seconds.
const REFUSED: Duration = Duration::from_secs(5);

/// One other member.
pub(crate) struct Link {
    pub(crate) id: MemberId,
    pub(crate) outbox: Outbox,
    metrics: LinkMetrics,
    state: Mutex<State>,
    /// New URLs, or a sign that it is worth trying again at once.
    nudged: Notify,
    pub(crate) ways: Ways,
    task: Mutex<Option<AbortHandle>>,
    /// The snapshot being sent to it.
    pub(crate) snapshot: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct State {
    urls: Vec<String>,
    /// Counts changes of the URLs.
    version: u64,
    /// Not told by the cluster, but by the member itself.
    learned: bool,
    connection: Option<Connection>,
    /// Why it could not be reached, as last logged.
    complaint: String,
}

struct Connection {
    channel: Channel,
    since: Instant,
}

impl Link {
    pub(crate) fn start(id: MemberId, urls: Vec<String>, learned: bool, shared: &Arc<Shared>) -> Arc<Self> {
        let link = Arc::new(Self {
            id,
            outbox: Outbox::default(),
            metrics: shared.metrics.link(id),
            state: Mutex::new(State {
                urls,
                learned,
                ..State::default()
            }),
            nudged: Notify::new(),
            ways: Ways::default(),
            task: Mutex::new(None),
            snapshot: Mutex::new(None),
        });
        let task = shared.runtime.spawn(run(link.clone(), shared.clone()));
        *link.task.lock() = Some(task.abort_handle());
        link
    }

    pub(crate) fn update(&self, urls: Vec<String>) {
        let mut state = self.state.lock();
        state.learned = false;
        if state.urls != urls {
            state.urls = urls;
            state.version += 1;
            self.nudged.notify_one();
        }
    }

    /// The member was heard of: if it is not connected, trying again is worth it.
    pub(crate) fn nudge(&self) {
        if self.state.lock().connection.is_none() {
            self.nudged.notify_one();
        }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.state.lock().urls.clone()
    }

    pub(crate) fn is_learned(&self) -> bool {
        self.state.lock().learned
    }

    pub(crate) fn connected_for(&self) -> Option<Duration> {
        self.state
            .lock()
            .connection
            .as_ref()
            .map(|connection| connection.since.elapsed())
    }

    pub(crate) fn channel(&self) -> Option<Channel> {
        self.state
            .lock()
            .connection
            .as_ref()
            .map(|connection| connection.channel.clone())
    }

    pub(crate) fn stop(&self) {
        for task in [&self.task, &self.snapshot] {
            if let Some(task) = task.lock().take() {
                task.abort();
            }
        }
        self.disconnected();
        self.outbox.clear();
    }

    /// Says why the member cannot be reached: loudly if that is news.
    fn complain(&self, url: &str, reason: &str) {
        let mut state = self.state.lock();
        let complaint = format!("{url}: {reason}");
        if state.complaint == complaint {
            drop(state);
            tracing::debug!(peer = %self.id, url, error = reason, "peer is not reachable");
            return;
        }
        state.complaint = complaint;
        drop(state);
        tracing::warn!(peer = %self.id, url, error = reason, "peer is not reachable");
    }

    fn connected(&self, channel: Channel, since: Instant) {
        self.state.lock().connection = Some(Connection { channel, since });
        self.ways.connected(true);
        self.metrics.active.set(1);
    }

    fn disconnected(&self) {
        if self.state.lock().connection.take().is_some() {
            self.ways.connected(false);
            self.metrics.active.set(0);
            self.metrics.disconnected.inc();
        }
    }

    /// Waits for messages and takes as many as one frame carries. For one caller at a time.
    pub(crate) async fn messages(&self) -> Vec<Bytes> {
        let messages = self.outbox.batch().await;
        let bytes: usize = messages.iter().map(Bytes::len).sum();
        self.metrics.sent.inc_by(bytes as u64);
        messages
    }

    fn target(&self, attempt: usize) -> (Option<String>, u64) {
        let state = self.state.lock();
        let url = attempt
            .checked_rem(state.urls.len())
            .map(|index| state.urls[index].clone());
        (url, state.version)
    }
}

async fn run(link: Arc<Link>, shared: Arc<Shared>) {
    let mut backoff = BACKOFF_MIN;
    for attempt in 0.. {
        let (url, version) = link.target(attempt);
        let Some(url) = url else {
            link.nudged.notified().await;
            continue;
        };
        let end = converse(&link, &shared, &url, version).await;
        let lost = matches!(end, End::Lost { .. });
        let pause = match end {
            End::Changed => continue,
            End::Lost { stood: true } => {
                backoff = BACKOFF_MIN;
                backoff
            }
            End::Lost { stood: false } | End::Unreachable => {
                backoff = (backoff * 2).min(BACKOFF_MAX);
                backoff
            }
            End::Refused => REFUSED,
        };
        link.metrics.send_failures.inc();
        let leads_back = link.ways.leads_back();
        if !leads_back {
            link.outbox.clear();
        }
        // What was on its way is lost, even if there is another way for what follows.
        if lost || !leads_back {
            shared.report_unreachable(link.id);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = link.nudged.notified() => {}
        }
    }
}

enum End {
    /// The URLs are others now.
    Changed,
    /// The connection was lost; `stood` if it had been good for a while.
    Lost {
        stood: bool,
    },
    Unreachable,
    Refused,
}

async fn converse(link: &Arc<Link>, shared: &Shared, url: &str, version: u64) -> End {
    let opened = tokio::time::timeout(shared.connect_timeout, open(link, shared, url)).await;
    let (channel, mut answer) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(Failure::Refused(status))) => return refused(link, shared, url, &status),
        Ok(Err(Failure::Unreachable(reason))) => {
            link.complain(url, &reason);
            return End::Unreachable;
        }
        Err(_) => {
            tracing::debug!(peer = %link.id, url, "peer did not answer in time");
            return End::Unreachable;
        }
    };
    tracing::info!(peer = %link.id, url, "peer became active");
    link.state.lock().complaint.clear();
    let since = Instant::now();
    link.connected(channel.clone(), since);
    let mut probing = pin!(probe(link, shared, channel));
    let back = Back::new(link.id, shared);
    let mut heard = since;
    let end = loop {
        tokio::select! {
            never = &mut probing => match never {},
            answer = tokio::time::timeout_at(heard + BATCH_TIMEOUT, answer.message()) => match answer {
                Ok(Ok(Some(batch))) => {
                    heard = Instant::now();
                    if let Err(status) = back.take(batch) {
                        break Some(status);
                    }
                }
                Ok(Ok(None)) => break None,
                Ok(Err(status)) => break Some(status),
                Err(_) => break Some(Status::deadline_exceeded("no raft messages came")),
            },
            () = link.outbox.overflowed() => shared.report_unreachable(link.id),
            () = link.nudged.notified() => {
                if link.state.lock().version != version {
                    link.disconnected();
                    return End::Changed;
                }
            }
        }
    };
    link.disconnected();
    match end {
        Some(status) if is_refusal(&status) => refused(link, shared, url, &status),
        end => {
            let reason = end.map_or_else(|| "closed".to_owned(), |status| status.message().to_owned());
            tracing::warn!(peer = %link.id, url, reason, "peer became inactive");
            End::Lost {
                stood: since.elapsed() >= STOOD,
            }
        }
    }
}

/// Measures from time to time how long the way to the member and back is.
async fn probe(link: &Link, shared: &Shared, channel: Channel) -> Infallible {
    let mut client = PeerClient::new(channel);
    loop {
        tokio::time::sleep(ROUND_TRIP_INTERVAL).await;
        let mut request = Request::new(ProbeRequest {});
        shared.identity.stamp(request.metadata_mut(), link.id);
        let sent = Instant::now();
        if let Ok(Ok(_)) = tokio::time::timeout(ROUND_TRIP_INTERVAL, client.probe(request)).await {
            link.metrics.round_trip.observe(sent.elapsed().as_secs_f64());
        }
    }
}

enum Failure {
    Unreachable(String),
    Refused(Status),
}

/// Connects and begins the stream of messages. When it returns, the member has accepted us.
async fn open(
    link: &Arc<Link>,
    shared: &Shared,
    url: &str,
) -> Result<(Channel, Streaming<RaftBatch>), Failure> {
    let channel = connect(&shared.connector, url, shared.connect_timeout).await;
    let channel = channel.map_err(|error| Failure::Unreachable(error.to_string()))?;
    let mut request = Request::new(Batches::new(link.clone()));
    shared.identity.stamp(request.metadata_mut(), link.id);
    let mut client = PeerClient::new(channel.clone()).max_decoding_message_size(shared.message_bytes_max);
    match client.raft(request).await {
        Ok(answer) => Ok((channel, answer.into_inner())),
        Err(status) if is_refusal(&status) => Err(Failure::Refused(status)),
        Err(status) => Err(Failure::Unreachable(status.message().to_owned())),
    }
}

/// What comes within the time that a stream may be quiet.
pub(crate) async fn batch(messages: impl Future<Output = Vec<Bytes>>) -> RaftBatch {
    let messages = tokio::time::timeout(BATCH_INTERVAL, messages).await;
    let mut batch = RaftBatch {
        messages: messages.unwrap_or_default(),
        crc: 0,
    };
    batch.crc = sum::of_batch(&batch);
    batch
}

/// Everything that is put into the outbox, and something now and then, for as long as somebody takes it. A type of its
/// own around the boxed stream: inside a call to tonic the compiler no longer knows that the box borrows nothing.
struct Batches(BoxStream<'static, RaftBatch>);

impl Batches {
    fn new(link: Arc<Link>) -> Self {
        let next = |link: Arc<Link>| async move {
            let batch = batch(link.messages()).await;
            Some((batch, link))
        };
        Self(futures::stream::unfold(link, next).boxed())
    }
}

impl Stream for Batches {
    type Item = RaftBatch;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<RaftBatch>> {
        self.0.as_mut().poll_next(context)
    }
}

fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        tonic::Code::FailedPrecondition | tonic::Code::InvalidArgument
    )
}

fn refused(link: &Link, shared: &Shared, url: &str, status: &Status) -> End {
    if status.message() == REMOVED {
        shared.removed();
    } else if status.message() == CLUSTER_MISMATCH {
        tracing::warn!(peer = %link.id, url, cluster = %shared.identity.cluster, "{CLUSTER_MISMATCH}");
    } else {
        tracing::warn!(peer = %link.id, url, reason = status.message(), "peer refuses this member");
    }
    End::Refused
}

/// A new connection to a peer URL.
pub(crate) async fn connect(
    connector: &Arc<dyn Connector>,
    url: &str,
    timeout: Duration,
) -> Result<Channel, Error> {
    let unreachable = |reason: String| Error::Unreachable {
        peer: url.to_owned(),
        reason,
    };
    let target = Url::parse(url).map_err(|error| unreachable(error.to_string()))?;
    let connector = connector.clone();
    let dial = tower::service_fn(move |_: http::Uri| {
        let connecting = connector.connect(target.clone());
        async { Ok::<_, std::io::Error>(TokioIo::new(connecting.await?)) }
    });
    // The connector knows where to go and whether to encrypt; to HTTP all connections look the same.
    Endpoint::from_static("http://peer")
        .connect_timeout(timeout)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(PROBE_INTERVAL)
        .keep_alive_timeout(PROBE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector(dial)
        .await
        .map_err(|error| unreachable(chain(&error)))
}

/// An error with what caused it: tonic's own text is only "transport error".
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
