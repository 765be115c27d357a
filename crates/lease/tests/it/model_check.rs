//! Random scripts against a list of leases that is searched from end to end.

use lease::{Lessor, Options, Renewal, TTL_MAX};
use model::{LeaseId, Rejection};
use proptest::prelude::*;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const RETRY: Duration = Duration::from_secs(3);
const EVERYTHING: usize = usize::MAX;

#[derive(Clone, Debug)]
enum Op {
    Grant(i64, i64),
    Revoke(i64),
    Attach(i64, u8),
    Detach(i64, u8),
    Checkpoint(i64, i64),
    Promote(Duration),
    Demote,
    Renew(i64),
    Expired(usize),
    TimeToLive(i64),
    Advance(Duration),
}

fn op() -> impl Strategy<Value = Op> {
    let id = 1..6i64;
    prop_oneof![
        4 => (id.clone(), prop_oneof![9 => 1..20i64, 1 => Just(TTL_MAX)]).prop_map(|(id, ttl)| Op::Grant(id, ttl)),
        2 => id.clone().prop_map(Op::Revoke),
        3 => (id.clone(), 0..4u8).prop_map(|(id, key)| Op::Attach(id, key)),
        2 => (id.clone(), 0..4u8).prop_map(|(id, key)| Op::Detach(id, key)),
        1 => (id.clone(), 0..25i64).prop_map(|(id, rest)| Op::Checkpoint(id, rest)),
        1 => (0..3000u64).prop_map(|millis| Op::Promote(Duration::from_millis(millis))),
        1 => Just(Op::Demote),
        6 => id.clone().prop_map(Op::Renew),
        6 => prop_oneof![3 => Just(EVERYTHING), 1 => 1..3usize].prop_map(Op::Expired),
        2 => id.prop_map(Op::TimeToLive),
        8 => (0..4000u64).prop_map(|millis| Op::Advance(Duration::from_millis(millis))),
    ]
}

#[derive(Clone, Debug)]
struct Lease {
    ttl: i64,
    rest: i64,
    deadline: Option<Duration>,
    not_again_before: Duration,
    keys: BTreeSet<u8>,
}

#[derive(Default)]
struct Model {
    leases: BTreeMap<i64, Lease>,
    primary: bool,
    now: Duration,
}

impl Model {
    fn look_at_the_clock(&mut self) {
        if self.primary {
            for lease in self.leases.values_mut() {
                lease
                    .deadline
                    .get_or_insert(self.now + Duration::from_secs(lease.ttl as u64));
            }
        }
    }

    fn promote(&mut self, extend: Duration) {
        self.primary = true;
        for lease in self.leases.values_mut() {
            let ttl = if lease.rest > 0 { lease.rest } else { lease.ttl };
            lease.deadline = Some(self.now + extend + Duration::from_secs(ttl as u64));
            lease.not_again_before = Duration::ZERO;
        }
    }

    fn demote(&mut self) {
        self.primary = false;
        for lease in self.leases.values_mut() {
            lease.deadline = None;
        }
    }

    fn due(&self) -> BTreeSet<i64> {
        let due = |lease: &Lease| {
            lease.deadline.is_some_and(|deadline| deadline <= self.now) && lease.not_again_before <= self.now
        };
        self.leases
            .iter()
            .filter(|(_, lease)| due(lease))
            .map(|(id, _)| *id)
            .collect()
    }
}

fn step(model: &mut Model, lessor: &mut Lessor, op: &Op) {
    match *op {
        Op::Grant(id, ttl) => {
            let granted = lessor.grant(LeaseId(id), ttl);
            match model.leases.entry(id) {
                Entry::Occupied(_) => assert_eq!(granted, Err(Rejection::LeaseExists)),
                Entry::Vacant(place) => {
                    assert_eq!(granted.map(|lease| lease.ttl), Ok(ttl));
                    place.insert(Lease {
                        ttl,
                        rest: 0,
                        deadline: None,
                        not_again_before: Duration::ZERO,
                        keys: BTreeSet::new(),
                    });
                }
            }
        }
        Op::Revoke(id) => {
            let keys = lessor
                .revoke(LeaseId(id))
                .map(|keys| keys.iter().map(|key| key[0]).collect());
            let expected = model
                .leases
                .remove(&id)
                .map(|lease| lease.keys.into_iter().collect::<Vec<u8>>());
            assert_eq!(keys, expected.ok_or(Rejection::LeaseNotFound));
        }
        Op::Attach(id, key) => {
            let attached = lessor.attach(LeaseId(id), &[key]);
            assert_eq!(attached.is_ok(), model.leases.contains_key(&id));
            if let Some(lease) = model.leases.get_mut(&id) {
                lease.keys.insert(key);
            }
        }
        Op::Detach(id, key) => {
            let hung = model
                .leases
                .get_mut(&id)
                .is_some_and(|lease| lease.keys.remove(&key));
            assert_eq!(lessor.detach(LeaseId(id), &[key]), hung);
        }
        Op::Checkpoint(id, rest) => {
            let stored = lessor
                .checkpoint(LeaseId(id), rest)
                .map(|lease| lease.remaining_ttl);
            let expected = model.leases.get_mut(&id).map(|lease| {
                lease.rest = rest.min(lease.ttl);
                lease.rest
            });
            assert_eq!(stored, expected);
        }
        Op::Promote(extend) => {
            model.promote(extend);
            lessor.promote(model.now, extend);
        }
        Op::Demote => {
            model.demote();
            lessor.demote();
        }
        Op::Renew(id) => {
            model.look_at_the_clock();
            let now = model.now;
            let expected = match model.leases.get_mut(&id) {
                _ if !model.primary => Renewal::NotPrimary,
                None => Renewal::NotFound,
                Some(lease) if lease.deadline.is_some_and(|deadline| deadline <= now) => Renewal::Expired,
                Some(lease) => {
                    lease.deadline = Some(now + Duration::from_secs(lease.ttl as u64));
                    lease.not_again_before = Duration::ZERO;
                    Renewal::Renewed {
                        ttl: lease.ttl,
                        clear_checkpoint: lease.rest > 0,
                    }
                }
            };
            assert_eq!(lessor.renew(LeaseId(id), now), expected);
        }
        Op::Expired(max) => {
            model.look_at_the_clock();
            let found: Vec<i64> = lessor
                .expired(model.now, max)
                .into_iter()
                .map(|id| id.0)
                .collect();
            let due = model.due();
            assert_eq!(found.len(), due.len().min(max));
            for id in &found {
                assert!(due.contains(id), "{id} reported too early");
                if let Some(lease) = model.leases.get_mut(id) {
                    lease.not_again_before = model.now + RETRY;
                }
            }
        }
        Op::TimeToLive(id) => {
            let found = lessor.time_to_live(LeaseId(id), model.now);
            let lease = model.leases.get(&id);
            assert_eq!(found.map(|found| found.granted), lease.map(|lease| lease.ttl));
            let remaining = found.and_then(|found| found.remaining);
            let expected = lease.filter(|_| model.primary).map(|lease| match lease.deadline {
                Some(deadline) => deadline.saturating_sub(model.now),
                None if lease.rest > 0 => Duration::from_secs(lease.rest as u64),
                None => Duration::from_secs(lease.ttl as u64),
            });
            assert_eq!(remaining, expected);
        }
        Op::Advance(by) => model.now += by,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_lessor_agrees_with_a_naive_list(ops in prop::collection::vec(op(), 1..120)) {
        let mut model = Model::default();
        let mut lessor = Lessor::new(Options { retry_interval: RETRY, ..Options::default() });
        for op in &ops {
            step(&mut model, &mut lessor, op);
        }
        for (id, lease) in &model.leases {
            let keys: Vec<u8> = lessor.keys(LeaseId(*id)).unwrap().iter().map(|key| key[0]).collect();
            prop_assert_eq!(keys, lease.keys.iter().copied().collect::<Vec<u8>>());
        }
        prop_assert_eq!(lessor.len(), model.leases.len());
    }
}
