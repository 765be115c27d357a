//! A machine of the simulation: a disk, clocks, and the process of a member that runs on them, or does not.

use crate::call::{Call, User, serve};
use crate::disk::Disk;
use crate::link::{Ask, Letter, Link, Outbox, Party, VERSION, tell};
use crate::store::Stores;
use crate::swarm::Swarm;
use crate::time::{MILLI, MemberClock, Nanos, SECOND};
use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use model::{LogIndex, MemberId};
use node::{Bootstrap, CorruptionChecks, Handle, Options, Threadless};
use raft_engine::Checkpoint;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

/// Rounds of the parts of a process within one moment; what is left goes on in the next.
const ROUNDS_MAX: usize = 16;

/// A machine and what outlives the process on it.
pub struct Machine {
    /// Id of the member.
    pub id: u64,
    /// How the member came into the cluster.
    pub bootstrap: Bootstrap,
    /// Directory for what goes through real files: checkpoints, and the names of the stores.
    pub dir: PathBuf,
    /// The raft log's disk.
    pub disk: Disk,
    /// The stores.
    pub stores: Arc<Stores>,
    /// Clocks and dice.
    pub clock: Arc<MemberClock>,
    /// The process, if one runs.
    pub process: Option<Process>,
    /// Counts processes.
    pub life: u64,
    /// The process is stopped (SIGSTOP) until then.
    pub paused_until: Nanos,
    /// The process is to be stopped for so long as soon as it is about to hand something of its own to the engine.
    pub freeze: Option<Nanos>,
    /// The disk does not answer until then.
    pub stalled_until: Nanos,
    /// How slow the disk is, in percent.
    pub disk_percent: u64,
    /// The disk was damaged on purpose: that the member refuses to start is right.
    pub damaged: bool,
    /// Faults of the disk were injected in this life: that the process stops is right.
    pub may_fail: bool,
    /// The member was removed from the cluster and has stopped.
    pub gone: bool,
}

/// A running member.
pub struct Process {
    runtime: Runtime,
    /// Time of the runtime.
    runtime_at: Nanos,
    /// The way in.
    pub node: Handle,
    /// The threads that are none.
    pub parts: Threadless,
    link: Arc<Link>,
    watches: BTreeMap<u64, Watching>,
    received: u64,
    connections_of: Option<u64>,
}

struct Watching {
    control: Arc<watch::Control>,
    task: AbortHandle,
}

/// What a process wants after a turn.
#[derive(Clone, Copy, Default, Debug)]
pub struct Wants {
    /// It has begun to write its log.
    pub write: bool,
    /// It has begun to apply entries.
    pub apply: bool,
    /// It has ended by itself.
    pub ended: bool,
    /// Its loops have handed something to the engine, which has not seen it yet: the time to freeze.
    pub frozen: bool,
}

impl Machine {
    /// A machine without anything, not even an id.
    pub fn blank() -> Machine {
        Machine {
            id: 0,
            bootstrap: bootstrap(0, 0),
            dir: PathBuf::new(),
            disk: Disk::new(),
            stores: Arc::default(),
            clock: Arc::new(MemberClock::new(0, crate::rng::Rng::new(0))),
            process: None,
            life: 0,
            paused_until: 0,
            freeze: None,
            stalled_until: 0,
            disk_percent: 100,
            damaged: false,
            may_fail: false,
            gone: false,
        }
    }

    /// Starts the process.
    pub fn start(&mut self, now: Nanos, swarm: &Swarm, outbox: &Outbox) -> node::Result<()> {
        self.life += 1;
        let local = self.clock.set(now);
        let link = Link::new(self.id, outbox.clone(), self.life);
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .map_err(|error| node::Error::Fault(error.to_string()))?;
        let tokens = auth::Tokens::open("simple", Duration::from_secs(300));
        let tokens = tokens.map_err(|error| node::Error::Fault(error.to_string()))?;
        let stores = self.stores.clone();
        let options = Options {
            data_dir: self.dir.clone(),
            wal_dir: None,
            wal_files: Some(Arc::new(self.disk.clone())),
            name: format!("m{}", self.id),
            client_urls: vec![format!("http://m{}:2379", self.id)],
            bootstrap: self.bootstrap.clone(),
            force_new_cluster: false,
            heartbeat: Duration::from_nanos(swarm.heartbeat),
            election_timeout: Duration::from_nanos(swarm.election),
            initial_election_tick_advance: true,
            pre_vote: swarm.pre_vote,
            snapshot_count: swarm.snapshot_count,
            flush_age: Duration::from_nanos(swarm.flush_age),
            snapshot_catchup_entries: swarm.catch_up_entries,
            request_bytes_max: 1 << 20,
            quota_bytes: None,
            learners_max: 1,
            strict_reconfig_check: true,
            auto_compaction: node::AutoCompaction::Off,
            compaction_batch: swarm.compaction_batch,
            compaction_pause: Duration::from_millis(10),
            reclaim_at_start: None,
            compaction_hash: true,
            // Half of the seeds keep their small values as others keep large ones.
            large_value_bytes: (swarm.compaction_batch < 100).then_some(1),
            watch: watch::Options {
                ring_revisions_max: swarm.ring_revisions,
                queue_responses_max: swarm.watch_queue,
                progress_interval: Duration::from_millis(500),
                ..watch::Options::default()
            },
            lease_checkpoints: swarm.lease_checkpoints,
            version: VERSION.to_owned(),
            tokens: Arc::new(tokens),
            bcrypt_cost: 4,
            wal: wal::Options {
                segment_bytes: swarm.segment_bytes,
                background: false,
                fsync: true,
            },
            open_store: Arc::new(move |dir: &Path| stores.open(dir)),
            peers: link.clone(),
            transport: link.clone(),
            surroundings: self.clock.clone(),
            registry: prometheus::Registry::new(),
        };
        let started = {
            let _guard = runtime.enter();
            Handle::start_threadless(options)
        };
        let (node, parts) = started?;
        if swarm.audits {
            let _guard = runtime.enter();
            node.start_corruption_checks(CorruptionChecks {
                periodic: Some(Duration::from_secs(1)),
                compactions: Some(Duration::from_millis(700)),
            });
        }
        self.process = Some(Process {
            runtime,
            runtime_at: local,
            node,
            parts,
            link,
            watches: BTreeMap::new(),
            received: 0,
            connections_of: None,
        });
        Ok(())
    }

    /// Whether a process runs and is not stopped.
    pub fn is_awake(&self, now: Nanos) -> bool {
        self.process.is_some() && self.paused_until <= now
    }
}

impl Process {
    /// Lets everything happen that is due, until nothing more does; or, to freeze it, until its loops have handed
    /// something to the engine.
    pub fn pump(&mut self, now: Nanos, clock: &MemberClock, freeze: bool) -> Wants {
        let local = clock.set(now);
        self.link.now.store(now, Ordering::Relaxed);
        let ahead = Duration::from_nanos(local.saturating_sub(self.runtime_at));
        self.runtime_at = local;
        let parts = &mut self.parts;
        let mut frozen = false;
        self.runtime.block_on(async {
            if !ahead.is_zero() {
                tokio::time::advance(ahead).await;
            }
            tokio::task::yield_now().await;
            for _ in 0..ROUNDS_MAX {
                let had_mail = parts.engine.has_mail();
                parts.housekeeping();
                if freeze && !had_mail && parts.engine.has_mail() {
                    frozen = true;
                    return;
                }
                let due = clock_now(local) >= parts.engine.next_tick();
                if !due && !parts.engine.has_mail() {
                    break;
                }
                parts.engine.turn();
                tokio::task::yield_now().await;
            }
        });
        if frozen {
            return Wants {
                frozen,
                ..Wants::default()
            };
        }
        Wants {
            frozen,
            write: self.parts.engine.begin_write(),
            apply: self.parts.engine.begin_apply(),
            ended: self.outcome().is_some(),
        }
    }

    /// The reason for which the process has ended, if it has.
    pub fn outcome(&self) -> Option<node::Result<()>> {
        let stopped = pin!(self.node.stopped());
        match stopped.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reason) => Some(reason),
            Poll::Pending => None,
        }
    }

    /// The log writer gets done.
    pub fn finish_write(&mut self, now: Nanos, clock: &MemberClock) {
        clock.set(now);
        let _guard = self.runtime.enter();
        self.parts.engine.finish_write();
    }

    /// The applier gets done.
    pub fn finish_apply(&mut self, now: Nanos, clock: &MemberClock) {
        clock.set(now);
        let _guard = self.runtime.enter();
        self.parts.engine.finish_apply();
    }

    /// Whom this member is connected to, and since when; as of a version of the network.
    pub fn set_connected(&mut self, version: u64, since: BTreeMap<u64, Nanos>) {
        self.connections_of = Some(version);
        *self.link.connected.lock() = since;
    }

    /// The version of the network of which it knows its connections.
    pub fn connections_of(&self) -> Option<u64> {
        self.connections_of
    }

    /// A message did not get through.
    pub fn unreachable(&self, to: u64) {
        if let Ok(raft) = self.node.raft() {
            raft.report_unreachable(to);
        }
    }

    /// Takes a letter in.
    pub fn receive(&mut self, id: u64, from: Party, letter: Letter, dir: &Path, outbox: &Outbox) {
        match letter {
            Letter::Raft(messages) => {
                if let Ok(raft) = self.node.raft() {
                    // Refused where the inbox is full or the member has stopped: lost.
                    let _ = raft.step_all(messages);
                }
            }
            Letter::Snapshot(message, checkpoint) => {
                let arrived = self.receive_snapshot(message, &checkpoint, dir);
                outbox.put(Party::Member(id), from, Letter::SnapshotReport(id, arrived));
            }
            Letter::SnapshotReport(member, ok) => {
                if let Ok(raft) = self.node.raft() {
                    raft.report_snapshot(member, ok);
                }
            }
            Letter::Ask(number, ask) => self.asked(id, from, number, ask, outbox.clone()),
            Letter::Told(number, answer) => self.link.told(number, answer),
            Letter::Call(number, call, user) => self.call(id, number, call, &user, outbox.clone()),
            Letter::Watch(number, request, delay) => {
                self.watch(id, number, &request, delay, outbox.clone());
            }
            Letter::WatchProgress(number) => {
                if let Some(watching) = self.watches.get(&number) {
                    let _guard = self.runtime.enter();
                    watching.control.request_progress();
                }
            }
            Letter::WatchClose(number) => {
                if let Some(watching) = self.watches.remove(&number) {
                    watching.task.abort();
                }
            }
            Letter::Reply(..) | Letter::Watched(..) => {}
        }
    }

    fn asked(&self, id: u64, from: Party, number: u64, ask: Ask, outbox: Outbox) {
        let node = self.node.clone();
        self.runtime.spawn(async move {
            let answer = tell(&node, ask).await;
            outbox.put(Party::Member(id), from, Letter::Told(number, answer));
        });
    }

    fn call(&self, id: u64, number: u64, call: Call, user: &User, outbox: Outbox) {
        let node = self.node.clone();
        let caller = user.caller(&node);
        self.runtime.spawn(async move {
            let answer = serve(&node, call, &caller).await;
            outbox.put(Party::Member(id), Party::Clients, Letter::Reply(number, answer));
        });
    }

    fn watch(&mut self, id: u64, number: u64, request: &pb::WatchCreateRequest, delay: u64, outbox: Outbox) {
        let (control, mut responses) = self.node.watch_hub().open(watch::StreamOptions::default());
        control.create(request);
        let task = self.runtime.spawn(async move {
            loop {
                let next = std::future::poll_fn(|cx| responses.poll_next(cx)).await;
                let ended = next.is_none();
                outbox.put(Party::Member(id), Party::Clients, Letter::Watched(number, next));
                if ended {
                    return;
                }
                if delay > 0 && !outbox.calm.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(delay)).await;
                }
            }
        });
        let watching = Watching {
            control: Arc::new(control),
            task: task.abort_handle(),
        };
        self.watches.insert(number, watching);
    }

    fn receive_snapshot(&mut self, message: Bytes, checkpoint: &Checkpoint, dir: &Path) -> bool {
        self.received += 1;
        let place = dir
            .join("member/snapshots")
            .join(format!("received-{}", self.received));
        if copy(checkpoint.path(), &place).is_err() {
            return false;
        }
        self.node
            .raft()
            .is_ok_and(|raft| raft.install_snapshot(message, place).is_ok())
    }

    /// Watches that it serves.
    pub fn watches(&self) -> Vec<u64> {
        self.watches.keys().copied().collect()
    }

    /// Applied index.
    pub fn applied(&self) -> LogIndex {
        self.node.applied()
    }
}

fn clock_now(local: Nanos) -> std::time::Instant {
    crate::time::origin() + Duration::from_nanos(local)
}

/// The files that a member keeps beside its rows stay where they are.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// How a new cluster of members 1 to `count` begins.
pub fn bootstrap(member: u64, count: u64) -> Bootstrap {
    Bootstrap::New {
        member: MemberId(member),
        cluster: crate::swarm::CLUSTER,
        members: (1..=count).map(first_member).collect(),
    }
}

fn first_member(id: u64) -> pb::Member {
    pb::Member {
        id,
        name: format!("m{id}"),
        peer_urls: vec![format!("http://m{id}:2380")],
        client_urls: Vec::new(),
        is_learner: false,
    }
}

/// Time that a disk takes for a write and a sync.
pub fn disk_time(rng: &mut crate::rng::Rng, percent: u64) -> Nanos {
    let base = match rng.below(1000) {
        0..900 => rng.within(MILLI / 10, 2 * MILLI),
        900..995 => rng.within(2 * MILLI, 12 * MILLI),
        _ => rng.within(12 * MILLI, SECOND / 8),
    };
    base * percent / 100
}
