//! Whole engines: threads, a log in memory that can lose what was not synced, an echoing state machine, a network of
//! function calls.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use raft_engine::{
    Applied, Bootstrap, Checkpoint, Committed, Configuration, Engine, Fault, Handle, MachineError, Member,
    Options, ReadError, Start, StateMachine, Transport, Verdict,
};
use wal::{MemoryDir, Wal};

use crate::gate::{Gate, GatedDir};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a machine holds, seen by the test.
#[derive(Clone, Default)]
pub struct State {
    pub applied: Applied,
    pub commands: Vec<Bytes>,
}

/// Remembers commands in order.
pub struct Echo {
    pub now: Arc<Mutex<State>>,
    pub changed: Arc<Condvar>,
    /// What survives a crash.
    pub durable: Arc<Mutex<State>>,
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
pub struct Network {
    pub engines: Mutex<HashMap<u64, Handle>>,
    pub cut: Mutex<Vec<u64>>,
}

pub struct Line {
    pub from: u64,
    pub network: Weak<Network>,
    pub folder: PathBuf,
}

impl Line {
    pub fn to(&self, id: u64) -> Option<Handle> {
        let network = self.network.upgrade()?;
        let cut = network.cut.lock();
        let open = !cut.contains(&id) && !cut.contains(&self.from);
        open.then(|| network.engines.lock().get(&id).cloned())?
    }

    pub fn own(&self) -> Option<Handle> {
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
pub struct Machine {
    pub id: u64,
    pub dir: MemoryDir,
    pub gate: Arc<Gate>,
    pub durable: Arc<Mutex<State>>,
    pub now: Arc<Mutex<State>>,
    pub changed: Arc<Condvar>,
    pub boots: u64,
    pub faults: Arc<Mutex<Vec<String>>>,
}

pub struct Cluster {
    pub network: Arc<Network>,
    pub machines: Vec<Machine>,
    pub folder: tempfile::TempDir,
    pub tune: fn(&mut Options),
}

impl Cluster {
    pub fn new(count: u64, tune: fn(&mut Options)) -> Self {
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

    pub fn add(&mut self, id: u64) {
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

    pub fn options(&self, id: u64) -> Options {
        let machine = self.machine(id);
        let folder = self.folder.path().join(format!("snapshots-{id}"));
        let faults = machine.faults.clone();
        let mut options = Options::new(id, id * 1000 + machine.boots, folder);
        options.heartbeat_interval = Duration::from_millis(10);
        options.on_fault = Arc::new(move |fault: Fault| faults.lock().push(fault.to_string()));
        (self.tune)(&mut options);
        options
    }

    pub fn boot(&mut self, id: u64, bootstrap: Bootstrap) -> Handle {
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

    pub fn machine_mut(&mut self, id: u64) -> &mut Machine {
        &mut self.machines[id as usize - 1]
    }

    pub fn machine(&self, id: u64) -> &Machine {
        self.machines.iter().find(|machine| machine.id == id).unwrap()
    }

    /// Stops a member and takes away what was not synced.
    pub fn kill(&mut self, id: u64, seed: u64) {
        let engine = self.network.engines.lock().remove(&id).unwrap();
        let machine = self.machines.iter_mut().find(|machine| machine.id == id).unwrap();
        machine.dir = machine.dir.crash(seed);
        let durable = machine.durable.lock().clone();
        engine.stop();
        *machine.durable.lock() = durable;
    }

    pub fn engine(&self, id: u64) -> Handle {
        self.network.engines.lock()[&id].clone()
    }

    /// Waits until somebody leads that can confirm it.
    pub fn leader(&self) -> Handle {
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
    pub fn wait_for(&self, id: u64, done: impl Fn(&State) -> bool) {
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

    pub fn stop(&self) {
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
pub fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

pub fn read(engine: &Handle) -> Result<u64, ReadError> {
    let (send, receive) = mpsc::channel();
    engine.read_index(Box::new(move |outcome| {
        let _ = send.send(outcome);
    }));
    receive.recv_timeout(PATIENCE).expect("every read is answered")
}

pub fn command(number: u64) -> Bytes {
    format!("command {number:06}").into()
}

pub fn commands(range: std::ops::Range<u64>) -> Vec<Bytes> {
    range.map(command).collect()
}
