//! Random changes; what must hold after each of them.

use bytes::Bytes;
use membership::{Change, Cluster, Member, RowFamily};
use model::{ClusterId, MemberId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn url() -> impl Strategy<Value = String> {
    (0..6u8).prop_map(|host| format!("http://h{host}:1"))
}

fn change() -> impl Strategy<Value = Change> {
    let id = (0..8u64).prop_map(MemberId);
    prop_oneof![
        3 => (id.clone(), url(), any::<bool>()).prop_map(|(id, url, is_learner)| Change::Add(Member {
            id,
            peer_urls: vec![url],
            is_learner,
            name: String::new(),
            client_urls: Vec::new(),
        })),
        2 => id.clone().prop_map(Change::Remove),
        2 => id.clone().prop_map(Change::Promote),
        1 => (id, prop::collection::vec(url(), 1..3)).prop_map(|(id, urls)| Change::Update(id, urls)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn rows_tell_the_whole_story_and_the_removed_stay_away(changes in prop::collection::vec(change(), 1..60)) {
        let mut cluster = Cluster::new(ClusterId(1));
        let mut rows: BTreeMap<Bytes, Bytes> = BTreeMap::new();
        let mut removed = BTreeSet::new();
        for change in changes {
            let before = cluster.clone();
            let had_voters = before.voters().count() > 0;
            let checked = cluster.check(&change, Some(1));
            let applied = cluster.apply(&change, Some(1));
            prop_assert_eq!(checked, applied.as_ref().map(|_| ()).map_err(|refused| *refused));
            match applied {
                Ok(written) => {
                    if let Change::Remove(id) = change {
                        removed.insert(id);
                    }
                    for row in written {
                        prop_assert_eq!(row.family, RowFamily::Members);
                        match row.value {
                            Some(value) => rows.insert(row.key, value),
                            None => rows.remove(&row.key),
                        };
                    }
                }
                Err(_) => prop_assert_eq!(&cluster, &before),
            }
            prop_assert_eq!(&Cluster::load(ClusterId(1), rows.clone(), []).unwrap(), &cluster);
            prop_assert!(cluster.members().all(|member| !removed.contains(&member.id)));
            prop_assert!(cluster.member(MemberId(0)).is_none());
            prop_assert!(!had_voters || cluster.voters().count() > 0);
            prop_assert!(cluster.learners().count() <= 1);
            let mut urls = BTreeMap::new();
            for member in cluster.members() {
                for url in &member.peer_urls {
                    prop_assert_eq!(*urls.entry(url).or_insert(member.id), member.id);
                }
            }
        }
    }

    #[test]
    fn stored_rows_and_contexts_of_any_bytes_are_no_panic(key: Vec<u8>, value: Vec<u8>) {
        let row = (Bytes::from(key), Bytes::from(value.clone()));
        let _ = Cluster::load(ClusterId(1), [row.clone()], [row]);
        let _ = Change::decode(membership::ChangeKind::AddVoter, MemberId(1), &value);
        if let Ok(text) = String::from_utf8(value) {
            let _ = membership::InitialCluster::parse(&text);
            let _ = text.parse::<membership::Version>();
        }
    }
}
