//! The peer listener: gRPC and small HTTP endpoints on the same connections.

use crate::link::{CONNECTION_WINDOW_BYTES, PROBE_INTERVAL, PROBE_TIMEOUT, STREAM_WINDOW_BYTES};
use crate::service::Service;
use crate::{Accepting, BoxIo, Requests, http};
use ::http::header::CONTENT_TYPE;
use ::http::{Request, Response};
use api::quorate::peer::peer_server::PeerServer;
use futures::StreamExt;
use futures::stream::BoxStream;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use model::ClusterId;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};
use tonic::body::Body;
use tower::Service as _;

/// etcd's limit for a TLS handshake; for the head of a request as well.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests at a time on one connection.
const STREAMS_MAX: u32 = 256;

/// Strangers among whom those are sought who are none any more.
const SWEPT_AT: usize = 512;

/// Pause after a failure to accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What others may take.
pub(crate) struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Bytes of a message.
    pub message_bytes: usize,
}

/// Whether somebody on this connection has said who he is, and was let in.
#[derive(Clone, Default)]
pub(crate) struct Known(Arc<AtomicBool>);

impl Known {
    /// From now on.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves until `incoming` ends or the future is dropped; connections end with it.
pub(crate) async fn run(
    mut incoming: BoxStream<'static, io::Result<Accepting>>,
    service: Service,
    requests: Arc<dyn Requests>,
    limits: Limits,
) {
    let router = Router {
        cluster: service.cluster(),
        grpc: PeerServer::new(service).max_decoding_message_size(limits.message_bytes),
        requests,
    };
    let mut connections = JoinSet::new();
    let mut strangers = Strangers::default();
    while let Some(accepted) = incoming.next().await {
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(accepting) => {
                if connections.len() >= limits.connections && !strangers.cut_oldest() {
                    tracing::warn!(
                        limit = limits.connections,
                        "too many connections on peer endpoint"
                    );
                    continue;
                }
                let known = Known::default();
                let task = connections.spawn(serve(accepting, router.clone(), known.clone()));
                strangers.add(task, known);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections on peer endpoint");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Connections on which nobody was let in yet, oldest first. When there are too many connections one of these gives
/// way: whoever only connects must not keep members out.
#[derive(Default)]
struct Strangers(VecDeque<(AbortHandle, Known)>);

impl Strangers {
    fn add(&mut self, task: AbortHandle, known: Known) {
        while self.0.front().is_some_and(is_settled) {
            self.0.pop_front();
        }
        self.0.push_back((task, known));
        // What stands behind a slow one is swept now and then.
        if self.0.len() > SWEPT_AT {
            self.0.retain(|stranger| !is_settled(stranger));
        }
    }

    /// Whether there was one.
    fn cut_oldest(&mut self) -> bool {
        while let Some(stranger) = self.0.pop_front() {
            if !is_settled(&stranger) {
                stranger.0.abort();
                return true;
            }
        }
        false
    }
}

fn is_settled((task, known): &(AbortHandle, Known)) -> bool {
    task.is_finished() || known.get()
}

#[derive(Clone)]
struct Router {
    grpc: PeerServer<Service>,
    cluster: ClusterId,
    requests: Arc<dyn Requests>,
}

impl Router {
    async fn route(mut self, request: Request<Incoming>) -> Response<Body> {
        let kind = request.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes());
        if kind.is_some_and(|kind| kind.starts_with(b"application/grpc")) {
            let Ok(response) = self.grpc.call(request).await;
            return response;
        }
        http::respond(
            request.method(),
            request.uri().path(),
            self.cluster,
            &*self.requests,
        )
        .map(Body::new)
    }
}

async fn serve(accepting: Accepting, router: Router, known: Known) {
    let Accepting { from, ready } = accepting;
    let ready = tokio::time::timeout(HANDSHAKE_TIMEOUT, ready).await;
    let io: BoxIo = match ready.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(io) => io,
        // Port scans and health checks only connect: they would fill the log.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return tracing::debug!("remote-addr" = from, %error, "rejected connection on peer endpoint");
        }
        Err(error) => {
            return tracing::warn!(
                "remote-addr" = from,
                error = error.to_string(),
                "rejected connection on peer endpoint"
            );
        }
    };
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(known.clone());
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.route(request).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PROBE_INTERVAL)
        .keep_alive_timeout(PROBE_TIMEOUT);
    if let Err(error) = builder.serve_connection(TokioIo::new(io), service).await {
        tracing::debug!(%error, "connection on peer endpoint ended");
    }
}
