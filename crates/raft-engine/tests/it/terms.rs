//! Proposals of a leader that must not outlive its leadership.

use bytes::Bytes;
use raft_engine::consensus::Event;

use crate::cluster::{Cluster, options};

fn cluster_led_by_1() -> (Cluster, u64) {
    let mut cluster = Cluster::new(3, 0, options());
    cluster.settle(|_| true);
    for _ in 0..100 {
        cluster.event(1, Event::Tick);
        cluster.settle(|_| true);
        if cluster.leader() == Some(1) {
            break;
        }
    }
    assert_eq!(cluster.leader(), Some(1));
    let term = term_of(&cluster, 1);
    (cluster, term)
}

fn term_of(cluster: &Cluster, id: u64) -> u64 {
    cluster.nodes[&id]
        .core
        .as_ref()
        .map_or(0, |core| core.status().term)
}

fn has(cluster: &Cluster, id: u64, data: &str) -> bool {
    let history = &cluster.nodes[&id].machine.history;
    history.iter().any(|(_, _, found)| found == data)
}

fn as_leader(term: u64, data: &'static str) -> Event {
    Event::ProposeAsLeader {
        term,
        proposals: vec![Bytes::from_static(data.as_bytes())],
    }
}

#[test]
fn a_leader_proposes_in_its_term_and_in_no_other() {
    let (mut cluster, term) = cluster_led_by_1();
    cluster.event(1, as_leader(term, "now"));
    cluster.event(1, as_leader(term - 1, "before"));
    cluster.event(2, as_leader(term, "elsewhere"));
    cluster.settle(|_| true);
    assert!(has(&cluster, 3, "now"));
    assert!(!has(&cluster, 3, "before") && !has(&cluster, 3, "elsewhere"));
}

/// Would fail if what a deposed leader has decided went to the next one, as its ordinary proposals do (etcd#15247).
#[test]
fn what_waits_when_leadership_goes_is_dropped_and_not_forwarded() {
    let (mut cluster, term) = cluster_led_by_1();
    // While leadership is handed over, raft takes no proposals: they wait.
    cluster.event(1, Event::Transfer { to: 2, number: 1 });
    cluster.event(1, as_leader(term, "revoke"));
    cluster.event(1, Event::Propose(vec![Bytes::from_static(b"ordinary")]));
    cluster.settle(|_| true);
    assert_eq!(cluster.leader(), Some(2));
    cluster.settle(|_| true);
    assert!(has(&cluster, 3, "ordinary") && !has(&cluster, 3, "revoke"));
}
