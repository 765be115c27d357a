//! The end of a server.

use crate::support::{Server, put, refusal, within};
use model::pb::etcdserverpb as pb;
use std::time::Duration;
use tonic::Code;

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = server.kv().await;
        client.put(put("a", "1")).await.unwrap();
        clients.push(client);
    }
    tokio::time::timeout(Duration::from_secs(3), server.stop())
        .await
        .expect("waits for idle connections");
}

#[tokio::test]
async fn what_does_not_end_by_itself_is_cut() {
    let options = gateway::Options {
        drain_timeout: Duration::from_millis(100),
        ..Default::default()
    };
    let server = Server::with(options).await;
    let lease = pb::LeaseGrantRequest { ttl: 100, id: 1 };
    server.lease().await.lease_grant(lease).await.unwrap();
    let lock = |lease: i64| model::pb::v3lockpb::LockRequest {
        name: "q".into(),
        lease,
    };
    let mut client = server.lock().await;
    client.lock(lock(0)).await.unwrap();
    let waiter = tokio::spawn(async move { client.lock(lock(1)).await });
    let mut kv = server.kv().await;
    within(async {
        let request = crate::support::get("q/1");
        while kv.range(request.clone()).await.unwrap().into_inner().count == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    tokio::time::timeout(Duration::from_secs(5), server.stop())
        .await
        .expect("waits for a call without end");
    let (code, _) = refusal(within(waiter).await.unwrap());
    assert_ne!(code, Code::Ok);
}
