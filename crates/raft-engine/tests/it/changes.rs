//! The rules of configuration changes are written down twice: here and in the `raft` crate. Both must agree.

use bytes::Bytes;
use proptest::prelude::*;
use raft_engine::consensus::{AppliedChange, Core, CoreOptions, Event, HardState, Remembered};
use raft_engine::{Applied, Change, ChangeKind, ChangeStep, Configuration, Transition, Verdict};
use wal::Entry;

use crate::cluster::options;

fn change() -> impl Strategy<Value = Change> {
    let kind = prop_oneof![
        Just(ChangeKind::AddVoter),
        Just(ChangeKind::AddLearner),
        Just(ChangeKind::Remove),
        Just(ChangeKind::Update),
    ];
    let step = (kind, 0..6u64).prop_map(|(kind, member)| ChangeStep { kind, member });
    let transition = prop_oneof![3 => Just(Transition::Auto), 1 => Just(Transition::Implicit), 1 => Just(Transition::Explicit)];
    (proptest::collection::vec(step, 0..4), transition, 0..3u64).prop_map(|(steps, transition, id)| {
        let id = if steps.len() == 1 && transition == Transition::Auto {
            id
        } else {
            0
        };
        Change {
            id,
            steps,
            transition,
            context: Bytes::from_static(b"context"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_allowed_change_means_the_same_to_raft(changes in proptest::collection::vec(change(), 1..12)) {
        // The core compares each outcome with raft's and breaks if they differ.
        let entries = (1..=changes.len() as u64).map(|index| Entry { kind: 0, index, term: 1, data: Bytes::new() });
        let remembered = Remembered {
            entries: entries.collect(),
            hard_state: HardState { term: 1, vote: 0, commit: changes.len() as u64 },
            ..Remembered::default()
        };
        let mut core = Core::new(CoreOptions { id: 9, ..options() }, remembered).unwrap();
        while core.poll().is_some() {}
        let mut configuration = Configuration::default();
        for (change, index) in changes.into_iter().zip(1..) {
            let next = configuration.changed(&change);
            let verdict = if next.is_ok() { Verdict::Accepted } else { Verdict::Refused };
            configuration = next.unwrap_or(configuration);
            let changes = vec![AppliedChange { index, change, verdict, configuration: configuration.clone() }];
            core.handle(Event::Applied { index, changes }).unwrap();
            let members: Vec<u64> = core.status().peers.iter().map(|peer| peer.id).collect();
            prop_assert_eq!(members, configuration.members());

            // A restart with this configuration is possible, and the stored form is faithful.
            prop_assert_eq!(Configuration::decode(&configuration.encode()), Some(configuration.clone()));
            let applied = Applied { index: 7, term: 1, configuration: configuration.clone() };
            let remembered = Remembered { start: applied.clone(), applied, ..Remembered::default() };
            Core::new(CoreOptions { id: 9, ..options() }, remembered).unwrap();
        }
    }
}
