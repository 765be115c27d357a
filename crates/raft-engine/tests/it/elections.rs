//! Members that stand for election without a chance.

use bytes::Bytes;
use raft_engine::consensus::{CoreOptions, Event};

use crate::cluster::{Cluster, options};

/// Would fail if every new term started the wait for a leader anew: the member with the longer log would never stand.
/// Found by the simulator, in which that happened ten times in a row by chance.
#[test]
fn a_candidate_that_cannot_win_does_not_hold_up_the_one_that_can() {
    let pre_vote = false;
    let mut cluster = Cluster::new(
        3,
        0,
        CoreOptions {
            pre_vote,
            ..options()
        },
    );
    cluster.settle(|_| true);
    cluster.event(1, Event::Campaign);
    cluster.settle(|_| true);
    assert_eq!(cluster.leader(), Some(1));
    // Member 3 misses an entry, and the leader is gone.
    cluster.event(1, Event::Propose(vec![Bytes::from_static(b"entry")]));
    cluster.settle(|letter| letter.to != 3);
    cluster.crash(1, 0, 0);
    for tick in 0..4 * options().election_ticks {
        cluster.event(2, Event::Tick);
        // Impatient: nobody else would get to stand.
        if tick % 4 == 0 && cluster.leader().is_none() {
            cluster.event(3, Event::Campaign);
        }
        cluster.settle(|_| true);
    }
    assert_eq!(cluster.leader(), Some(2));
}
