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
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tonic::body::Body;
use tower::Service as _;

/// etcd's limit for a TLS handshake; for the head of a request as well.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections at a time. A cluster needs a handful; this bounds what a stranger can hold.
const CONNECTIONS_MAX: usize = 256;

/// Requests at a time on one connection.
const STREAMS_MAX: u32 = 256;

/// Pause after a failure to accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `incoming` ends or the future is dropped; connections end with it.
pub(crate) async fn run(
    mut incoming: BoxStream<'static, io::Result<Accepting>>,
    service: Service,
    requests: Arc<dyn Requests>,
    message_bytes_max: usize,
) {
    let router = Router {
        cluster: service.cluster(),
        grpc: PeerServer::new(service).max_decoding_message_size(message_bytes_max),
        requests,
    };
    let mut connections = JoinSet::new();
    while let Some(accepted) = incoming.next().await {
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok(accepting) if connections.len() < CONNECTIONS_MAX => {
                connections.spawn(serve(accepting, router.clone()));
            }
            Ok(_) => tracing::warn!(limit = CONNECTIONS_MAX, "too many connections on peer endpoint"),
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections on peer endpoint");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
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

async fn serve(accepting: Accepting, router: Router) {
    let io: BoxIo = match tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await {
        Ok(Ok(io)) => io,
        Ok(Err(error)) => return tracing::warn!(%error, "rejected connection on peer endpoint"),
        Err(_) => {
            return tracing::warn!(
                error = "handshake timed out",
                "rejected connection on peer endpoint"
            );
        }
    };
    let service = hyper::service::service_fn(move |request| {
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
