//! Whole engines together: elections, faults, snapshots, members that come and go.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use raft_engine::{
    Bootstrap, Change, ChangeKind, Engine, Fault, Member, Options, ProposeError, ReadError, Start, StepError,
};
use wal::{FaultyDir, MemoryDir, Wal};

use crate::machines::*;

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
