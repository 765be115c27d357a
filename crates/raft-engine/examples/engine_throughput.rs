//! How many proposals a second three engines in one process take, each with a log on disk.
//!
//! For finding what the engine itself costs: there is no RPC, no store, and all three share one disk and the CPUs. Not
//! for comparing with a whole server.
//!
//! `cargo run --release -p raft-engine --example engine_throughput -- [MEMBERS] [BATCH] [OUTSTANDING] [SECONDS]`

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use raft_engine::{
    Applied, Bootstrap, Checkpoint, Committed, Engine, Handle, MachineError, Member, Observer, Options,
    Start, StateMachine, Transport, Verdict,
};
use wal::Wal;

/// Counts commands.
struct Counter {
    applied: Applied,
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    commands: Mutex<u64>,
    more: Condvar,
}

impl StateMachine for Counter {
    fn applied(&self) -> Applied {
        self.applied.clone()
    }

    fn apply(&mut self, group: Vec<Committed>) -> Result<Verdict, MachineError> {
        let mut commands = 0;
        for committed in group {
            (self.applied.index, self.applied.term) = (committed.index(), committed.term());
            match committed {
                Committed::Command { .. } => commands += 1,
                Committed::ConfChange {
                    configuration: Some(next),
                    ..
                } => self.applied.configuration = next,
                _ => {}
            }
        }
        *self.count.commands.lock() += commands;
        self.count.more.notify_all();
        Ok(Verdict::Accepted)
    }

    fn durable(&self) -> u64 {
        self.applied.index
    }

    fn checkpoint(&mut self, _: &Path) -> Result<(), MachineError> {
        Err("not here".into())
    }

    fn install(&mut self, _: &Path, _: &Applied) -> Result<(), MachineError> {
        Err("not here".into())
    }
}

#[derive(Default)]
struct Network(Mutex<HashMap<u64, Handle>>);

struct Line(Weak<Network>);

impl Transport for Line {
    fn send(&self, to: u64, messages: Vec<Bytes>) {
        let engine = self
            .0
            .upgrade()
            .and_then(|network| network.0.lock().get(&to).cloned());
        if let Some(engine) = engine {
            let _ = engine.step_all(messages);
        }
    }

    fn send_snapshot(&self, _: u64, _: Bytes, _: Checkpoint) {}
}

#[derive(Default)]
struct Syncs {
    count: AtomicU64,
    nanos: AtomicU64,
}

impl Observer for Syncs {
    fn log_written(&self, _: usize, _: Duration, sync: Option<Duration>) {
        if let Some(sync) = sync {
            self.count.fetch_add(1, Ordering::Relaxed);
            self.nanos.fetch_add(sync.as_nanos() as u64, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "measures")]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>().expect("a number"));
    let members = arguments.next().unwrap_or(3);
    let batch = arguments.next().unwrap_or(10);
    let outstanding = arguments.next().unwrap_or(1000);
    let seconds = arguments.next().unwrap_or(5);

    let folder = tempfile::tempdir_in(".").expect("a directory");
    let network: Arc<Network> = Arc::default();
    let first: Vec<Member> = (1..=members)
        .map(|id| Member {
            id,
            context: Bytes::new(),
        })
        .collect();
    let mut counts = HashMap::new();
    let syncs: Arc<Syncs> = Arc::default();
    for id in 1..=members {
        let place = folder.path().join(id.to_string());
        std::fs::create_dir(&place).expect("a directory");
        let wal = Wal::create(&place.join("wal"), b"example", wal::Options::default()).expect("a log");
        let count: Arc<Count> = Arc::default();
        let machine = Box::new(Counter {
            applied: Applied::default(),
            count: count.clone(),
        });
        let mut options = Options::new(id, id, place.join("snapshots"));
        options.observer = syncs.clone();
        let start = Start {
            options,
            bootstrap: Bootstrap::New(first.clone()),
            wal,
            recovered: None,
            machine,
            transport: Arc::new(Line(Arc::downgrade(&network))),
        };
        let engine = Engine::start(start).expect("an engine");
        network.0.lock().insert(id, engine);
        counts.insert(id, count);
    }
    let engine = network.0.lock()[&1].clone();
    let leader = loop {
        std::thread::yield_now();
        let leader = engine.leader();
        if leader != 0 {
            break network.0.lock()[&leader].clone();
        }
    };
    let count = counts[&leader.id()].clone();

    let data = Bytes::from(vec![7u8; 256]);
    let began = now();
    let before = syncs.count.load(Ordering::Relaxed);
    let mut sent = 0;
    while now() - began < Duration::from_secs(seconds) {
        {
            let mut done = count.commands.lock();
            while sent + batch > *done + outstanding {
                count.more.wait(&mut done);
            }
        }
        leader.propose(vec![data.clone(); batch as usize]).expect("room");
        sent += batch;
    }
    let mut done = count.commands.lock();
    while *done < sent {
        count.more.wait(&mut done);
    }
    let took = now() - began;
    let synced = syncs.count.load(Ordering::Relaxed) - before;
    let per_sync = Duration::from_nanos(syncs.nanos.load(Ordering::Relaxed) / synced.max(1));
    println!(
        "{members} members, batches of {batch}, {outstanding} outstanding: {:.0} proposals/s, {:.1} µs each, {synced} syncs of {per_sync:?}",
        sent as f64 / took.as_secs_f64(),
        took.as_micros() as f64 / sent as f64
    );
    drop(done);
    let engines = std::mem::take(&mut *network.0.lock());
    engines.values().for_each(Handle::stop);
}
