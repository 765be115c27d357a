//! TTLs that can be asked for.

use std::time::Duration;

/// Longest TTL that can be asked for, in seconds (etcd server/lease/lessor.go).
pub const TTL_MAX: i64 = 9_000_000_000;

/// Smallest TTL in seconds that makes sense: one and a half election timeouts, so that leases outlive an election
/// (etcd server/etcdserver/server.go).
pub fn ttl_min(election_timeout: Duration) -> i64 {
    let millis = election_timeout.as_millis().min(i64::MAX as u128 / 3) as i64;
    (3 * millis).div_euclid(2000) + i64::from((3 * millis) % 2000 != 0)
}

/// The TTL to propose for a request: at least `min`. Done before proposing, not in [`crate::Lessor::grant`]: members with
/// different election timeouts would otherwise store different leases for the same log entry. One above [`TTL_MAX`] stays
/// as it is, to be refused when it is applied: alarms refuse before that.
pub fn raise_ttl(ttl: i64, min: i64) -> i64 {
    ttl.max(min).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_ttl_outlives_an_election() {
        for (millis, seconds) in [(1000, 2), (100, 1), (1334, 3), (2000, 3), (50_000, 75)] {
            assert_eq!(ttl_min(Duration::from_millis(millis)), seconds, "{millis} ms");
        }
        assert!(ttl_min(Duration::MAX) > 0);
    }

    #[test]
    fn a_ttl_is_raised_to_the_least() {
        assert_eq!(raise_ttl(-3, 2), 2);
        assert_eq!(raise_ttl(0, 0), 1);
        assert_eq!(raise_ttl(TTL_MAX, 2), TTL_MAX);
        assert_eq!(raise_ttl(TTL_MAX + 1, 2), TTL_MAX + 1);
    }
}
