//! What an engine makes of the log and the state it finds at its start.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use raft_engine::consensus::HardState;
use raft_engine::{Applied, Bootstrap, Configuration, Engine, Options, Start, StateMachine};
use wal::{MemoryDir, Wal};

use crate::machines::*;

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
    // What was synced is gone: to go on would be to forget what this member has told others it holds.
    let dir = cluster.machine(1).dir.crash(0);
    let (mut wal, _) = Wal::open_in(Arc::new(dir.clone()), wal::Options::default()).unwrap();
    let ahead = HardState {
        term: 2,
        vote: 1,
        commit: 5000,
    };
    wal.append(&[wal::Record::State(&ahead.encode())]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    cluster.machine_mut(1).dir = dir;
    let short = start(&cluster, at(50, 2), Bootstrap::Restart);
    assert!(
        short.contains("it says itself that 5000 was committed"),
        "{short}"
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
