//! Clusters.

use crate::cluster::{Cluster, eventually, get, get_local, grant, member, put, put_with_lease, within};
use model::pb::etcdserverpb as pb;
use model::{LeaseId, MemberId, Rejection, Revision};
use node::{Caller, CorruptionChecks, Error};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn every_member_takes_writes_and_reads() {
    let cluster = Cluster::start(3).await;
    for (number, node) in cluster.nodes.values().enumerate() {
        let key = format!("k{number}");
        put(node, &key, "1").await.unwrap();
        for reader in cluster.nodes.values() {
            assert_eq!(get(reader, &key).await, Ok(Some("1".into())));
        }
    }
    let leader = cluster.leader().await;
    eventually("equal hashes", async || {
        let mut hashes = Vec::new();
        for node in cluster.nodes.values() {
            let hash = within(node.hash_kv(Revision(4), &Caller::anonymous())).await;
            hashes.push(hash.map(|hash| hash.hash));
        }
        hashes.iter().all(|hash| hash.is_ok() && *hash == hashes[0])
    })
    .await;
    assert_eq!(leader.members(true, &Caller::anonymous()).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_go_on_when_the_leader_stops() {
    let mut cluster = Cluster::start(3).await;
    let old = cluster.leader().await.member_id();
    put(cluster.node(old.0), "a", "1").await.unwrap();
    cluster.stop(old.0).await;
    let new = cluster.leader().await;
    assert_ne!(new.member_id(), old);
    eventually("a write", async || put(&new, "a", "2").await.is_ok()).await;

    let back = cluster.run(old.0, |_| {});
    within(back.ready()).await;
    assert_eq!(get(&back, "a").await, Ok(Some("2".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_is_handed_over() {
    let cluster = Cluster::start(3).await;
    let caller = Caller::anonymous();
    let old = cluster.leader().await;
    let target = cluster.followers().await[0].member_id();
    let stranger = within(old.move_leader(MemberId(99), &caller)).await;
    assert_eq!(stranger, Err(Error::Rejected(Rejection::BadLeaderTransferee)));
    within(old.move_leader(target, &caller)).await.unwrap();
    eventually("the new leader", async || {
        cluster.leader().await.member_id() == target
    })
    .await;
    let not_leader = within(old.move_leader(target, &caller)).await;
    assert_eq!(not_leader, Err(Error::Rejected(Rejection::NotLeader)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_cut_off_serves_old_data_only_where_that_was_asked_for() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    put(&leader, "a", "1").await.unwrap();
    let lonely = cluster.followers().await[0].clone();
    eventually("replication", async || get_local(&lonely, "a").await.is_some()).await;
    cluster.net.cut_off(lonely.member_id());
    put(&leader, "a", "2").await.unwrap();
    assert_eq!(get_local(&lonely, "a").await, Some("1".into()));

    let read = tokio::spawn({
        let lonely = lonely.clone();
        async move { get(&lonely, "a").await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    cluster.net.heal();
    let read = within(read).await.unwrap();
    let changed = Err(Error::Rejected(Rejection::LeaderChanged));
    assert!(read == Ok(Some("2".into())) || read == changed, "{read:?}");
    eventually("catching up", async || {
        get_local(&lonely, "a").await.as_deref() == Some("2")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_kept_alive_through_any_member_and_survive_their_leader() {
    let mut cluster = Cluster::start(3).await;
    let caller = Caller::anonymous();
    let follower = cluster.followers().await[0].clone();
    let lease = grant(&follower, 2).await;
    put_with_lease(&follower, "a", "1", lease).await.unwrap();
    assert_eq!(within(follower.keep_alive(LeaseId(lease), &caller)).await, Ok(2));
    let asked = pb::LeaseTimeToLiveRequest {
        id: lease,
        keys: true,
    };
    let stands = within(follower.time_to_live(asked, &caller)).await.unwrap();
    assert_eq!((stands.granted_ttl, stands.keys.len()), (2, 1));
    assert!(stands.ttl >= 0);

    let old = cluster.leader().await.member_id();
    cluster.stop(old.0).await;
    let new = cluster.leader().await;
    assert_eq!(get_local(&new, "a").await, Some("1".into()));
    eventually("the expiry", async || get(&new, "a").await == Ok(None)).await;
    assert_eq!(within(new.keep_alive(LeaseId(lease), &caller)).await, Ok(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_grows_by_a_learner_that_is_promoted() {
    let mut cluster = Cluster::start(1).await;
    let caller = Caller::anonymous();
    let first = cluster.node(1).clone();
    put(&first, "a", "1").await.unwrap();

    let added = within(first.member_add(member(2).peer_urls, true, &caller))
        .await
        .unwrap();
    let id = added.member.unwrap().id;
    assert_eq!(added.members.len(), 2);
    let too_many = within(first.member_add(member(3).peer_urls, true, &caller)).await;
    assert_eq!(
        too_many.map(|_| ()),
        Err(Error::Rejected(Rejection::TooManyLearners))
    );
    let early = within(first.member_promote(MemberId(id), &caller)).await;
    assert_eq!(
        early.map(|_| ()),
        Err(Error::Rejected(Rejection::LearnerNotReady))
    );

    let learner = cluster.run_joining(id, added.members);
    within(learner.ready()).await;
    assert!(learner.is_learner());
    assert_eq!(get_local(&learner, "a").await, Some("1".into()));
    let refused = put(&learner, "a", "2").await;
    assert_eq!(refused, Err(Error::Rejected(Rejection::NotSupportedForLearner)));

    eventually("the promotion", async || {
        within(first.member_promote(MemberId(id), &caller)).await.is_ok()
    })
    .await;
    eventually("a voter", async || !learner.is_learner()).await;
    put(&learner, "a", "2").await.unwrap();
    assert_eq!(get(&first, "a").await, Ok(Some("2".into())));
    let voter = within(first.member_promote(MemberId(id), &caller)).await;
    assert_eq!(
        voter.map(|_| ()),
        Err(Error::Rejected(Rejection::MemberNotLearner))
    );

    let urls = vec!["http://elsewhere:2380".to_owned()];
    let updated = within(first.member_update(MemberId(id), urls.clone(), &caller))
        .await
        .unwrap();
    assert_eq!(updated.member.unwrap().peer_urls, urls);

    within(first.member_remove(MemberId(id), &caller)).await.unwrap();
    assert_eq!(within(learner.stopped()).await, Ok(()));
    assert!(learner.is_removed());
    put(&first, "a", "3").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_far_behind_gets_a_snapshot() {
    let small = |options: &mut node::Options| {
        options.snapshot_count = 10;
        options.snapshot_catchup_entries = 5;
    };
    let mut cluster = Cluster::start_with(3, small).await;
    let leader = cluster.leader().await;
    let late = cluster.followers().await[0].clone();
    let id = late.member_id();
    let (control, mut responses) = late.watch_hub().open(watch::StreamOptions::default());
    control.create(&pb::WatchCreateRequest {
        key: "k".into(),
        range_end: "l".into(),
        ..Default::default()
    });
    let mut next = async || {
        within(std::future::poll_fn(|cx| responses.poll_next(cx)))
            .await
            .unwrap()
    };
    assert!(next().await.created);

    cluster.net.cut_off(id);
    let lease = grant(&leader, 3600).await;
    for number in 0..100 {
        put_with_lease(&leader, &format!("k{number}"), "1", lease)
            .await
            .unwrap();
    }
    cluster.net.heal();
    eventually("the snapshot", async || get_local(&late, "k99").await.is_some()).await;
    assert_eq!(late.leases(&Caller::anonymous()), Ok(vec![LeaseId(lease)]));

    // Watchers lost nothing.
    let mut seen = 0;
    while seen < 100 {
        seen += next().await.events.len();
    }
    assert_eq!(seen, 100);

    // The installed store is the one that is there after a restart.
    eventually("a write", async || put(&late, "after", "1").await.is_ok()).await;
    cluster.crash(id.0).await;
    let back = cluster.run(id.0, small);
    within(back.ready()).await;
    assert_eq!(get(&back, "k99").await, Ok(Some("1".into())));
    assert_eq!(get(&back, "after").await, Ok(Some("1".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_is_forced_to_go_on_alone() {
    let mut cluster = Cluster::start(3).await;
    let caller = Caller::anonymous();
    put(cluster.node(2), "a", "1").await.unwrap();
    assert_eq!(get(cluster.node(1), "a").await, Ok(Some("1".into())));
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    let alone = cluster.run(1, |options| options.force_new_cluster = true);
    within(alone.ready()).await;
    let members = within(alone.members(true, &caller)).await.unwrap();
    assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [1]);
    assert_eq!(get(&alone, "a").await, Ok(Some("1".into())));
    put(&alone, "a", "2").await.unwrap();

    // It stays so without being forced again.
    cluster.stop(1).await;
    let alone = cluster.run(1, |_| {});
    within(alone.ready()).await;
    assert_eq!(get(&alone, "a").await, Ok(Some("2".into())));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_requests_fail_in_time() {
    let mut cluster = Cluster::start(3).await;
    let survivor = cluster.leader().await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != survivor.member_id().0).collect();
    put(&survivor, "a", "1").await.unwrap();
    for id in others {
        cluster.stop(id).await;
    }
    let leaderless = async {
        eventually("the end of leadership", async || survivor.leader().is_none()).await;
        put(&survivor, "a", "3").await
    };
    let (write, read, late_write) = tokio::join!(put(&survivor, "a", "2"), get(&survivor, "a"), leaderless);
    let rejected = |rejection| Error::Rejected(rejection);
    let lost = rejected(Rejection::TimeoutConnectionLost);
    let late = rejected(Rejection::Timeout);
    let write = write.unwrap_err();
    assert!(
        write == lost || write == late || write == Error::DeadlineExceeded,
        "{write:?}"
    );
    let read = read.unwrap_err();
    assert!(
        read == rejected(Rejection::LeaderChanged) || read == late,
        "{read:?}"
    );
    assert_eq!(late_write, Err(Error::DeadlineExceeded));
    assert_eq!(get_local(&survivor, "a").await, Some("1".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_other_data_is_told_on() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for number in 0..10 {
        put(&leader, "a", &number.to_string()).await.unwrap();
    }
    let bad = cluster.followers().await[0].member_id();
    eventually("replication", async || {
        get_local(cluster.node(bad.0), "a").await.as_deref() == Some("9")
    })
    .await;
    within(cluster.node(bad.0).check_initial_corruption())
        .await
        .unwrap();
    cluster.stop(bad.0).await;
    cluster.damage(bad.0, b'9');
    let node = cluster.run(bad.0, |_| {});
    within(node.ready()).await;
    assert!(matches!(
        within(node.check_initial_corruption()).await,
        Err(Error::Fault(_))
    ));

    let leader = cluster.leader().await;
    let often = CorruptionChecks {
        periodic: Some(Duration::from_millis(50)),
        compactions: None,
    };
    leader.start_corruption_checks(often);
    eventually("the alarm", async || leader.alarms().corrupt()).await;
    let alarms = leader.alarms().list(pb::AlarmType::Corrupt as i32);
    assert_eq!(
        alarms.iter().map(|alarm| alarm.member_id).collect::<Vec<_>>(),
        [bad.0]
    );
    assert_eq!(
        put(&leader, "a", "1").await,
        Err(Error::Rejected(Rejection::Corrupt))
    );
}
