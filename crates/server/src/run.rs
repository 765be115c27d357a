//! A member from its first socket to its last: listeners, then raft, then clients, and back in the other order.

use crate::address::texts;
use crate::bootstrap;
use crate::command_line::{ETCD_VERSION, VERSION};
use crate::config::{AutoCompaction, Config};
use crate::descriptors::Descriptors;
use crate::link::{Inward, Outward};
use crate::listeners::Listeners;
use crate::metrics;
use crate::signal::{self, Signals};
use crate::{store, takeover};
use anyhow::{Context, bail};
use futures::StreamExt;
use node::SnapshotSource;
use peer::{Identity, Peers};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// The store is made durable so often at least: bounds how much of the log is replayed after a crash.
const FLUSH_AGE: Duration = Duration::from_secs(60);
/// Connections whose end is not waited for when the process stops.
const RUNTIME_STOP: Duration = Duration::from_secs(1);

/// Runs a member until a signal (whose number is returned), its removal from the cluster (`None`), or a fault.
pub fn run(config: Config) -> anyhow::Result<Option<i32>> {
    // Listeners, peers and the loops of the node; clients are served by runtimes of the gateway's own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("quorate")
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let result = runtime.block_on(serve(config));
    runtime.shutdown_timeout(RUNTIME_STOP);
    result
}

async fn serve(config: Config) -> anyhow::Result<Option<i32>> {
    log_start(&config);
    create_data_dir(&config)?;
    let descriptors = Descriptors::share()?;
    let listeners = Listeners::open(&config)?;
    let open_store = store::opener(config.storage, descriptors.store)?;
    takeover::take_over(&config.data_dir, &config.log_dir(), &open_store)?;
    let connector = listeners.dialler;
    let mut incoming = futures::stream::select_all(listeners.peers).boxed();
    let start = tokio::select! {
        start = bootstrap::find(&config, connector.as_ref()) => start.context("bootstrap failed")?,
        () = bootstrap::decline(&mut incoming) => bail!("the sockets for peers are closed"),
    };

    let registry = metrics::registry(&config)?;
    let peers = Peers::new(peer::Options {
        identity: Identity {
            cluster: start.cluster,
            member: start.member,
            version: ETCD_VERSION.to_owned(),
            peer_urls: texts(&config.advertise_peer),
        },
        connector,
        snapshot_dir: config.data_dir.join("member/received"),
        connect_timeout: Duration::from_secs(1) + config.election_timeout,
        request_timeout: Duration::from_secs(5) + 2 * config.election_timeout,
        message_bytes_max: (config.request_bytes_max * 4).max(16 << 20),
        connections_max: descriptors.peers,
        snapshot_rate: 0,
        registry: registry.clone(),
    })
    .context("cannot prepare the directory for snapshots")?;
    let options = node_options(&config, &start, &peers, open_store, registry.clone())?;
    let node = node::Handle::start(options)?;
    peers.attach(Arc::new(node.raft()?.clone()));
    let inward = Arc::new(Inward::default());
    inward.attach(node.clone());

    let (stop_peers, peers_stopped) = tokio::sync::oneshot::channel::<()>();
    let (serving_peers, answering) = (peers.clone(), inward.clone());
    let peer_server = tokio::spawn(async move {
        let stop = async move {
            let _ = peers_stopped.await;
        };
        serving_peers.serve(incoming, answering, stop).await;
    });

    // Until this member is known to the cluster there is nobody to serve, and signals have their default action.
    tokio::select! {
        () = node.ready() => {}
        ended = node.stopped() => return ended.map(|()| None).context("the node stopped before it was ready"),
        () = inward.told_of_removal() => {
            log_removal();
            node.stop().await;
            return Ok(None);
        }
    }
    if config.features.is_open("InitialCorruptCheck") {
        node.check_initial_corruption()
            .await
            .context("the data of this member is not the cluster's; remove the member, empty its directory, add it again")?;
    }
    node.start_corruption_checks(node::CorruptionChecks {
        periodic: Some(config.corrupt_check_interval).filter(|interval| !interval.is_zero()),
        compactions: Some(config.compact_hash_check_interval)
            .filter(|_| config.features.is_open("CompactHashCheck")),
    });
    let mut signals = Signals::catch().context("cannot catch signals")?;
    let (stop_clients, clients_stopped) = tokio::sync::oneshot::channel::<()>();
    let gateway = tokio::spawn(gateway::serve(
        gateway::Options {
            connections_max: descriptors.clients,
            ..gateway_options(&config)
        },
        listeners.clients,
        node.clone(),
        registry,
        async move {
            let _ = clients_stopped.await;
        },
    ));
    info!("ready to serve client requests");
    log_listeners(&config);

    let ended = tokio::select! {
        signal = signals.next() => {
            info!(signal = signal::name(signal), "received signal; shutting down");
            Ok(Some(signal))
        }
        stopped = node.stopped() => match stopped {
            Ok(()) => Ok(None),
            Err(error) => Err(anyhow::Error::from(error).context("the node stopped")),
        },
        () = inward.told_of_removal() => {
            log_removal();
            Ok(None)
        }
    };
    info!(name = config.name, "closing etcd server");
    let _ = stop_clients.send(());
    match gateway.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(error = error.to_string(), "the gateway did not end well"),
        Err(error) => warn!(error = error.to_string(), "the gateway did not end well"),
    }
    node.stop().await;
    let _ = stop_peers.send(());
    peers.stop();
    let _ = tokio::time::timeout(RUNTIME_STOP, peer_server).await;
    info!(name = config.name, "closed etcd server");
    ended
}

fn log_removal() {
    warn!(
        error = "the member has been permanently removed from the cluster",
        "server error"
    );
    warn!("data-dir used by this member must be removed");
}

/// Only the owner may read what is stored.
fn create_data_dir(config: &Config) -> anyhow::Result<()> {
    for dir in std::iter::once(&config.data_dir).chain(&config.wal_dir) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot create the directory {}", dir.display()))?;
    }
    Ok(())
}

fn node_options(
    config: &Config,
    start: &bootstrap::Start,
    peers: &Peers,
    open_store: node::StoreOpener,
    registry: prometheus::Registry,
) -> anyhow::Result<node::Options> {
    Ok(node::Options {
        data_dir: config.data_dir.clone(),
        wal_dir: config.wal_dir.clone(),
        wal_files: None,
        surroundings: Arc::new(node::System),
        name: config.name.clone(),
        client_urls: texts(&config.advertise_client),
        bootstrap: start.bootstrap.clone(),
        force_new_cluster: config.force_new_cluster,
        heartbeat: config.heartbeat,
        election_timeout: config.election_timeout,
        initial_election_tick_advance: config.election_tick_advance,
        pre_vote: config.pre_vote,
        snapshot_count: config.snapshot_count,
        flush_age: FLUSH_AGE,
        snapshot_catchup_entries: config.catchup_entries,
        request_bytes_max: config.request_bytes_max,
        quota_bytes: config.quota_bytes,
        learners_max: config.learners_max,
        strict_reconfig_check: config.strict_reconfig_check,
        auto_compaction: match config.auto_compaction {
            AutoCompaction::Off => node::AutoCompaction::Off,
            AutoCompaction::Periodic(period) => node::AutoCompaction::Periodic(period),
            AutoCompaction::Revisions(revisions) => node::AutoCompaction::Revisions(revisions),
        },
        compaction_batch: config.compaction_batch,
        compaction_pause: config.compaction_pause,
        reclaim_at_start: config.reclaim_at_start,
        compaction_hash: config.features.is_open("CompactHashCheck"),
        large_value_bytes: None,
        watch: watch::Options {
            progress_interval: config.progress_interval,
            ..watch::Options::default()
        },
        lease_checkpoints: config.features.is_open("LeaseCheckpoint"),
        version: ETCD_VERSION.to_owned(),
        tokens: Arc::new(auth::Tokens::open(&config.auth_token, config.auth_token_ttl)?),
        bcrypt_cost: config.bcrypt_cost,
        wal: wal::Options {
            fsync: !config.unsafe_no_fsync,
            ..wal::Options::default()
        },
        open_store,
        peers: Arc::new(Outward {
            peers: peers.clone(),
            own: start.member,
        }),
        transport: Arc::new(peers.clone()),
        registry,
    })
}

fn gateway_options(config: &Config) -> gateway::Options {
    let default = gateway::Options::default();
    gateway::Options {
        rpc_threads: if config.rpc_threads == 0 {
            default.rpc_threads
        } else {
            config.rpc_threads
        },
        request_bytes_max: config.request_bytes_max,
        txn_ops_max: config.txn_ops_max,
        concurrent_streams_max: config.concurrent_streams_max,
        // Either one at zero switches pings off.
        keepalive_interval: Some(config.keepalive_interval)
            .filter(|interval| !interval.is_zero() && !config.keepalive_timeout.is_zero()),
        keepalive_timeout: config.keepalive_timeout,
        drain_timeout: Duration::from_secs(5) + 2 * config.election_timeout,
        slow_call: config.warn_request,
        call_histograms: config.extensive_metrics,
        print_headers: prints_headers(),
        json: config.json_gateway,
        cors: config.cors.clone(),
        hosts: config.hosts.clone(),
        certificate_users: config.security.client.has_users(),
        not_serving_on_defragment: config.features.is_open("StopGRPCServiceOnDefrag"),
        snapshot_writer: Some(Arc::new(snapshot)),
        version: ETCD_VERSION.to_owned(),
        ..default
    }
}

/// Whether the environment asks for the headers of calls, as it asks programs written in Go.
fn prints_headers() -> bool {
    std::env::var("GODEBUG")
        .is_ok_and(|settings| settings.split(',').any(|setting| setting == "http2debug=2"))
}

/// What `Maintenance/Snapshot` answers with.
fn snapshot(source: SnapshotSource) -> io::Result<gateway::Backup> {
    let plan = backup::plan(&backup_source(&source)).map_err(io::Error::other)?;
    Ok(gateway::Backup {
        bytes: plan.bytes(),
        write: Box::new(move |mut out| {
            backup::write(&backup_source(&source), plan, &mut out).map_err(io::Error::other)
        }),
    })
}

fn backup_source(source: &SnapshotSource) -> backup::Source<'_> {
    backup::Source {
        view: &source.view,
        applied: source.applied,
        configuration: &source.configuration,
        version: &source.version,
    }
}

fn log_start(config: &Config) {
    info!(
        "etcd-version" = ETCD_VERSION,
        "quorate-version" = VERSION,
        name = config.name,
        "data-dir" = %config.data_dir.display(),
        "storage-backend" = ?config.storage.engine,
        "heartbeat-interval" = ?config.heartbeat,
        "election-timeout" = ?config.election_timeout,
        "snapshot-count" = config.snapshot_count,
        "snapshot-catchup-entries" = config.catchup_entries,
        "v2-deprecation" = "write-only",
        "listen-peer-urls" = ?texts(&config.listen_peer),
        "listen-client-urls" = ?texts(&config.listen_client),
        "advertise-client-urls" = ?texts(&config.advertise_client),
        "initial-cluster" = config.initial_cluster,
        "initial-cluster-state" = if config.join { "existing" } else { "new" },
        "starting an etcd server"
    );
}

fn log_listeners(config: &Config) {
    let apart = !config.listen_client_http.is_empty();
    let traffic = if apart { "grpc" } else { "grpc+http" };
    let listeners = config.listen_client.iter().map(|address| (address, traffic));
    for (address, traffic) in
        listeners.chain(config.listen_client_http.iter().map(|address| (address, "http")))
    {
        let address_text = address.to_string();
        if address.scheme.is_tls() {
            info!(traffic, address = address_text, "serving client traffic securely");
        } else {
            info!(
                traffic,
                address = address_text,
                "serving client traffic insecurely; this is strongly discouraged!"
            );
        }
    }
}
