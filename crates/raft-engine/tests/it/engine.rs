//! Whole engines: threads, a log in memory that can lose what was not synced, an echoing state machine, a network of
//! function calls.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use raft_engine::consensus::HardState;
use raft_engine::{
    Applied, Bootstrap, Change, ChangeKind, Checkpoint, Committed, Configuration, Engine, Fault, Handle,
    MachineError, Member, Options, ProposeError, ReadError, Start, StateMachine, StepError, Transport,
    Verdict,
};
use wal::{FaultyDir, MemoryDir, Wal};

use crate::gate::{Gate, GatedDir};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a machine holds, seen by the test.
#[derive(Clone, Default)]
struct State {
    applied: Applied,
    commands: Vec<Bytes>,
}

/// Remembers commands in order.
struct Echo {
    now: Arc<Mutex<State>>,
    changed: Arc<Condvar>,
    /// What survives a crash.
    durable: Arc<Mutex<State>>,
}

impl StateMachine for Echo {
    fn applied(&self) -> Applied {
        self.now.lock().applied.clone()
    }

    fn apply(&mut self, group: Vec<Committed>) -> Result<Verdict, MachineError> {
        let mut state = self.now.lock();
        for committed in group {
            assert_eq!(committed.index(), state.applied.index + 1);
            (state.applied.index, state.applied.term) = (committed.index(), committed.term());
            match committed {
                Committed::Command { data, .. } if data == "poison" => return Err("poisoned".into()),
                Committed::Command { data, .. } => state.commands.push(data),
                Committed::ConfChange {
                    configuration: Some(next),
                    ..
                } => state.applied.configuration = next,
                Committed::ConfChange { .. } => return Ok(Verdict::Refused),
                Committed::Empty { .. } => {}
            }
        }
        self.changed.notify_all();
        Ok(Verdict::Accepted)
    }

    fn durable(&self) -> u64 {
        // As a store that flushes often.
        let state = self.now.lock().clone();
        let index = state.applied.index;
        *self.durable.lock() = state;
        index
    }

    fn checkpoint(&mut self, dir: &Path) -> Result<(), MachineError> {
        std::fs::create_dir(dir)?;
        let state = self.now.lock();
        let Applied {
            index,
            term,
            configuration,
        } = &state.applied;
        std::fs::write(
            dir.join("position"),
            [index.to_be_bytes(), term.to_be_bytes()].concat(),
        )?;
        std::fs::write(dir.join("configuration"), configuration.encode())?;
        let lines: Vec<u8> = state.commands.join(&b'\n');
        std::fs::write(dir.join("commands"), lines)?;
        Ok(())
    }

    fn install(&mut self, dir: &Path, snapshot: &Applied) -> Result<(), MachineError> {
        let position = std::fs::read(dir.join("position"))?;
        let number = |at: usize| u64::from_be_bytes(position[at..at + 8].try_into().unwrap());
        let configuration = Configuration::decode(&std::fs::read(dir.join("configuration"))?).unwrap();
        let applied = Applied {
            index: number(0),
            term: number(8),
            configuration,
        };
        assert_eq!(applied, *snapshot);
        let lines = std::fs::read(dir.join("commands"))?;
        let commands = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let state = State {
            applied,
            commands: commands.map(Bytes::copy_from_slice).collect(),
        };
        *self.durable.lock() = state.clone();
        *self.now.lock() = state;
        self.changed.notify_all();
        Ok(())
    }
}

/// Function calls between engines; nothing gets through to those that are not there or cut off.
#[derive(Default)]
struct Network {
    engines: Mutex<HashMap<u64, Handle>>,
    cut: Mutex<Vec<u64>>,
}

struct Line {
    from: u64,
    network: Weak<Network>,
    folder: PathBuf,
}

impl Line {
    fn to(&self, id: u64) -> Option<Handle> {
        let network = self.network.upgrade()?;
        let cut = network.cut.lock();
        let open = !cut.contains(&id) && !cut.contains(&self.from);
        open.then(|| network.engines.lock().get(&id).cloned())?
    }

    fn own(&self) -> Option<Handle> {
        self.network.upgrade()?.engines.lock().get(&self.from).cloned()
    }
}

impl Transport for Line {
    fn send(&self, to: u64, messages: Vec<Bytes>) {
        if let Some(engine) = self.to(to) {
            let _ = engine.step_all(messages);
        } else if let Some(own) = self.own() {
            own.report_unreachable(to);
        }
    }

    fn send_snapshot(&self, to: u64, message: Bytes, checkpoint: Checkpoint) {
        let Some(own) = self.own() else { return };
        let Some(engine) = self.to(to) else {
            return own.report_snapshot(to, false);
        };
        let dir = self.folder.join(format!("receive-{to}-{}", checkpoint.index()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        for file in std::fs::read_dir(checkpoint.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), dir.join(file.file_name())).unwrap();
        }
        own.report_snapshot(to, engine.install_snapshot(message, dir).is_ok());
    }
}

/// A member with everything that outlives its process.
struct Machine {
    id: u64,
    dir: MemoryDir,
    gate: Arc<Gate>,
    durable: Arc<Mutex<State>>,
    now: Arc<Mutex<State>>,
    changed: Arc<Condvar>,
    boots: u64,
    faults: Arc<Mutex<Vec<String>>>,
}

struct Cluster {
    network: Arc<Network>,
    machines: Vec<Machine>,
    folder: tempfile::TempDir,
    tune: fn(&mut Options),
}

impl Cluster {
    fn new(count: u64, tune: fn(&mut Options)) -> Self {
        let mut cluster = Self {
            network: Arc::default(),
            machines: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
            tune,
        };
        let members: Vec<Member> = (1..=count)
            .map(|id| Member {
                id,
                context: format!("member {id}").into(),
            })
            .collect();
        for id in 1..=count {
            cluster.add(id);
            cluster.boot(id, Bootstrap::New(members.clone()));
        }
        cluster
    }

    fn add(&mut self, id: u64) {
        self.machines.push(Machine {
            id,
            dir: MemoryDir::new(),
            gate: Arc::default(),
            durable: Arc::default(),
            now: Arc::default(),
            changed: Arc::default(),
            boots: 0,
            faults: Arc::default(),
        });
    }

    fn options(&self, id: u64) -> Options {
        let machine = self.machine(id);
        let folder = self.folder.path().join(format!("snapshots-{id}"));
        let faults = machine.faults.clone();
        let mut options = Options::new(id, id * 1000 + machine.boots, folder);
        options.heartbeat_interval = Duration::from_millis(10);
        options.on_fault = Arc::new(move |fault: Fault| faults.lock().push(fault.to_string()));
        (self.tune)(&mut options);
        options
    }

    fn boot(&mut self, id: u64, bootstrap: Bootstrap) -> Handle {
        let machine = self.machines.iter_mut().find(|machine| machine.id == id).unwrap();
        machine.boots += 1;
        let wal_options = wal::Options {
            background: false,
            segment_bytes: 1 << 20,
            ..wal::Options::default()
        };
        let dir = Arc::new(GatedDir {
            inner: machine.dir.clone(),
            gate: machine.gate.clone(),
        });
        let (wal, recovered) = match &bootstrap {
            Bootstrap::Restart => {
                let (wal, recovered) = Wal::open_in(dir, wal_options).unwrap();
                (wal, Some(recovered))
            }
            _ => (Wal::create_in(dir, b"test", wal_options).unwrap(), None),
        };
        *machine.now.lock() = machine.durable.lock().clone();
        let echo = Echo {
            now: machine.now.clone(),
            changed: machine.changed.clone(),
            durable: machine.durable.clone(),
        };
        let line = Line {
            from: id,
            network: Arc::downgrade(&self.network),
            folder: self.folder.path().to_path_buf(),
        };
        let start = Start {
            options: self.options(id),
            bootstrap,
            wal,
            recovered,
            machine: Box::new(echo),
            transport: Arc::new(line),
        };
        let handle = Engine::start(start).unwrap();
        self.network.engines.lock().insert(id, handle.clone());
        handle
    }

    fn machine(&self, id: u64) -> &Machine {
        self.machines.iter().find(|machine| machine.id == id).unwrap()
    }

    /// Stops a member and takes away what was not synced.
    fn kill(&mut self, id: u64, seed: u64) {
        let engine = self.network.engines.lock().remove(&id).unwrap();
        let machine = self.machines.iter_mut().find(|machine| machine.id == id).unwrap();
        machine.dir = machine.dir.crash(seed);
        let durable = machine.durable.lock().clone();
        engine.stop();
        *machine.durable.lock() = durable;
    }

    fn engine(&self, id: u64) -> Handle {
        self.network.engines.lock()[&id].clone()
    }

    /// Waits until somebody leads that can confirm it.
    fn leader(&self) -> Handle {
        for _ in 0..1000 {
            let engines: Vec<Handle> = self.network.engines.lock().values().cloned().collect();
            for engine in engines {
                if engine.leader() == engine.id() && read(&engine).is_ok() && engine.leader() == engine.id() {
                    return engine;
                }
            }
            pause();
        }
        panic!("no leader");
    }

    /// Waits until a member has applied all of `commands`.
    fn wait_for(&self, id: u64, done: impl Fn(&State) -> bool) {
        let machine = self.machine(id);
        let mut state = machine.now.lock();
        while !done(&state) {
            let late = machine.changed.wait_for(&mut state, PATIENCE).timed_out();
            assert!(
                !late,
                "member {id} stands at {:?} with {}",
                state.applied,
                state.commands.len()
            );
        }
    }

    fn stop(&self) {
        let engines = std::mem::take(&mut *self.network.engines.lock());
        engines.values().for_each(Handle::stop);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

#[expect(clippy::disallowed_methods, reason = "polls an engine that runs on real time")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

fn read(engine: &Handle) -> Result<u64, ReadError> {
    let (send, receive) = mpsc::channel();
    engine.read_index(Box::new(move |outcome| {
        let _ = send.send(outcome);
    }));
    receive.recv_timeout(PATIENCE).expect("every read is answered")
}

fn command(number: u64) -> Bytes {
    format!("command {number:06}").into()
}

fn commands(range: std::ops::Range<u64>) -> Vec<Bytes> {
    range.map(command).collect()
}

#[test]
fn a_single_member_leads_at_once_and_applies_in_order() {
    let cluster = Cluster::new(1, |options| {
        options.heartbeat_interval = Duration::from_secs(3600)
    });
    let engine = cluster.leader();
    for batch in 0..100 {
        engine.propose(commands(batch * 100..batch * 100 + 100)).unwrap();
    }
    cluster.wait_for(1, |state| state.commands.len() == 10_000);
    assert_eq!(cluster.machine(1).now.lock().commands, commands(0..10_000));
    // Entry 1 is the bootstrap change and entry 2 begins the term, as in etcd.
    assert_eq!(read(&engine), Ok(10_002));
    assert_eq!(engine.applied(), 10_002);
}

#[test]
fn three_members_keep_everything_through_kills_and_restarts() {
    let mut cluster = Cluster::new(3, |_| {});
    let mut next = 0;
    for round in 0..6 {
        let leader = cluster.leader();
        for _ in 0..20 {
            leader.propose(commands(next..next + 50)).unwrap();
            next += 50;
        }
        let expected = next as usize;
        cluster.wait_for(leader.id(), |state| state.commands.len() == expected);
        // A follower loses its unsynced bytes, or the leader does.
        let victim = if round % 2 == 0 {
            leader.id()
        } else {
            leader.id() % 3 + 1
        };
        cluster.kill(victim, round);
        let leader = cluster.leader();
        leader.propose(commands(next..next + 10)).unwrap();
        next += 10;
        let expected = next as usize;
        cluster.wait_for(leader.id(), |state| state.commands.len() == expected);
        cluster.boot(victim, Bootstrap::Restart);
        for id in 1..=3 {
            cluster.wait_for(id, |state| state.commands.len() == expected);
        }
    }
    for id in 1..=3 {
        assert_eq!(
            cluster.machine(id).now.lock().commands,
            commands(0..next),
            "member {id}"
        );
        assert_eq!(*cluster.machine(id).faults.lock(), Vec::<String>::new());
    }
}

#[test]
fn a_member_that_was_away_too_long_gets_a_snapshot_and_goes_on() {
    let mut cluster = Cluster::new(3, |options| {
        options.log_retain_entries = 100;
        options.snapshot_count = 100;
    });
    let leader = cluster.leader();
    let away = leader.id() % 3 + 1;
    cluster.network.cut.lock().push(away);
    for batch in 0..100 {
        leader.propose(commands(batch * 50..batch * 50 + 50)).unwrap();
    }
    cluster.wait_for(leader.id(), |state| state.commands.len() == 5000);
    while leader.status().first_index <= 4000 {
        pause();
    }
    assert!(cluster.machine(away).now.lock().commands.is_empty());

    cluster.network.cut.lock().clear();
    cluster.wait_for(away, |state| state.commands.len() == 5000);
    let leader = cluster.leader();
    leader.propose(commands(5000..5100)).unwrap();
    for id in 1..=3 {
        cluster.wait_for(id, |state| state.commands == commands(0..5100));
    }

    // What it has learnt survives, and no snapshot files are left behind.
    cluster.kill(away, 7);
    cluster.boot(away, Bootstrap::Restart);
    cluster.wait_for(away, |state| state.commands == commands(0..5100));
    cluster.stop();
    for id in 1..=3 {
        let folder = cluster.folder.path().join(format!("snapshots-{id}"));
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "member {id}");
    }
}

#[test]
fn a_new_member_joins_learns_and_is_promoted() {
    let mut cluster = Cluster::new(3, |_| {});
    let leader = cluster.leader();
    leader.propose(commands(0..100)).unwrap();
    cluster.add(4);
    cluster.boot(4, Bootstrap::Join);
    for (id, kind) in [(1, ChangeKind::AddLearner), (2, ChangeKind::AddVoter)] {
        leader
            .propose_conf_change(Change::single(id, kind, 4, Bytes::new()))
            .unwrap();
    }
    cluster.wait_for(4, |state| {
        state.applied.configuration.voters == [1, 2, 3, 4] && state.commands.len() == 100
    });
}

#[test]
fn leadership_is_handed_over_and_followers_propose_and_read() {
    let cluster = Cluster::new(3, |_| {});
    let leader = cluster.leader();
    let next = leader.id() % 3 + 1;
    let (send, receive) = mpsc::channel();
    leader.transfer_leader(
        next,
        Box::new(move |outcome| {
            let _ = send.send(outcome);
        }),
    );
    assert_eq!(receive.recv_timeout(PATIENCE), Ok(Ok(())));
    assert_eq!(cluster.leader().id(), next);

    // Through a follower: the read waits until the follower has applied what was visible before.
    leader.propose(commands(0..10)).unwrap();
    cluster.wait_for(next, |state| state.commands.len() == 10);
    let follower = cluster.engine(next % 3 + 1);
    let index = loop {
        // Whoever asks in the middle of an election is told so.
        match read(&follower) {
            Ok(index) => break index,
            Err(error) => assert_eq!(error, ReadError::LeaderChanged),
        }
    };
    assert!(follower.applied() >= index);
    assert_eq!(cluster.machine(follower.id()).now.lock().commands.len(), 10);
}

#[test]
fn without_a_quorum_proposals_wait_within_bounds_and_reads_time_out() {
    let mut cluster = Cluster::new(3, |options| {
        options.proposals_waiting_max = 100;
        options.request_timeout = Duration::from_millis(300);
    });
    let leader = cluster.leader().id();
    let left = leader % 3 + 1;
    cluster.kill(leader, 1);
    cluster.kill(left % 3 + 1, 1);
    let engine = cluster.engine(left);
    while engine.leader() != 0 {
        pause();
    }
    engine.propose(commands(0..100)).unwrap();
    assert_eq!(engine.propose(commands(100..101)), Err(ProposeError::Overloaded));
    assert_eq!(read(&engine), Err(ReadError::TimedOut));
    // Those who waited have given up, and there is room again.
    while engine.propose(commands(100..101)).is_err() {
        pause();
    }
}

#[test]
fn a_failing_disk_stops_the_engine_and_nothing_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let dir = FaultyDir::new(Arc::new(MemoryDir::new()));
    let dir = Arc::new(dir);
    let wal_options = wal::Options {
        background: false,
        ..wal::Options::default()
    };
    let wal = Wal::create_in(dir.clone(), b"test", wal_options).unwrap();
    let (send, receive) = mpsc::channel();
    let mut options = Options::new(1, 1, folder.path().join("snapshots"));
    options.on_fault = Arc::new(move |fault| {
        let _ = send.send(fault);
    });
    let now: Arc<Mutex<State>> = Arc::default();
    let echo = Echo {
        now: now.clone(),
        changed: Arc::default(),
        durable: Arc::default(),
    };
    let network: Arc<Network> = Arc::default();
    let line = Line {
        from: 1,
        network: Arc::downgrade(&network),
        folder: folder.path().to_path_buf(),
    };
    let engine = Engine::start(Start {
        options,
        bootstrap: Bootstrap::New(vec![Member {
            id: 1,
            context: Bytes::new(),
        }]),
        wal,
        recovered: None,
        machine: Box::new(echo),
        transport: Arc::new(line),
    })
    .unwrap();
    assert!(read(&engine).is_ok());

    let before = now.lock().applied.index;
    dir.fail_after(0, 5);
    engine.propose(commands(0..10)).unwrap();
    let fault = receive.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(fault, Fault::Log(_)), "{fault}");
    assert_eq!(now.lock().applied.index, before);
    assert_eq!(read(&engine), Err(ReadError::Stopped));
    assert_eq!(engine.propose(commands(0..1)), Err(ProposeError::Stopped));
    engine.stop();
}

#[test]
fn a_leader_whose_disk_hangs_hands_over_and_comes_back() {
    let cluster = Cluster::new(3, |_| {});
    let leader = cluster.leader();
    let gate = cluster.machine(leader.id()).gate.clone();
    gate.set(true);
    leader.propose(commands(0..10)).unwrap();
    // The others have the entries, and one of them takes over, while this one says what is the matter.
    let next = loop {
        let others = cluster.network.engines.lock().clone();
        let next = others
            .into_values()
            .find(|engine| engine.id() != leader.id() && engine.leader() == engine.id());
        match next {
            Some(next) if leader.status().disk_stalled && read(&next).is_ok() => break next,
            _ => pause(),
        }
    };
    next.propose(commands(10..20)).unwrap();
    cluster.wait_for(next.id(), |state| state.commands == commands(0..20));
    assert!(cluster.machine(leader.id()).now.lock().commands.is_empty());

    gate.set(false);
    cluster.wait_for(leader.id(), |state| state.commands == commands(0..20));
    while leader.status().disk_stalled {
        pause();
    }
}

#[test]
fn a_failing_state_machine_stops_its_engine_only() {
    let cluster = Cluster::new(1, |_| {});
    let engine = cluster.leader();
    engine
        .propose(vec![Bytes::from_static(b"poison"), command(1)])
        .unwrap();
    while cluster.machine(1).faults.lock().is_empty() {
        pause();
    }
    assert_eq!(*cluster.machine(1).faults.lock(), ["state machine: poisoned"]);
    assert_eq!(read(&engine), Err(ReadError::Stopped));
    assert!(cluster.machine(1).now.lock().commands.is_empty());
}

#[test]
fn log_and_store_that_do_not_belong_together_are_refused() {
    let mut cluster = Cluster::new(1, |_| {});
    let engine = cluster.leader();
    engine.propose(commands(0..100)).unwrap();
    cluster.wait_for(1, |state| state.commands.len() == 100);
    cluster.kill(1, 0);

    let start = |cluster: &Cluster, applied: Applied, bootstrap: Bootstrap| {
        let dir = Arc::new(cluster.machine(1).dir.crash(0));
        let wal_options = wal::Options {
            background: false,
            ..wal::Options::default()
        };
        let (wal, recovered) = Wal::open_in(dir, wal_options).unwrap();
        let now = Arc::new(Mutex::new(State {
            applied,
            commands: Vec::new(),
        }));
        let echo = Echo {
            now,
            changed: Arc::default(),
            durable: Arc::default(),
        };
        let line = Line {
            from: 1,
            network: Weak::new(),
            folder: PathBuf::new(),
        };
        let outcome = Engine::start(Start {
            options: cluster.options(1),
            bootstrap,
            wal,
            recovered: Some(recovered),
            machine: Box::new(echo),
            transport: Arc::new(line),
        });
        match outcome {
            Ok(_) => "started".to_string(),
            Err(error) => error.to_string(),
        }
    };
    let at = |index, term| Applied {
        index,
        term,
        configuration: Configuration::default(),
    };
    let past = start(&cluster, at(5000, 2), Bootstrap::Restart);
    assert!(
        past.contains("the store is at index 5000, but the log ends at"),
        "{past}"
    );
    let other = start(&cluster, at(50, 9), Bootstrap::Restart);
    assert!(
        other.contains("entry 50 has term 2 in the log and 9 in the store"),
        "{other}"
    );
    let again = start(&cluster, at(0, 0), Bootstrap::Join);
    assert!(again.contains("the log is not empty"), "{again}");
}

#[test]
fn an_interrupted_snapshot_installation_is_finished_at_the_next_start() {
    // As the log writer leaves it when the process stops before the state machine has taken the files.
    let folder = tempfile::tempdir().unwrap();
    let voters = Configuration {
        voters: vec![1, 2, 3],
        ..Configuration::default()
    };
    let snapshot = Applied {
        index: 500,
        term: 4,
        configuration: voters,
    };
    let dir = Arc::new(MemoryDir::new());
    let wal_options = wal::Options {
        background: false,
        ..wal::Options::default()
    };
    let mut wal = Wal::create_in(dir.clone(), b"test", wal_options.clone()).unwrap();
    let conf_state = snapshot.configuration.encode().into();
    let hard_state = HardState {
        term: 4,
        vote: 2,
        commit: 500,
    }
    .encode();
    wal.reset_to_snapshot(
        wal::Marker {
            index: 500,
            term: 4,
            conf_state,
        },
        &hard_state,
    )
    .unwrap();
    drop(wal);

    let start = |now: &Arc<Mutex<State>>| {
        let (wal, recovered) = Wal::open_in(dir.clone(), wal_options.clone()).unwrap();
        let mut options = Options::new(1, 1, folder.path().join("snapshots"));
        options.heartbeat_interval = PATIENCE;
        let echo = Echo {
            now: now.clone(),
            changed: Arc::default(),
            durable: Arc::default(),
        };
        Engine::start(Start {
            options,
            bootstrap: Bootstrap::Restart,
            wal,
            recovered: Some(recovered),
            machine: Box::new(echo),
            transport: Arc::new(Line {
                from: 1,
                network: Weak::new(),
                folder: PathBuf::new(),
            }),
        })
    };
    let now: Arc<Mutex<State>> = Arc::default();
    let refused = start(&now).err().unwrap().to_string();
    assert!(
        refused.contains("the log starts after index 500, but the store is only at 0"),
        "{refused}"
    );

    let state = State {
        applied: snapshot.clone(),
        commands: commands(0..3),
    };
    let mut sender = Echo {
        now: Arc::new(Mutex::new(state)),
        changed: Arc::default(),
        durable: Arc::default(),
    };
    let files = folder
        .path()
        .join("snapshots/install-0000000000000004-00000000000001f4");
    sender.checkpoint(&files).unwrap();
    std::fs::write(folder.path().join("snapshots/leftover"), "of an earlier life").unwrap();
    let engine = start(&now).unwrap();
    assert_eq!((engine.applied(), engine.term()), (500, 4));
    assert_eq!(now.lock().applied, snapshot);
    assert_eq!(now.lock().commands, commands(0..3));
    assert_eq!(
        std::fs::read_dir(folder.path().join("snapshots"))
            .unwrap()
            .count(),
        0
    );
    engine.stop();
}

#[test]
fn garbage_from_peers_is_refused_at_the_door() {
    let cluster = Cluster::new(1, |_| {});
    let engine = cluster.leader();
    assert!(matches!(
        engine.step(Bytes::from_static(b"\x0b\x0b\x0b")),
        Err(StepError::Malformed(_))
    ));
    // A heartbeat from member 2 for member 9.
    let heartbeat = Bytes::from_static(&[8, 8, 16, 9, 24, 2, 32, 1]);
    assert_eq!(engine.step(heartbeat), Err(StepError::WrongMember));
}

#[test]
fn stopping_answers_everybody_who_waits() {
    let mut cluster = Cluster::new(3, |_| {});
    let leader = cluster.leader().id();
    let left = leader % 3 + 1;
    cluster.kill(leader, 1);
    cluster.kill(left % 3 + 1, 1);
    let engine = cluster.engine(left);
    let (send, receive) = mpsc::channel();
    for _ in 0..10 {
        let send = send.clone();
        engine.read_index(Box::new(move |outcome| {
            let _ = send.send(outcome);
        }));
    }
    engine.stop();
    for _ in 0..10 {
        let answer = receive.recv_timeout(PATIENCE).unwrap();
        assert!(
            matches!(answer, Err(ReadError::Stopped | ReadError::LeaderChanged)),
            "{answer:?}"
        );
    }
    engine.stop();
}
