//! A million leases: a leader change, and the storm of expiries that follows.

use lease::{Lessor, Options, Renewal, SPREAD_PER_SECOND};
use model::LeaseId;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn lessor_with(count: i64, ttl: i64) -> Lessor {
    let mut lessor = Lessor::new(Options::default());
    for id in 1..=count {
        lessor.grant(LeaseId(id), ttl).unwrap();
    }
    lessor
}

#[test]
fn a_million_leases_expire_in_order_and_each_once() {
    let mut lessor = lessor_with(0, 0);
    lessor.promote(Duration::ZERO, Duration::ZERO);
    for id in 1..=1_000_000i64 {
        lessor.grant(LeaseId(id), 60 + id % 10).unwrap();
        if id % 10 == 0 {
            lessor.attach(LeaseId(id), &id.to_be_bytes()).unwrap();
        }
    }
    assert!(lessor.expired(Duration::from_secs(59), 1000).is_empty());

    // The clock was first looked at in second 59; renewed leases live on although their timers ring.
    for id in (1..=1_000_000i64).step_by(2) {
        let renewed = lessor.renew(LeaseId(id), Duration::from_secs(110));
        assert!(matches!(renewed, Renewal::Renewed { .. }));
    }
    let (mut revoked, mut now) = (0, Duration::from_secs(119));
    while revoked < 500_000 {
        let batch = lessor.expired(now, 1000);
        for id in &batch {
            assert_eq!(id.0 % 2, 0, "renewed leases must live");
            lessor.revoke(*id).unwrap();
        }
        revoked += batch.len();
        if batch.is_empty() {
            now += SECOND;
        }
    }
    assert_eq!(now, Duration::from_secs(59 + 68));
    assert_eq!(lessor.len(), 500_000);
}

#[test]
fn a_new_leader_spreads_deadlines_that_pile_up() {
    let mut lessor = lessor_with(10_000, 60);
    lessor.promote(Duration::ZERO, SECOND);
    let mut last = 0;
    for second in 0..=61 + 10_000 / SPREAD_PER_SECOND as u64 {
        let expired = lessor.expired(Duration::from_secs(second), usize::MAX);
        assert!(expired.len() <= SPREAD_PER_SECOND);
        assert!(second >= 61 || expired.is_empty(), "nothing may expire early");
        for id in expired {
            lessor.revoke(id).unwrap();
            last = second;
        }
    }
    assert!(lessor.is_empty());
    assert_eq!(last, 61 + 13);
}

#[test]
fn below_a_thousand_leases_nothing_is_spread() {
    let mut lessor = lessor_with(999, 60);
    lessor.promote(Duration::ZERO, SECOND);
    assert_eq!(lessor.expired(61 * SECOND, usize::MAX).len(), 999);
}

#[test]
fn what_expires_later_does_not_starve_behind_leases_that_nobody_revokes() {
    let mut lessor = lessor_with(0, 0);
    lessor.promote(Duration::ZERO, Duration::ZERO);
    for id in 1..=100 {
        lessor.grant(LeaseId(id), 1).unwrap();
    }
    lessor.expired(Duration::ZERO, 10);
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..10 {
        seen.extend(lessor.expired(SECOND + round * Duration::from_millis(100), 10));
    }
    assert_eq!(seen.len(), 100);
}

#[test]
fn revoked_leases_with_far_deadlines_leave_no_timers_behind() {
    let mut lessor = lessor_with(0, 0);
    lessor.promote(Duration::ZERO, Duration::ZERO);
    for id in 1..=100_000 {
        lessor.grant(LeaseId(id), 9_000_000_000).unwrap();
        lessor.renew(LeaseId(id), SECOND);
        lessor.revoke(LeaseId(id)).unwrap();
    }
    assert!(lessor.timers() < 2000);
}
