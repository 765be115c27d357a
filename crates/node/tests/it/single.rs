//! A member alone.

use crate::cluster::{Cluster, eventually, get, get_local, grant, put, put_with_lease, within};
use model::pb::etcdserverpb as pb;
use model::{LeaseId, Rejection, Reply, Request};
use node::{Caller, Error, Handle};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use storage::faulty::{FaultyBackend, Operation};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read() {
    let cluster = Cluster::start(1).await;
    let node = cluster.node(1);
    assert_eq!(put(node, "a", "1").await, Ok(2));
    assert_eq!(put(node, "a", "2").await, Ok(3));
    assert_eq!(get(node, "a").await, Ok(Some("2".into())));
    assert_eq!(get(node, "b").await, Ok(None));

    let header = node.header();
    assert_eq!((header.cluster_id, header.member_id, header.revision), (7, 1, 3));
    let members = node.members(true, &Caller::anonymous()).await.unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(
        (members[0].name.as_str(), members[0].client_urls.len()),
        ("m1", 1)
    );
    eventually("the cluster version", async || {
        node.cluster_version().as_deref() == Some("3.7.0")
    })
    .await;
    let status = node.status(&Caller::anonymous()).unwrap();
    assert_eq!(
        (status.leader, status.errors.len(), status.version.as_str()),
        (1, 0, "3.7.1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_everything_again() {
    let mut cluster = Cluster::start(1).await;
    let lease = grant(cluster.node(1), 3600).await;
    put_with_lease(cluster.node(1), "a", "1", lease).await.unwrap();
    cluster.stop(1).await;

    let node = cluster.run(1, |_| {});
    within(node.ready()).await;
    assert_eq!(get(&node, "a").await, Ok(Some("1".into())));
    assert_eq!(put(&node, "a", "2").await, Ok(3));

    // A crash takes the store back to its last flush; the log has the rest.
    let flushed_never = node.applied();
    cluster.crash(1).await;
    let node = cluster.run(1, |_| {});
    within(node.ready()).await;
    assert_eq!(get(&node, "a").await, Ok(Some("2".into())));
    assert!(node.applied() > flushed_never);
    assert_eq!(node.leases(&Caller::anonymous()), Ok(vec![LeaseId(lease)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_says_so() {
    let mut cluster = Cluster::start(1).await;
    let node = cluster.node(1).clone();
    cluster.stop(1).await;
    assert_eq!(
        put(&node, "a", "1").await,
        Err(Error::Rejected(Rejection::Stopped))
    );
    assert_eq!(get(&node, "a").await, Err(Error::Rejected(Rejection::Stopped)));
    assert_eq!(within(node.stopped()).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_lease_takes_its_keys() {
    let cluster = Cluster::start(1).await;
    let node = cluster.node(1);
    let lease = grant(node, 1).await;
    put_with_lease(node, "mortal", "1", lease).await.unwrap();
    let kept = grant(node, 1).await;
    put_with_lease(node, "kept", "1", kept).await.unwrap();
    let caller = Caller::anonymous();
    eventually("the expiry", async || {
        assert_eq!(within(node.keep_alive(LeaseId(kept), &caller)).await, Ok(1));
        get_local(node, "mortal").await.is_none()
    })
    .await;
    assert_eq!(get_local(node, "kept").await, Some("1".into()));
    assert_eq!(within(node.keep_alive(LeaseId(lease), &caller)).await, Ok(0));

    let asked = |id| pb::LeaseTimeToLiveRequest { id, keys: true };
    let gone = within(node.time_to_live(asked(lease), &caller)).await.unwrap();
    assert_eq!((gone.ttl, gone.granted_ttl), (-1, 0));
    let there = within(node.time_to_live(asked(kept), &caller)).await.unwrap();
    assert_eq!(
        (there.granted_ttl, &there.keys[..]),
        (1, &[bytes::Bytes::from("kept")][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_only_read_take_no_place_in_the_log() {
    let cluster = Cluster::start(1).await;
    let node = cluster.node(1);
    put(node, "a", "1").await.unwrap();
    eventually("the cluster version", async || node.cluster_version().is_some()).await;
    let before = node.applied();
    let range = pb::RequestOp {
        request: Some(pb::request_op::Request::RequestRange(pb::RangeRequest {
            key: "a".into(),
            ..Default::default()
        })),
    };
    let request = pb::TxnRequest {
        success: vec![range],
        ..Default::default()
    };
    let response = within(node.txn(request.clone(), &Caller::anonymous()))
        .await
        .unwrap();
    assert!(response.succeeded && response.responses.len() == 1);
    assert_eq!(node.applied(), before);

    let nested = pb::RequestOp {
        request: Some(pb::request_op::Request::RequestTxn(request)),
    };
    let request = pb::TxnRequest {
        success: vec![nested],
        ..Default::default()
    };
    within(node.txn(request, &Caller::anonymous())).await.unwrap();
    assert!(node.applied() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_see_what_is_written() {
    let cluster = Cluster::start(1).await;
    let node = cluster.node(1);
    let (control, mut responses) = node.watch_hub().open(watch::StreamOptions::default());
    control.create(&pb::WatchCreateRequest {
        key: "a".into(),
        ..Default::default()
    });
    let mut next = async || {
        within(std::future::poll_fn(|cx| responses.poll_next(cx)))
            .await
            .unwrap()
    };
    assert!(next().await.created);
    put(node, "a", "1").await.unwrap();
    put(node, "b", "1").await.unwrap();
    put(node, "a", "2").await.unwrap();
    assert_eq!(next().await.header.unwrap().revision, 2);
    assert_eq!(next().await.header.unwrap().revision, 4);
    drop(control);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_raises_the_alarm_and_lets_nothing_in() {
    let cluster = Cluster::start_with(1, |options| options.quota_bytes = Some(200_000)).await;
    let node = cluster.node(1);
    let value = "x".repeat(20_000);
    let mut refused = None;
    for _ in 0..20 {
        if let Err(error) = put(node, "a", &value).await {
            refused = Some(error);
            break;
        }
    }
    assert_eq!(refused, Some(Error::Rejected(Rejection::NoSpace)));
    eventually("the alarm", async || node.alarms().no_space()).await;
    assert_eq!(
        put(node, "b", "1").await,
        Err(Error::Rejected(Rejection::NoSpace))
    );

    // Room is made by compaction and defragmentation; the alarm is for somebody to clear.
    let caller = Caller::anonymous();
    let request = pb::CompactionRequest {
        revision: node.header().revision,
        physical: true,
    };
    within(node.compact(request, &caller)).await.unwrap();
    within(node.defragment(&caller)).await.unwrap();
    assert_eq!(
        put(node, "b", "1").await,
        Err(Error::Rejected(Rejection::NoSpace))
    );
    let request = pb::AlarmRequest {
        action: pb::alarm_request::AlarmAction::Deactivate as i32,
        member_id: 1,
        alarm: pb::AlarmType::Nospace as i32,
    };
    within(node.alarm(request, &caller)).await.unwrap();
    put(node, "b", "1").await.unwrap();
}

/// A pause between two steps of a compaction that a stop has to sit out.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_pause_of_a_compaction() {
    let mut cluster = Cluster::start_with(1, |options| {
        options.compaction_batch = 4;
        options.compaction_pause = Duration::from_secs(3600);
    })
    .await;
    let caller = Caller::anonymous();
    let node = cluster.node(1).clone();
    for _ in 0..10 {
        put(&node, "a", "x").await.unwrap();
    }
    let in_use = |node: &Handle| node.status(&caller).unwrap().db_size_in_use;
    let before = in_use(&node);
    let request = pb::CompactionRequest {
        revision: 8,
        physical: false,
    };
    within(node.compact(request, &caller)).await.unwrap();
    eventually("a first step", async || in_use(&node) < before).await;
    cluster.stop(1).await;
}

/// A threshold that is ignored, or one that is compared with the whole size instead of with what can be freed.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_gives_back_space_where_enough_of_it_is_free() {
    let mut cluster = Cluster::start(1).await;
    let caller = Caller::anonymous();
    let node = cluster.node(1).clone();
    for _ in 0..20 {
        put(&node, "a", &"x".repeat(1000)).await.unwrap();
    }
    let request = pb::CompactionRequest {
        revision: node.header().revision,
        physical: true,
    };
    within(node.compact(request, &caller)).await.unwrap();
    let free = |node: &Handle| {
        let status = node.status(&caller).unwrap();
        status.db_size - status.db_size_in_use
    };
    let freeable = free(&node);
    assert!(freeable > 15_000, "{freeable}");

    cluster.stop(1).await;
    let node = cluster.run(1, |options| {
        options.reclaim_at_start = Some(freeable as u64 + 10_000)
    });
    within(node.ready()).await;
    assert!(free(&node) >= freeable, "too little was free");

    cluster.stop(1).await;
    let node = cluster.run(1, |options| options.reclaim_at_start = Some(15_000));
    eventually("the space to be given back", async || free(&node) < 15_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused() {
    let cluster = Cluster::start(1).await;
    let value = "x".repeat(1_572_864);
    let refused = put(cluster.node(1), "a", &value).await;
    assert_eq!(refused, Err(Error::Rejected(Rejection::RequestTooLarge)));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in_and_get_what_is_theirs() {
    let cluster = Cluster::start(1).await;
    let node = cluster.node(1);
    let nobody = Caller::anonymous();
    for name in ["root", "ada"] {
        let request = pb::AuthUserAddRequest {
            name: name.to_owned(),
            hashed_password: within(node.hash_password(format!("{name}'s"))).await.unwrap(),
            ..Default::default()
        };
        within(node.propose(Request::AuthUserAdd(request), &nobody))
            .await
            .unwrap();
    }
    let grant = pb::AuthUserGrantRoleRequest {
        user: "root".into(),
        role: "root".into(),
    };
    within(node.propose(Request::AuthUserGrantRole(grant), &nobody))
        .await
        .unwrap();
    within(node.propose(Request::AuthEnable(pb::AuthEnableRequest {}), &nobody))
        .await
        .unwrap();

    assert_eq!(
        put(node, "a", "1").await,
        Err(Error::Rejected(Rejection::UserEmpty))
    );
    let log_in = async |name: &str, password: &str| {
        let request = pb::AuthenticateRequest {
            name: name.to_owned(),
            password: password.to_owned(),
        };
        within(node.authenticate(request)).await
    };
    let failed = Err(Error::Rejected(Rejection::AuthFailed));
    assert_eq!(log_in("ada", "wrong").await.map(|_| ()), failed);
    assert_eq!(log_in("nobody", "wrong").await.map(|_| ()), failed);
    let token = log_in("root", "root's").await.unwrap().token;
    let root = within(node.identify(&token)).await.unwrap();
    assert_eq!(root.username, "root");
    let request = Request::Put(pb::PutRequest {
        key: "a".into(),
        ..Default::default()
    });
    assert!(matches!(
        within(node.propose(request.clone(), &root)).await,
        Ok(Reply::Put(_))
    ));
    let token = log_in("ada", "ada's").await.unwrap().token;
    let ada = within(node.identify(&token)).await.unwrap();
    let denied = Err(Error::Rejected(Rejection::PermissionDenied));
    assert_eq!(within(node.propose(request, &ada)).await, denied);
    assert_eq!(
        node.authorize_root(&ada),
        Err(Error::Rejected(Rejection::PermissionDenied))
    );
    assert_eq!(node.authorize_user(&ada), Ok(()));
    let made_up = within(node.identify("abcdefghijklmnop.1")).await;
    assert_eq!(made_up, Err(Error::Rejected(Rejection::InvalidAuthToken)));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_etcds_names() {
    let registry = prometheus::Registry::new();
    let given = registry.clone();
    let cluster = Cluster::start_with(1, move |options| options.registry = given.clone()).await;
    let node = cluster.node(1);
    put(node, "a", "1").await.unwrap();
    put(node, "a", "2").await.unwrap();
    eventually("the cluster version", async || node.cluster_version().is_some()).await;
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    for line in [
        "etcd_mvcc_put_total 2",
        "etcd_debugging_mvcc_keys_total 1",
        "etcd_debugging_mvcc_current_revision 3",
        "etcd_server_has_leader 1",
        "etcd_server_is_leader 1",
        "etcd_server_is_learner 0",
        "etcd_server_version{server_version=\"3.7.1\"} 1",
        "etcd_cluster_version{cluster_version=\"3.7\"} 1",
        "etcd_server_id{server_id=\"1\"} 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing in\n{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_all_get_their_own_revision() {
    let cluster = Cluster::start(1).await;
    let node = cluster.node(1);
    let writers = (0..200).map(|writer| {
        let node = node.clone();
        tokio::spawn(async move { put(&node, &format!("k{writer}"), "v").await.unwrap() })
    });
    let mut revisions = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        revisions.push(within(writer).await.unwrap());
    }
    revisions.sort();
    assert_eq!(revisions, (2..202).collect::<Vec<_>>());
    tokio::time::timeout(Duration::from_secs(1), node.wait_applied(node.applied()))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_ends_the_node_and_nothing_is_acknowledged() {
    let faulty: Arc<OnceLock<Arc<FaultyBackend>>> = Arc::default();
    let slot = faulty.clone();
    let mut cluster = Cluster::start_with(1, move |options| {
        let (open, slot) = (options.open_store.clone(), slot.clone());
        options.open_store = Arc::new(move |path| {
            let store = Arc::new(FaultyBackend::new(open(path)?));
            let _ = slot.set(store.clone());
            Ok(store)
        });
    })
    .await;
    let node = cluster.node(1).clone();
    put(&node, "a", "1").await.unwrap();
    // Nothing else may be the first to find the store broken.
    eventually("the cluster version", async || node.cluster_version().is_some()).await;
    faulty.get().unwrap().fail_from(Operation::Write, 1);
    let stopped = Err(Error::Rejected(Rejection::Stopped));
    assert_eq!(put(&node, "a", "2").await, stopped);
    assert!(matches!(within(node.stopped()).await, Err(Error::Fault(_))));
    assert_eq!(put(&node, "a", "3").await, stopped);
    assert_eq!(
        get(&node, "a").await.map(|_| ()),
        Err(Error::Rejected(Rejection::Stopped))
    );

    // The log has what was committed; a store that works again gets it from there.
    cluster.stop(1).await;
    let node = cluster.run(1, |_| {});
    within(node.ready()).await;
    assert_eq!(get(&node, "a").await, Ok(Some("2".into())));
}
