//! Accepts connections, spreads them over the RPC threads, and drains them at the end.
//!
//! Accepted sockets are handed to the thread with the fewest connections. The kernel could spread them as well
//! (SO_REUSEPORT), but it goes by a hash of addresses: etcd's clients are few and stay for long, and with ten of them
//! one thread of four would now and then serve none.

use crate::authority::Mended;
use crate::budget::Budget;
use crate::core::Core;
use crate::gather::Gather;
use crate::metrics::{Counters, Metrics};
use crate::options::Options;
use crate::prompt::Prompt;
use crate::route::Connection;
use crate::services::SNAPSHOTS_MAX;
use crate::shared::{Phase, Shared};
use crate::socket::{Accepted, ClientCertificate, Handshake, Listener, Socket, Traffic};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// Sockets that may wait for their thread.
const HANDOVER: usize = 128;
/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that a connection may take to say which protocol it speaks.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Time for the headers of an HTTP/1 request.
const HTTP1_HEADERS_TIMEOUT: Duration = Duration::from_secs(30);
/// Flow control windows: what a client may send before it is told to go on. Large enough for a network of a gigabit
/// and several milliseconds; what of it is in use is bounded by the requests that are open.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Answers that a stream may hold back until its client reads on.
const SEND_BUFFER: usize = 1 << 20;
/// Most bytes of a request's headers; tokens can be long.
const HEADERS_BYTES_MAX: u32 = 256 * 1024;
/// Calls at a time on one connection, where `--max-concurrent-streams` is not set: etcd's default is no limit, but each
/// costs some 5 KiB, and tens of thousands that end at once with their connection hold up their thread for seconds.
const STREAMS_UNLESS_SET: u32 = 10_000;
/// Pause after a failed accept: out of file descriptors, for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why serving could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A thread or its runtime could not be started.
    #[error("cannot start a thread for connections")]
    Thread(#[source] io::Error),
    /// Metrics of these names are registered already.
    #[error("cannot register the metrics of the gateway")]
    Metrics(#[from] prometheus::Error),
}

/// Serves clients until `shutdown` resolves, then drains: nothing new is accepted, watches and other endless streams
/// end at once with `etcdserver: server stopped`, other calls may finish within [`Options::drain_timeout`], and what
/// is open after that is cut. Needs a tokio runtime for the listeners.
pub async fn serve(
    options: Options,
    listeners: Vec<Listener>,
    node: node::Handle,
    registry: prometheus::Registry,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let drain_timeout = options.drain_timeout;
    let (phase, phases) = watch::channel(Phase::Serving);
    let (leaderless_sender, leaderless) = watch::channel(false);
    let counters: Vec<_> = (0..options.rpc_threads.max(1))
        .map(|_| Arc::new(Counters::new()))
        .collect();
    let shared = Arc::new(Shared {
        metrics: Metrics::register(&registry, counters.clone(), options.call_histograms)?,
        budget: Budget::new(options.receive_bytes_max),
        answers: Budget::new(options.send_bytes_max),
        json_calls: Arc::new(Semaphore::new(
            (options.concurrent_streams_max as usize).min(Semaphore::MAX_PERMITS),
        )),
        snapshots: Arc::new(Semaphore::new(SNAPSHOTS_MAX)),
        options,
        registry,
        phase: phases,
        leaderless,
        defragmenting: watch::Sender::new(0),
        node,
    });
    let room = Arc::new(Semaphore::new(
        shared.options.connections_max.clamp(1, Semaphore::MAX_PERMITS),
    ));
    let threads = Threads::start(&shared, counters)?;

    let mut tasks = JoinSet::new();
    tasks.spawn(follow_leader(Arc::clone(&shared), leaderless_sender));
    let places = Arc::new(threads.places);
    for listener in listeners {
        tasks.spawn(accept(listener, Arc::clone(&places), Arc::clone(&room)));
    }
    shutdown.await;
    // Ends the accepting tasks and with them the listeners.
    tasks.shutdown().await;
    drop(places);
    let _ = phase.send(Phase::Draining);
    if tokio::time::timeout(drain_timeout, drained(&threads.open))
        .await
        .is_err()
    {
        tracing::warn!("cutting connections that did not end in time");
    }
    let _ = phase.send(Phase::Closed);
    // The threads see the phase at once; their runtimes end with what is left on them.
    let _ = tokio::task::spawn_blocking(move || {
        threads.handles.into_iter().for_each(|thread| drop(thread.join()))
    })
    .await;
    Ok(())
}

/// Says when no leader has been known for so long that streams which need one are better off elsewhere.
async fn follow_leader(shared: Arc<Shared>, leaderless: watch::Sender<bool>) {
    /// Looks without a leader, one election timeout apart, after which streams are cut.
    const PATIENCE: u32 = 3;
    let mut without = 0;
    let mut interval = tokio::time::interval(shared.node.election_timeout().max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        without = if shared.node.leader().is_none() {
            (without + 1).min(PATIENCE)
        } else {
            0
        };
        leaderless.send_if_modified(|leaderless| {
            std::mem::replace(leaderless, without == PATIENCE) != (without == PATIENCE)
        });
    }
}

/// The RPC threads as the accepting tasks see them.
struct Threads {
    places: Vec<Place>,
    handles: Vec<JoinHandle<()>>,
    open: Vec<Arc<watch::Sender<usize>>>,
}

/// Where one thread takes its connections.
struct Place {
    sender: mpsc::Sender<Arrival>,
    open: Arc<watch::Sender<usize>>,
}

/// A connection for a thread.
struct Arrival {
    socket: Accepted,
    traffic: Traffic,
    handshake: Handshake,
    open: Open,
    room: OwnedSemaphorePermit,
}

impl Threads {
    fn start(shared: &Arc<Shared>, counters: Vec<Arc<Counters>>) -> Result<Threads, Error> {
        let mut threads = Threads {
            places: Vec::new(),
            handles: Vec::new(),
            open: Vec::new(),
        };
        for (number, counters) in counters.into_iter().enumerate() {
            let (sender, arrivals) = mpsc::channel(HANDOVER);
            let open = Arc::new(watch::Sender::new(0));
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(Error::Thread)?;
            let thread = Thread {
                core: Arc::new(Core::new(Arc::clone(shared), counters)),
                open: Arc::clone(&open),
            };
            let handle = std::thread::Builder::new()
                .name(format!("rpc-{number}"))
                .spawn(move || {
                    runtime.block_on(thread.run(arrivals));
                    // A backup that is being written is not worth waiting for.
                    runtime.shutdown_background();
                })
                .map_err(Error::Thread)?;
            threads.handles.push(handle);
            threads.open.push(Arc::clone(&open));
            threads.places.push(Place { sender, open });
        }
        Ok(threads)
    }
}

async fn drained(open: &[Arc<watch::Sender<usize>>]) {
    for open in open {
        let _ = open.subscribe().wait_for(|open| *open == 0).await;
    }
}

/// Hands connections of one listener to the thread that has the fewest.
async fn accept(listener: Listener, places: Arc<Vec<Place>>, room: Arc<Semaphore>) {
    loop {
        // Whoever is not accepted waits in the kernel, and costs no file descriptor.
        let permit = match Arc::clone(&room).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                tracing::warn!("no room for more connections of clients; new ones wait until others end");
                match Arc::clone(&room).acquire_owned().await {
                    Ok(permit) => permit,
                    Err(_) => return,
                }
            }
        };
        let socket = match listener.socket.accept().await {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.iter().min_by_key(|place| *place.open.borrow()) else {
            return;
        };
        let arrival = Arrival {
            socket,
            traffic: listener.traffic,
            handshake: listener.handshake.clone(),
            open: Open::count(&place.open),
            room: permit,
        };
        if place.sender.send(arrival).await.is_err() {
            return;
        }
    }
}

/// One open connection in a thread's count.
struct Open(Arc<watch::Sender<usize>>);

impl Open {
    fn count(open: &Arc<watch::Sender<usize>>) -> Open {
        open.send_modify(|open| *open += 1);
        Open(Arc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// One RPC thread.
struct Thread {
    core: Arc<Core>,
    open: Arc<watch::Sender<usize>>,
}

impl Thread {
    /// Serves what arrives; returns once nothing more can arrive, and all is served or to be cut.
    async fn run(self, mut arrivals: mpsc::Receiver<Arrival>) {
        let node = self.core.shared.node.clone();
        tokio::spawn(async move { node.attend().await });
        while let Some(arrival) = arrivals.recv().await {
            tokio::spawn(connection(Arc::clone(&self.core), arrival));
        }
        let mut phase = self.core.shared.phase.clone();
        let mut open = self.open.subscribe();
        tokio::select! {
            _ = phase.wait_for(|phase| *phase == Phase::Closed) => {}
            _ = open.wait_for(|open| *open == 0) => {}
        }
    }
}

/// Serves one connection to its end.
async fn connection(core: Arc<Core>, arrival: Arrival) {
    let _open = (arrival.open, arrival.room);
    let from = arrival.socket.from();
    let (socket, certificate) = match begin(arrival.socket, arrival.handshake).await {
        Ok(begun) => begun,
        // Port scans and health checks only connect: they would fill the log.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            tracing::debug!("remote-addr" = from, %error, "rejected connection on client endpoint");
            return;
        }
        Err(error) => {
            tracing::warn!(
                "remote-addr" = from,
                error = error.to_string(),
                "rejected connection on client endpoint"
            );
            return;
        }
    };
    let mut phase = core.shared.phase.clone();
    let builder = builder(&core.shared.options);
    let connection = Arc::new(Connection::new(core, arrival.traffic, certificate));
    let service = service_fn(move |request| {
        let connection = Arc::clone(&connection);
        // hyper moves what it gets four times before it runs; the whole of a call's state would cost a twentieth of a get.
        Box::pin(async move { Ok::<_, Infallible>(connection.answer(request).await) })
    });
    let socket = Gather::new(Mended::new(Prompt::new(socket, SILENCE_MAX)));
    let mut served = pin!(builder.serve_connection_with_upgrades(TokioIo::new(socket.clone()), service));
    let ended = tokio::select! {
        // How a connection ended is its client's business.
        _ = socket.turns(served.as_mut()) => true,
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => false,
    };
    if !ended {
        served.as_mut().graceful_shutdown();
    }
    let rest = async {
        if !ended {
            let _ = socket.turns(served).await;
        }
        let _ = socket.finish().await;
    };
    tokio::select! {
        () = rest => {}
        _ = phase.wait_for(|phase| *phase == Phase::Closed) => {}
    }
}

async fn begin(socket: Accepted, handshake: Handshake) -> io::Result<(Socket, Option<ClientCertificate>)> {
    let socket = socket.into_socket()?;
    tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake.perform(socket)).await?
}

fn builder(options: &Options) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP1_HEADERS_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(match options.concurrent_streams_max {
            u32::MAX => STREAMS_UNLESS_SET,
            set => set,
        })
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout);
    builder
}
