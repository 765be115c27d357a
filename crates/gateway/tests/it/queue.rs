//! Locks and elections.

use crate::support::{Server, get, put, refusal, within};
use model::pb::etcdserverpb as pb;
use model::pb::v3electionpb::{CampaignRequest, LeaderKey, LeaderRequest, ProclaimRequest, ResignRequest};
use model::pb::v3lockpb::{LockRequest, UnlockRequest};
use std::time::Duration;
use tonic::Code;

async fn lease(server: &Server, id: i64) {
    server
        .lease()
        .await
        .lease_grant(pb::LeaseGrantRequest { ttl: 100, id })
        .await
        .unwrap();
}

/// Resolves when so many keys stand in the queue.
async fn waiting(server: &Server, count: i64) {
    let mut kv = server.kv().await;
    within(async {
        let request = pb::RangeRequest {
            range_end: "q0".into(),
            ..get("q/")
        };
        while kv.range(request.clone()).await.unwrap().into_inner().count < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

fn lock(lease: i64) -> LockRequest {
    LockRequest {
        name: "q".into(),
        lease,
    }
}

#[tokio::test]
async fn a_lock_goes_to_those_who_wait_in_order_of_arrival() {
    let server = Server::start().await;
    for id in 1..=4 {
        lease(&server, id).await;
    }
    let first = server.lock().await.lock(lock(1)).await.unwrap().into_inner();
    assert_eq!(first.key, "q/1");
    assert!(first.header.unwrap().revision > 0);
    let mut waiters = Vec::new();
    for id in 2..=4 {
        let mut client = server.lock().await;
        waiters.push(tokio::spawn(async move {
            client.lock(lock(id)).await.unwrap().into_inner().key
        }));
        waiting(&server, id).await;
    }
    let mut holder = first.key;
    for (waiter, expected) in waiters.into_iter().zip(["q/2", "q/3", "q/4"]) {
        assert!(!waiter.is_finished());
        server
            .lock()
            .await
            .unlock(UnlockRequest { key: holder })
            .await
            .unwrap();
        holder = within(waiter).await.unwrap();
        assert_eq!(holder, expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_lock_is_re_entrant_by_lease_and_ends_with_it() {
    let server = Server::start().await;
    lease(&server, 1).await;
    lease(&server, 2).await;
    let mut client = server.lock().await;
    for _ in 0..2 {
        assert_eq!(client.lock(lock(1)).await.unwrap().into_inner().key, "q/1");
    }
    let mut other = server.lock().await;
    let waiter = tokio::spawn(async move { other.lock(lock(2)).await });
    waiting(&server, 2).await;
    server
        .lease()
        .await
        .lease_revoke(pb::LeaseRevokeRequest { id: 1 })
        .await
        .unwrap();
    assert_eq!(within(waiter).await.unwrap().unwrap().into_inner().key, "q/2");
    server.stop().await;
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_no_key_behind() {
    let server = Server::start().await;
    lease(&server, 1).await;
    lease(&server, 2).await;
    server.lock().await.lock(lock(1)).await.unwrap();
    let mut other = server.lock().await;
    let waiter = tokio::spawn(async move { other.lock(lock(2)).await });
    waiting(&server, 2).await;
    waiter.abort();
    let mut kv = server.kv().await;
    within(async {
        while kv.range(get("q/2")).await.unwrap().into_inner().count > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_waiter_whose_lease_has_ended_is_told() {
    let server = Server::start().await;
    lease(&server, 1).await;
    lease(&server, 2).await;
    let held = server.lock().await.lock(lock(1)).await.unwrap().into_inner();
    let mut other = server.lock().await;
    let waiter = tokio::spawn(async move { other.lock(lock(2)).await });
    waiting(&server, 2).await;
    server
        .lease()
        .await
        .lease_revoke(pb::LeaseRevokeRequest { id: 2 })
        .await
        .unwrap();
    server
        .lock()
        .await
        .unlock(UnlockRequest { key: held.key })
        .await
        .unwrap();
    assert_eq!(
        refusal(within(waiter).await.unwrap()),
        (Code::Unknown, "mutex: session is expired".into())
    );
    let unknown = refusal(server.lock().await.lock(lock(99)).await);
    assert_eq!(
        unknown,
        (Code::Unknown, "etcdserver: requested lease not found".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn an_election_passes_from_one_to_the_next() {
    let server = Server::start().await;
    lease(&server, 1).await;
    lease(&server, 2).await;
    let campaign = |lease: i64, value: &'static str| CampaignRequest {
        name: "q".into(),
        lease,
        value: value.into(),
    };
    let mut client = server.election().await;
    let name = || LeaderRequest { name: "q".into() };
    assert_eq!(
        refusal(client.leader(name()).await),
        (Code::Unknown, "election: no leader".into())
    );

    let mut observer = server
        .election()
        .await
        .observe(name())
        .await
        .unwrap()
        .into_inner();
    let first = client
        .campaign(campaign(1, "one"))
        .await
        .unwrap()
        .into_inner()
        .leader
        .unwrap();
    assert_eq!(
        (&first.name[..], &first.key[..], first.lease),
        (&b"q"[..], &b"q/1"[..], 1)
    );
    let seen = within(observer.message()).await.unwrap().unwrap();
    assert_eq!(seen.kv.unwrap().value, "one");

    let mut other = server.election().await;
    let waiter = tokio::spawn(async move { other.campaign(campaign(2, "two")).await });
    waiting(&server, 2).await;
    let proclaim = ProclaimRequest {
        leader: Some(first.clone()),
        value: "one again".into(),
    };
    client.proclaim(proclaim.clone()).await.unwrap();
    let seen = within(observer.message()).await.unwrap().unwrap();
    assert_eq!(seen.kv.unwrap().value, "one again");
    let leader = client.leader(name()).await.unwrap().into_inner();
    assert_eq!(leader.kv.unwrap().value, "one again");

    client
        .resign(ResignRequest {
            leader: Some(first.clone()),
        })
        .await
        .unwrap();
    within(waiter).await.unwrap().unwrap();
    let seen = within(observer.message()).await.unwrap().unwrap();
    assert_eq!(seen.kv.unwrap().value, "two");
    assert_eq!(
        refusal(client.proclaim(proclaim).await),
        (Code::Unknown, "election: not leader".into())
    );
    client
        .resign(ResignRequest { leader: Some(first) })
        .await
        .unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_campaign_with_another_value_proclaims_it() {
    let server = Server::start().await;
    lease(&server, 1).await;
    let mut client = server.election().await;
    for value in ["one", "two"] {
        let request = CampaignRequest {
            name: "q".into(),
            lease: 1,
            value: value.into(),
        };
        client.campaign(request).await.unwrap();
        let leader = client
            .leader(LeaderRequest { name: "q".into() })
            .await
            .unwrap()
            .into_inner();
        assert_eq!(leader.kv.unwrap().value, value);
    }
    for refused in [
        refusal(client.resign(ResignRequest { leader: None }).await),
        refusal(client.proclaim(ProclaimRequest::default()).await),
    ] {
        assert_eq!(
            refused,
            (Code::Unknown, "\"leader\" field must be provided".into())
        );
    }
    let stranger = LeaderKey {
        name: "q".into(),
        key: "q/1".into(),
        rev: 1,
        lease: 1,
    };
    let request = ProclaimRequest {
        leader: Some(stranger),
        value: "x".into(),
    };
    assert_eq!(
        refusal(client.proclaim(request).await),
        (Code::Unknown, "election: not leader".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn a_lock_without_lease_gets_one() {
    let server = Server::start().await;
    let mut client = server.etcd().await;
    let held = client.lock("mine", None).await.unwrap();
    assert!(held.key().starts_with(b"mine/"));
    assert_eq!(client.leases().await.unwrap().leases().len(), 1);
    client.unlock(held.key()).await.unwrap();
    server.kv().await.put(put("a", "1")).await.unwrap();
    server.stop().await;
}
