//! Leases.

use crate::support::{Server, get, put, refusal, within};
use model::pb::etcdserverpb as pb;
use tokio_stream::iter;
use tonic::Code;

#[tokio::test]
async fn a_lease_takes_its_keys_with_it() {
    let server = Server::start().await;
    let (mut lease, mut kv) = (server.lease().await, server.kv().await);
    let granted = lease
        .lease_grant(pb::LeaseGrantRequest { ttl: 100, id: 7 })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (granted.id, granted.ttl, granted.header.unwrap().revision),
        (7, 100, 1)
    );
    for key in ["a", "b"] {
        kv.put(pb::PutRequest {
            lease: 7,
            ..put(key, "1")
        })
        .await
        .unwrap();
    }
    let request = pb::LeaseTimeToLiveRequest { id: 7, keys: true };
    let mut alive = lease.lease_time_to_live(request).await.unwrap().into_inner();
    alive.keys.sort();
    assert_eq!(
        (alive.granted_ttl, alive.keys),
        (100, vec!["a".into(), "b".into()])
    );
    assert!(alive.ttl > 90);
    let leases = lease
        .lease_leases(pb::LeaseLeasesRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(leases.leases, [pb::LeaseStatus { id: 7 }]);

    let revoked = lease
        .lease_revoke(pb::LeaseRevokeRequest { id: 7 })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(revoked.header.unwrap().revision, 4);
    assert_eq!(kv.range(get("a")).await.unwrap().into_inner().count, 0);
    let dead = lease.lease_time_to_live(request).await.unwrap().into_inner();
    assert_eq!((dead.id, dead.ttl, dead.granted_ttl), (7, -1, 0));
    server.stop().await;
}

#[tokio::test]
async fn keep_alives_are_answered_in_order_and_unknown_leases_with_zero() {
    let server = Server::start().await;
    let mut lease = server.lease().await;
    for id in [1, 2] {
        lease
            .lease_grant(pb::LeaseGrantRequest { ttl: 50 + id, id })
            .await
            .unwrap();
    }
    let requests = [2, 99, 1, 2].map(|id| pb::LeaseKeepAliveRequest { id });
    let mut responses = lease.lease_keep_alive(iter(requests)).await.unwrap().into_inner();
    let mut answers = Vec::new();
    while let Some(response) = within(responses.message()).await.unwrap() {
        assert!(response.header.is_some());
        answers.push((response.id, response.ttl));
    }
    assert_eq!(answers, [(2, 52), (99, 0), (1, 51), (2, 52)]);
    server.stop().await;
}

#[tokio::test]
async fn an_idle_lease_expires() {
    let server = Server::start().await;
    let (mut lease, mut kv) = (server.lease().await, server.kv().await);
    let granted = lease
        .lease_grant(pb::LeaseGrantRequest { ttl: 1, id: 0 })
        .await
        .unwrap()
        .into_inner();
    assert!(granted.id > 0);
    kv.put(pb::PutRequest {
        lease: granted.id,
        ..put("a", "1")
    })
    .await
    .unwrap();
    let mut client = server.etcd().await;
    let mut watch = client.watch("a", None).await.unwrap();
    loop {
        let response = within(watch.message()).await.unwrap().unwrap();
        if !response.events().is_empty() {
            assert_eq!(response.events()[0].event_type(), etcd_client::EventType::Delete);
            break;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn refusals_have_etcds_codes_and_texts() {
    let server = Server::start().await;
    let mut lease = server.lease().await;
    lease
        .lease_grant(pb::LeaseGrantRequest { ttl: 100, id: 7 })
        .await
        .unwrap();
    assert_eq!(
        refusal(lease.lease_grant(pb::LeaseGrantRequest { ttl: 100, id: 7 }).await),
        (
            Code::FailedPrecondition,
            "etcdserver: lease already exists".into()
        )
    );
    assert_eq!(
        refusal(
            lease
                .lease_grant(pb::LeaseGrantRequest {
                    ttl: 9_000_000_001,
                    id: 0
                })
                .await
        ),
        (Code::OutOfRange, "etcdserver: too large lease TTL".into())
    );
    assert_eq!(
        refusal(lease.lease_revoke(pb::LeaseRevokeRequest { id: 8 }).await),
        (Code::NotFound, "etcdserver: requested lease not found".into())
    );
    server.stop().await;
}
