//! Maintenance.

use crate::support::{MEMBER, Server, put, refusal};
use futures::TryStreamExt;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::alarm_request::AlarmAction;
use model::pb::etcdserverpb::downgrade_request::DowngradeAction;
use std::sync::Arc;
use tonic::Code;

#[tokio::test]
async fn status_says_who_leads_and_what_is_stored() {
    let server = Server::start().await;
    server.kv().await.put(put("a", "1")).await.unwrap();
    let status = server
        .maintenance()
        .await
        .status(pb::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            status.leader,
            &status.version[..],
            status.header.unwrap().revision
        ),
        (MEMBER, "3.7.1", 2)
    );
    assert!(status.raft_index >= status.raft_applied_index && status.raft_applied_index > 0);
    assert!(status.errors.is_empty() && !status.is_learner && status.downgrade_info.is_some());
    server.stop().await;
}

#[tokio::test]
async fn an_alarm_stops_puts_until_it_is_cleared() {
    let server = Server::start().await;
    let (mut client, mut kv) = (server.maintenance().await, server.kv().await);
    let alarm = |action: AlarmAction| pb::AlarmRequest {
        action: action.into(),
        member_id: MEMBER,
        alarm: pb::AlarmType::Nospace.into(),
    };
    let set = client
        .alarm(alarm(AlarmAction::Activate))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((set.alarms.len(), set.alarms[0].member_id), (1, MEMBER));
    assert_eq!(
        refusal(kv.put(put("a", "1")).await),
        (
            Code::ResourceExhausted,
            "etcdserver: mvcc: database space exceeded".into()
        )
    );
    let list = pb::AlarmRequest::default();
    assert_eq!(client.alarm(list).await.unwrap().into_inner().alarms.len(), 1);
    client.alarm(alarm(AlarmAction::Deactivate)).await.unwrap();
    kv.put(put("a", "1")).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn hashes_agree_with_themselves() {
    let server = Server::start().await;
    let (mut client, mut kv) = (server.maintenance().await, server.kv().await);
    kv.put(put("a", "1")).await.unwrap();
    let then = client
        .hash_kv(pb::HashKvRequest { revision: 0 })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            then.hash_revision,
            then.compact_revision,
            then.header.unwrap().revision
        ),
        (2, -1, 2)
    );
    kv.put(put("a", "2")).await.unwrap();
    let again = client
        .hash_kv(pb::HashKvRequest { revision: 2 })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (again.hash, again.hash_revision, again.header.unwrap().revision),
        (then.hash, 2, 3)
    );
    assert_eq!(
        refusal(client.hash_kv(pb::HashKvRequest { revision: 9 }).await),
        (
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision".into()
        )
    );
    assert_ne!(
        client.hash(pb::HashRequest {}).await.unwrap().into_inner().hash,
        0
    );
    server.stop().await;
}

#[tokio::test]
async fn some_answers_have_no_header() {
    let server = Server::start().await;
    let mut client = server.maintenance().await;
    assert_eq!(
        client
            .defragment(pb::DefragmentRequest {})
            .await
            .unwrap()
            .into_inner()
            .header,
        None
    );
    let itself = pb::MoveLeaderRequest { target_id: MEMBER };
    assert_eq!(
        client.move_leader(itself).await.unwrap().into_inner().header,
        None
    );
    assert_eq!(
        refusal(client.move_leader(pb::MoveLeaderRequest { target_id: 5 }).await),
        (
            Code::FailedPrecondition,
            "etcdserver: bad leader transferee".into()
        )
    );
    server.stop().await;
}

#[tokio::test]
async fn a_downgrade_is_checked() {
    let server = Server::start().await;
    let mut client = server.maintenance().await;
    let validate = |version: &str| pb::DowngradeRequest {
        action: DowngradeAction::Validate.into(),
        version: version.into(),
    };
    assert_eq!(
        refusal(client.downgrade(validate("three")).await),
        (
            Code::InvalidArgument,
            "etcdserver: wrong downgrade target version format".into()
        )
    );
    assert_eq!(
        refusal(
            client
                .downgrade(pb::DowngradeRequest {
                    action: 9,
                    ..Default::default()
                })
                .await
        ),
        (Code::Unknown, "etcdserver: unknown method".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn a_backup_is_a_file_and_its_sum() {
    let options = gateway::Options {
        snapshot_writer: Some(Arc::new(|source| {
            let revision = mvcc::Read::revision(&*source.view);
            Ok(gateway::Backup {
                bytes: 100 * 1024,
                write: Box::new(move |out| out.write_all(&vec![revision.0 as u8; 100 * 1024])),
            })
        })),
        ..Default::default()
    };
    let server = Server::with(options).await;
    // A new cluster decides on its version a moment after it serves.
    let mut client = server.maintenance().await;
    while client
        .status(pb::StatusRequest {})
        .await
        .unwrap()
        .into_inner()
        .storage_version
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
    let blobs = server
        .maintenance()
        .await
        .snapshot(pb::SnapshotRequest {})
        .await
        .unwrap()
        .into_inner();
    let blobs: Vec<pb::SnapshotResponse> = blobs.try_collect().await.unwrap();
    let sizes: Vec<(usize, u64)> = blobs
        .iter()
        .map(|blob| (blob.blob.len(), blob.remaining_bytes))
        .collect();
    assert_eq!(
        sizes,
        [(32768, 69632), (32768, 36864), (32768, 4096), (4096, 0), (32, 0)]
    );
    assert!(
        blobs
            .iter()
            .all(|blob| blob.header.is_none() && blob.version == "3.7.0")
    );
    server.stop().await;

    let plain = Server::start().await;
    let (code, _) = refusal(plain.maintenance().await.snapshot(pb::SnapshotRequest {}).await);
    assert_eq!(code, Code::Unimplemented);
    plain.stop().await;
}

/// Clients that do not read hold a thread and a view of the store each.
#[tokio::test]
async fn backups_at_once_are_limited() {
    let options = gateway::Options {
        snapshot_writer: Some(Arc::new(|_| {
            Ok(gateway::Backup {
                bytes: 1 << 40,
                write: Box::new(|out| {
                    loop {
                        out.write_all(&[0; 1 << 15])?;
                    }
                }),
            })
        })),
        ..Default::default()
    };
    let server = Server::with(options).await;
    let mut client = server.maintenance().await;
    let mut open = Vec::new();
    let refused = loop {
        match client.snapshot(pb::SnapshotRequest {}).await {
            Ok(stream) => open.push(stream.into_inner()),
            Err(status) => break status,
        }
    };
    assert_eq!((refused.code(), open.len()), (Code::ResourceExhausted, 16));
    open.truncate(15);
    while client.snapshot(pb::SnapshotRequest {}).await.is_err() {
        tokio::task::yield_now().await;
    }
    drop(open);
    server.stop().await;
}
