//! Leases. Those that live long enough are never seen to expire; the others are revoked at once, for two servers do not
//! let them expire at the same moment.

use super::dice::Dice;
use crate::step::Step;
use model::pb::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest,
};

/// Seconds that no history takes.
const LONG: &[i64] = &[3600, 86_400, 9_000_000_000, 8_999_999_999];
const TOO_LONG: &[i64] = &[9_000_000_001, i64::MAX];
const SHORT: &[i64] = &[i64::MIN, -1, 0, 1, 2];

pub(super) fn any(dice: &mut Dice) -> Vec<Step> {
    let id = dice.lease();
    match dice.below(16) {
        0..=4 => vec![grant(id, dice.pick(LONG))],
        5 => vec![grant(id, dice.pick(TOO_LONG))],
        6 => short(dice),
        7..=8 => vec![revoke(id)],
        9 => vec![Step::new("Lease/LeaseKeepAlive", &LeaseKeepAliveRequest { id })],
        10 => vec![Step::new("Lease/LeaseLeases", &LeaseLeasesRequest {})],
        11 => vec![time_to_live(0, dice.one_in(2))],
        _ => vec![time_to_live(id, dice.one_in(2))],
    }
}

/// Granted under a number of its own, and gone again.
fn short(dice: &mut Dice) -> Vec<Step> {
    let id = 1000 + dice.below(1 << 40);
    vec![grant(id, dice.pick(SHORT)), revoke(id)]
}

fn grant(id: i64, ttl: i64) -> Step {
    Step::new("Lease/LeaseGrant", &LeaseGrantRequest { ttl, id })
}

fn revoke(id: i64) -> Step {
    Step::new("Lease/LeaseRevoke", &LeaseRevokeRequest { id })
}

fn time_to_live(id: i64, keys: bool) -> Step {
    Step::new("Lease/LeaseTimeToLive", &LeaseTimeToLiveRequest { id, keys })
}

/// Every lease.
pub(super) fn everything() -> Vec<Step> {
    let mut steps = vec![Step::new("Lease/LeaseLeases", &LeaseLeasesRequest {})];
    steps.extend((1..=5).map(|id| time_to_live(id, true)));
    steps
}
