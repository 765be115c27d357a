//! Leases under pauses and changes of leader: the hardest for them, for time goes on while a leader does not.

use sim::{Kinds, SECOND, Swarm, run_seed};

/// A leader that is paused between asking whether it leads and revoking must not revoke what the next one has renewed
/// (etcd#15247): its proposal would reach that one by forwarding.
#[test]
fn no_pause_of_a_leader_ends_a_lease_early() {
    let mut expired = 0;
    for seed in 0..20 {
        let swarm = Swarm {
            members: 3,
            clients: 1,
            leasers: 8,
            lockers: 0,
            watchers: 0,
            fault_every: SECOND,
            faults_for: 40 * SECOND,
            faults: Kinds {
                pause: true,
                ..Kinds::default()
            },
            ..Swarm::of(seed)
        };
        match run_seed(seed, Some(swarm), false) {
            Ok(report) => expired += report.totals.expired,
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(expired > 200, "only {expired} leases expired");
}
