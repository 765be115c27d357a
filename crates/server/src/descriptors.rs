//! File descriptors, and who may have how many: a client's connection must never be the reason why the log cannot begin
//! its next segment.

use anyhow::ensure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer no member can work; etcd's number.
const LEAST: usize = 150;
/// For the log, connections to peers, runtimes, log files and backups.
const OWN: usize = 64;
/// More than the store makes use of.
const STORE_MAX: usize = 2048;
/// A cluster needs a handful.
const PEERS_MAX: usize = 256;

/// Shares of the process's file descriptors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptors {
    /// Files that the store keeps open.
    pub store: u16,
    /// Connections that peers make to this member.
    pub peers: usize,
    /// Connections of clients.
    pub clients: usize,
}

impl Descriptors {
    /// Raises the soft limit to the hard one, then shares what there is. Fails where that is too little for a member.
    pub fn share() -> anyhow::Result<Descriptors> {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        let current = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        // None is no limit.
        let limit = current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        ensure!(
            limit >= LEAST,
            "the limit of open files is too low for a member: {limit}; set it to {LEAST} at least (ulimit -n)"
        );
        Ok(Descriptors::of(limit))
    }

    fn of(limit: usize) -> Descriptors {
        let store = (limit / 4).clamp(64, STORE_MAX);
        let peers = (limit / 8).min(PEERS_MAX);
        Descriptors {
            store: store as u16,
            peers,
            clients: limit.saturating_sub(OWN + store + peers).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_no_more_than_the_limit() {
        for limit in [150, 256, 1024, 20_000, 1 << 20, usize::MAX] {
            let shares = Descriptors::of(limit);
            let sum = OWN + usize::from(shares.store) + shares.peers + shares.clients;
            assert!(sum <= limit, "{shares:?} of {limit}");
            assert!(shares.store >= 64 && shares.peers >= 16);
        }
        assert_eq!(Descriptors::of(150).clients, 4);
        assert_eq!(Descriptors::of(1024).clients, 576);
    }
}
