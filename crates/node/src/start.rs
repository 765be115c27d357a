//! Starting and stopping a node.

use crate::clock::Clock;
use crate::core::{Core, Signals};
use crate::force;
use crate::layout::Layout;
use crate::loops;
use crate::machine::Replica;
use crate::metrics::{Metrics, Sampled};
use crate::observer::Reports;
use crate::{Bootstrap, Error, Options, Result};
use apply::Machine;
use crossbeam_channel::Receiver;
use membership::{Change, Member};
use model::{ClusterId, MemberId};
use prost::Message;
use raft_engine::{Engine, TransferError};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use tokio::sync::{Notify, oneshot, watch};
use wal::{Recovered, Wal};

/// Bytes of applied entries that are kept in memory for followers that lag, at most.
const RETAINED_BYTES_MAX: u64 = 64 << 20;

/// What every segment of the raft log begins with: etcd's `Metadata`.
#[derive(Clone, Copy, PartialEq, Message)]
struct LogMetadata {
    #[prost(uint64, tag = "1")]
    node: u64,
    #[prost(uint64, tag = "2")]
    cluster: u64,
}

/// A node that does not run yet.
pub(crate) struct Assembled {
    pub core: Arc<Core>,
    pub engine: raft_engine::Start,
    /// Becomes readable when a flush is wanted.
    pub flush: Receiver<()>,
    /// Becomes readable when there may be something to compact.
    pub compact: Receiver<()>,
}

/// The log, and how its member comes into the cluster.
struct Log {
    wal: Wal,
    recovered: Recovered,
    bootstrap: raft_engine::Bootstrap,
    member: MemberId,
    cluster: ClusterId,
}

impl Core {
    /// Opens what is in the data directory, or begins anew, and starts all threads and tasks.
    pub(crate) fn start(options: Options) -> Result<Arc<Core>> {
        let Assembled {
            core,
            engine,
            flush,
            compact,
        } = Core::assemble(options, false)?;
        core.set_engine(Engine::start(engine).map_err(chain)?);
        core.thread("leases", loops::leases::run)?;
        core.thread("watching", loops::watching::run)?;
        core.thread("compaction", move |core| loops::compaction::run(core, compact))?;
        core.thread("flush", move |core| loops::flush::run(core, flush))?;
        core.thread("reclaim", loops::reclaim::run)?;
        core.spawn_tasks();
        Ok(core)
    }

    /// Everything but what runs by itself.
    pub(crate) fn assemble(options: Options, threadless: bool) -> Result<Assembled> {
        let clock = Clock::start(options.surroundings.clone());
        let layout = Layout::prepare(&options.data_dir).map_err(fault("data directory"))?;
        let mut log = open_log(&options, &layout)?;
        let store = layout.store().map_err(fault("data directory"))?;
        let backend = (options.open_store)(&store).map_err(fault("store"))?;
        let machine =
            Machine::open(backend.clone(), machine_options(&options, log.cluster)).map_err(chain)?;
        if options.force_new_cluster {
            log = log.leave_alone(&options, &layout, &machine)?;
        }
        let metrics = Metrics::register(&options.registry, &options, log.member).map_err(fault("metrics"))?;
        let (flush, flush_wanted) = crossbeam_channel::bounded(1);
        let (compact, compact_wanted) = crossbeam_channel::bounded(1);
        let signals = Signals {
            ready: watch::Sender::new(false),
            stopped: watch::Sender::new(None),
            removed: AtomicBool::new(false),
            stopping: watch::Sender::new(false),
            unflushed_bytes: AtomicU64::new(0),
            flush,
            compact,
            versions: Notify::new(),
            removal: Notify::new(),
        };
        let shared = machine.shared().clone();
        let core = Core::new(
            options,
            log.member,
            log.cluster,
            clock,
            shared,
            backend,
            metrics,
            signals,
            threadless,
        );
        let sampled = Sampled::new(&core).map_err(fault("metrics"))?;
        core.options
            .registry
            .register(Box::new(sampled))
            .map_err(fault("metrics"))?;
        let replica = Replica::new(core.clone(), machine, layout.clone());

        let reports = Arc::new(Reports::default());
        reports.connect(Arc::downgrade(&core));
        let engine = raft_engine::Start {
            options: engine_options(&core, &layout, reports),
            bootstrap: log.bootstrap,
            wal: log.wal,
            recovered: Some(log.recovered),
            machine: Box::new(replica),
            transport: core.options.transport.clone(),
        };
        Ok(Assembled {
            core,
            engine,
            flush: flush_wanted,
            compact: compact_wanted,
        })
    }

    pub(crate) fn spawn_tasks(self: &Arc<Self>) {
        tokio::spawn(loops::publish::run(self.clone()));
        tokio::spawn(loops::versions::run(self.clone()));
        tokio::spawn(loops::auto_compaction::run(self.clone()));
        tokio::spawn(loops::removal::run(self.clone()));
    }

    fn thread(self: &Arc<Self>, name: &str, run: impl FnOnce(Arc<Core>) + Send + 'static) -> Result<()> {
        let core = self.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(core))
            .map_err(fault("thread"))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Ends the node in good order; `hand_over` leadership first where there is somebody to take it.
    pub(crate) async fn shut_down(self: &Arc<Self>, hand_over: bool) {
        if hand_over {
            self.hand_over().await;
        }
        self.end_loops();
        let core = self.clone();
        let ended = self.blocking(move || {
            if let Ok(engine) = core.engine() {
                engine.stop();
            }
            core.requests.fail_all();
            core.applied.fail_all();
            let threads = std::mem::take(&mut *core.threads.lock());
            for thread in threads {
                // A thread that panicked has been reported by the panic itself.
                let _ = thread.join();
            }
            core.hub.close();
            loops::flush::flush(&core)
        });
        let result = match ended.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(fault("store")(error)),
            Err(error) => Err(error),
        };
        self.finish(result);
    }

    /// Gives leadership to the voter that has been connected longest, so that the others need no election timeout to
    /// notice. Failing to is no reason to stay.
    async fn hand_over(&self) {
        if !self.leads() {
            return;
        }
        let cluster = self.shared.cluster();
        let heir = cluster
            .voters()
            .filter(|voter| voter.id != self.member)
            .filter_map(|voter| Some((self.options.peers.connected_for(voter.id)?, voter.id)))
            .max();
        let Some((_, heir)) = heir else {
            return;
        };
        let (sender, receiver) = oneshot::channel();
        let Ok(engine) = self.engine() else {
            return;
        };
        let done = Box::new(move |result: Result<(), TransferError>| {
            let _ = sender.send(result);
        });
        engine.transfer_leader(heir.0, done);
        match tokio::time::timeout(self.request_timeout(), receiver).await {
            Ok(Ok(Ok(()))) => tracing::info!(to = %heir, "handed leadership over"),
            _ => tracing::warn!(to = %heir, "leadership could not be handed over"),
        }
    }
}

impl Log {
    /// Makes this member the only one.
    fn leave_alone(mut self, options: &Options, layout: &Layout, machine: &Machine) -> Result<Log> {
        if raft_engine::is_blank(&self.recovered) {
            return Err(Error::Fault(
                "there is no data to force a new cluster from".to_owned(),
            ));
        }
        force::leave_alone(&mut self.wal, &self.recovered, self.member, machine.cluster())?;
        // The lock on the log goes with it.
        drop(self);
        open_log(options, layout)
    }
}

fn open_log(options: &Options, layout: &Layout) -> Result<Log> {
    let path = options.wal_dir.clone().unwrap_or_else(|| layout.wal());
    let files = options.wal_files.as_ref();
    let named = || (options.bootstrap.member(), options.bootstrap.cluster());
    let exists = match files {
        Some(files) => Wal::exists_in(&**files),
        None => Wal::exists(&path),
    };
    if !exists.map_err(chain)? {
        let (member, cluster) = named();
        let metadata = LogMetadata {
            node: member.0,
            cluster: cluster.0,
        };
        // Reading back what was just made gives one path for all starts.
        let metadata = metadata.encode_to_vec();
        let created = match files {
            Some(files) => Wal::create_in(files.clone(), &metadata, options.wal.clone()),
            None => Wal::create(&path, &metadata, options.wal.clone()),
        };
        drop(created.map_err(chain)?);
    }
    let opened = match files {
        Some(files) => Wal::open_in(files.clone(), options.wal.clone()),
        None => Wal::open(&path, options.wal.clone()),
    };
    let (wal, recovered) = opened.map_err(chain)?;
    if let Some(repair) = &recovered.repaired {
        tracing::warn!(file = %repair.file, offset = repair.offset, what = %repair.what, "cut an incomplete write off the raft log");
    }
    let metadata =
        LogMetadata::decode(recovered.metadata.clone()).map_err(fault("metadata of the raft log"))?;
    let untouched = raft_engine::is_blank(&recovered);
    let bootstrap = if untouched {
        begin(&options.bootstrap)?
    } else {
        raft_engine::Bootstrap::Restart
    };
    if untouched && (metadata.node, metadata.cluster) != (named().0.0, named().1.0) {
        return Err(Error::Fault(format!(
            "the data directory belongs to member {:x} of cluster {:x}",
            metadata.node, metadata.cluster
        )));
    }
    Ok(Log {
        wal,
        recovered,
        bootstrap,
        member: MemberId(metadata.node),
        cluster: ClusterId(metadata.cluster),
    })
}

/// A new cluster's log begins with the addition of each of its members, in the order of their ids on all of them.
fn begin(bootstrap: &Bootstrap) -> Result<raft_engine::Bootstrap> {
    let Bootstrap::New { members, .. } = bootstrap else {
        return Ok(raft_engine::Bootstrap::Join);
    };
    let mut first: Vec<raft_engine::Member> = members
        .iter()
        .map(|member| raft_engine::Member {
            id: member.id,
            context: first_change(member).encode(),
        })
        .collect();
    first.sort_by_key(|member| member.id);
    first.dedup_by_key(|member| member.id);
    if first.len() != members.len() {
        return Err(Error::Fault("two of the first members have the same id".into()));
    }
    Ok(raft_engine::Bootstrap::New(first))
}

fn first_change(member: &model::pb::etcdserverpb::Member) -> Change {
    Change::Add(Member {
        id: MemberId(member.id),
        peer_urls: member.peer_urls.clone(),
        is_learner: false,
        name: member.name.clone(),
        client_urls: Vec::new(),
    })
}

fn machine_options(options: &Options, cluster: ClusterId) -> apply::Options {
    apply::Options {
        cluster,
        quota_bytes: options.quota_bytes,
        mvcc: mvcc::Options {
            compaction_hash: options.compaction_hash,
            large_value_bytes: options.large_value_bytes,
            ..mvcc::Options::default()
        },
        lease: lease::Options {
            checkpoint_interval: options.lease_checkpoints.then_some(CHECKPOINT_INTERVAL),
            ..lease::Options::default()
        },
        tokens: options.tokens.clone(),
    }
}

/// How often remaining times of long leases are replicated, where they are.
const CHECKPOINT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5 * 60);

fn engine_options(core: &Arc<Core>, layout: &Layout, reports: Arc<Reports>) -> raft_engine::Options {
    let options = &core.options;
    let heartbeat = options.heartbeat.as_nanos().max(1);
    let on_fault = {
        let core = Arc::downgrade(core);
        move |fault: raft_engine::Fault| {
            if let Some(core) = core.upgrade() {
                core.fail(fault.to_string());
            }
        }
    };
    // Elections need timeouts that differ between members and boots, also of machines that the same switch turns on.
    let seed = options.surroundings.random() as u64;
    raft_engine::Options {
        heartbeat_interval: options.heartbeat,
        clock: {
            let surroundings = options.surroundings.clone();
            Arc::new(move || surroundings.now())
        },
        election_ticks: (options.election_timeout.as_nanos() / heartbeat).max(2) as usize,
        pre_vote: options.pre_vote,
        initial_election_tick_advance: options.initial_election_tick_advance,
        snapshot_count: options.snapshot_count,
        log_retain_entries: options.snapshot_catchup_entries,
        log_retain_bytes: RETAINED_BYTES_MAX,
        request_timeout: core.request_timeout(),
        observer: reports,
        on_fault: Arc::new(on_fault),
        ..raft_engine::Options::new(core.member.0, seed, layout.snapshots())
    }
}

/// Wraps an error with what could not be done.
fn fault<E: Display>(what: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::Fault(format!("{what}: {error}"))
}

/// An error with all its causes.
pub(crate) fn chain(error: impl std::error::Error) -> Error {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Error::Fault(text)
}
