//! Who may call what: every RPC of the descriptors, called as everybody there is, against one table.

use crate::support::{Server, locked_down, within};
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use model::pb::authpb;
use model::pb::etcdserverpb::watch_request::RequestUnion;
use model::pb::etcdserverpb::{self as pb, request_op};
use model::pb::{v3electionpb as election, v3lockpb as lock};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status};

/// Whom an RPC serves while authentication is on.
enum Policy {
    /// Everybody. What is looked at before a user is known.
    Everybody,
    /// Everybody who shows no token, or a good one.
    Honest,
    /// Whoever has proved to be a user, with any roles or none.
    Users,
    /// Users with the role root.
    Root,
    /// Those whose roles cover the keys. Requests for keys of ada's come first, then those that touch others.
    Keys { own: Vec<Vec<u8>>, others: Vec<Vec<u8>> },
}

use Policy::{Everybody, Honest, Root, Users};

/// An RPC, whom it serves, and a request that does no harm where it is served.
type Row = (&'static str, Policy, Vec<u8>);

/// Leases with a key of ada's, and with one of others.
struct Leases {
    own: i64,
    other: i64,
    /// Without keys, until somebody who may hangs one of others there: ada must not be refused for that elsewhere.
    free: i64,
}

fn range(key: &str, end: &str) -> pb::RangeRequest {
    pb::RangeRequest {
        key: key.to_owned().into(),
        range_end: end.to_owned().into(),
        ..Default::default()
    }
}

fn put(key: &str, lease: i64, prev_kv: bool) -> pb::PutRequest {
    pb::PutRequest {
        key: key.to_owned().into(),
        value: "v".into(),
        lease,
        prev_kv,
        ..Default::default()
    }
}

fn delete(key: &str, end: &str) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: key.to_owned().into(),
        range_end: end.to_owned().into(),
        prev_kv: true,
    }
}

fn op(request: request_op::Request) -> pb::RequestOp {
    pb::RequestOp {
        request: Some(request),
    }
}

/// A transaction that does something so many levels deep, on the branch that is not taken.
fn nested(depth: usize, inner: request_op::Request) -> pb::TxnRequest {
    (0..=depth).fold(
        pb::TxnRequest {
            failure: vec![op(inner)],
            ..Default::default()
        },
        |txn, level| pb::TxnRequest {
            compare: vec![pb::Compare {
                key: format!("a/{level}").into(),
                ..Default::default()
            }],
            success: vec![op(request_op::Request::RequestTxn(txn))],
            ..Default::default()
        },
    )
}

fn keys<M: Message>(own: impl IntoIterator<Item = M>, others: impl IntoIterator<Item = M>) -> Policy {
    Policy::Keys {
        own: own.into_iter().map(|request| request.encode_to_vec()).collect(),
        others: others
            .into_iter()
            .map(|request| request.encode_to_vec())
            .collect(),
    }
}

fn watch(key: &str, end: &str) -> pb::WatchRequest {
    pb::WatchRequest {
        request_union: Some(RequestUnion::CreateRequest(pb::WatchCreateRequest {
            key: key.to_owned().into(),
            range_end: end.to_owned().into(),
            ..Default::default()
        })),
    }
}

fn leader(name: &str, lease: i64) -> Option<election::LeaderKey> {
    Some(election::LeaderKey {
        name: name.to_owned().into(),
        key: format!("{name}/{lease:x}").into(),
        rev: 1,
        lease,
    })
}

fn ranges() -> Policy {
    keys(
        [range("a/1", ""), range("a/", "a0"), range("a/1", "a/9")],
        [
            range("b", ""),
            range("a/", "b"),
            range("a", "a0"),
            range("a/", "\0"),
            range("\0", "\0"),
            range("a0", ""),
        ],
    )
}

fn txns() -> Policy {
    use request_op::Request::{RequestDeleteRange, RequestPut, RequestRange};
    let each = |key: &str, end: &str| {
        [0, 1, 3].into_iter().flat_map({
            let (key, end) = (key.to_owned(), end.to_owned());
            move |depth| {
                [
                    nested(depth, RequestRange(range(&key, &end))),
                    nested(depth, RequestPut(put(&key, 0, false))),
                    nested(depth, RequestDeleteRange(delete(&key, &end))),
                ]
            }
        })
    };
    let compare = |key: &str, end: &str| pb::TxnRequest {
        compare: vec![pb::Compare {
            key: key.to_owned().into(),
            range_end: end.to_owned().into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    keys(
        each("a/1", "").chain([compare("a/1", "")]),
        each("b", "")
            .chain(each("a/", "a1").filter(|txn| !format!("{txn:?}").contains("RequestPut")))
            .chain([compare("b", ""), compare("a/", "b")]),
    )
}

#[rustfmt::skip]
fn table(leases: &Leases) -> Vec<Row> {
    let none = Vec::new;
    let user = |name: &str| pb::AuthUserGetRequest { name: name.into() }.encode_to_vec();
    let Leases { own, other, free } = *leases;
    let alarm = pb::AlarmRequest { action: 2, alarm: 1, member_id: 4711 };
    vec![
        ("/etcdserverpb.KV/Range", ranges(), none()),
        ("/etcdserverpb.KV/RangeStream", ranges(), none()),
        ("/etcdserverpb.KV/Put", keys(
            [put("a/1", 0, false), put("a/1", 0, true), put("a/1", own, false)],
            [put("b", 0, false), put("b", 0, true), put("a/1", other, false), put("a", 0, false)],
        ), none()),
        ("/etcdserverpb.KV/DeleteRange", keys(
            [delete("a/none", "")], [delete("b", ""), delete("a/", "b"), delete("a/", "\0")],
        ), none()),
        ("/etcdserverpb.KV/Txn", txns(), none()),
        ("/etcdserverpb.KV/Compact", Root, pb::CompactionRequest { revision: 1, physical: false }.encode_to_vec()),
        ("/etcdserverpb.Watch/Watch", keys(
            [watch("a/1", ""), watch("a/", "a0")], [watch("b", ""), watch("a/", "b"), watch("\0", "\0")],
        ), none()),
        ("/etcdserverpb.Lease/LeaseGrant", Users, pb::LeaseGrantRequest { ttl: 60, id: 0 }.encode_to_vec()),
        ("/etcdserverpb.Lease/LeaseRevoke", keys([], [pb::LeaseRevokeRequest { id: other }]), none()),
        ("/etcdserverpb.Lease/LeaseKeepAlive", keys(
            [pb::LeaseKeepAliveRequest { id: own }], [pb::LeaseKeepAliveRequest { id: other }],
        ), none()),
        ("/etcdserverpb.Lease/LeaseTimeToLive", keys(
            [pb::LeaseTimeToLiveRequest { id: own, keys: true }], [pb::LeaseTimeToLiveRequest { id: other, keys: true }],
        ), none()),
        ("/etcdserverpb.Lease/LeaseLeases", keys([], [pb::LeaseLeasesRequest {}]), none()),
        ("/etcdserverpb.Cluster/MemberAdd", Root,
            pb::MemberAddRequest { peer_urls: vec!["http://127.0.0.1:9".into()], is_learner: true }.encode_to_vec()),
        ("/etcdserverpb.Cluster/MemberRemove", Root, pb::MemberRemoveRequest { id: 4711 }.encode_to_vec()),
        ("/etcdserverpb.Cluster/MemberUpdate", Root,
            pb::MemberUpdateRequest { id: 4711, peer_urls: vec!["http://127.0.0.1:8".into()] }.encode_to_vec()),
        ("/etcdserverpb.Cluster/MemberPromote", Root, pb::MemberPromoteRequest { id: 4711 }.encode_to_vec()),
        ("/etcdserverpb.Cluster/MemberList", Users, pb::MemberListRequest { linearizable: true }.encode_to_vec()),
        ("/etcdserverpb.Maintenance/Alarm", Root, alarm.encode_to_vec()),
        ("/etcdserverpb.Maintenance/Status", Users, none()),
        ("/etcdserverpb.Maintenance/Defragment", Root, none()),
        ("/etcdserverpb.Maintenance/Hash", Root, none()),
        ("/etcdserverpb.Maintenance/HashKV", Root, none()),
        ("/etcdserverpb.Maintenance/Snapshot", Root, none()),
        ("/etcdserverpb.Maintenance/MoveLeader", Root, pb::MoveLeaderRequest { target_id: 4711 }.encode_to_vec()),
        ("/etcdserverpb.Maintenance/Downgrade", Root,
            pb::DowngradeRequest { action: 0, version: "3.6.0".into() }.encode_to_vec()),
        ("/etcdserverpb.Auth/AuthEnable", Root, none()),
        ("/etcdserverpb.Auth/AuthDisable", Root, none()),
        ("/etcdserverpb.Auth/AuthStatus", Honest, none()),
        ("/etcdserverpb.Auth/Authenticate", Everybody,
            pb::AuthenticateRequest { name: "ada".into(), password: "ada's".into() }.encode_to_vec()),
        ("/etcdserverpb.Auth/UserAdd", Root,
            pb::AuthUserAddRequest { name: "new".into(), password: "x".into(), ..Default::default() }.encode_to_vec()),
        ("/etcdserverpb.Auth/UserGet", Root, user("root")),
        ("/etcdserverpb.Auth/UserList", Root, none()),
        ("/etcdserverpb.Auth/UserDelete", Root,
            pb::AuthUserDeleteRequest { name: "no one".into() }.encode_to_vec()),
        ("/etcdserverpb.Auth/UserChangePassword", Root,
            pb::AuthUserChangePasswordRequest { name: "no one".into(), password: "x".into(), ..Default::default() }
                .encode_to_vec()),
        ("/etcdserverpb.Auth/UserGrantRole", Root,
            pb::AuthUserGrantRoleRequest { user: "no one".into(), role: "root".into() }.encode_to_vec()),
        ("/etcdserverpb.Auth/UserRevokeRole", Root,
            pb::AuthUserRevokeRoleRequest { name: "no one".into(), role: "root".into() }.encode_to_vec()),
        ("/etcdserverpb.Auth/RoleAdd", Root, pb::AuthRoleAddRequest { name: "new".into() }.encode_to_vec()),
        ("/etcdserverpb.Auth/RoleGet", Root, pb::AuthRoleGetRequest { role: "root".into() }.encode_to_vec()),
        ("/etcdserverpb.Auth/RoleList", Root, none()),
        ("/etcdserverpb.Auth/RoleDelete", Root, pb::AuthRoleDeleteRequest { role: "none".into() }.encode_to_vec()),
        ("/etcdserverpb.Auth/RoleGrantPermission", Root, pb::AuthRoleGrantPermissionRequest {
            name: "none".into(),
            perm: Some(authpb::Permission { perm_type: 2, key: "b".into(), range_end: Bytes::new() }),
        }.encode_to_vec()),
        ("/etcdserverpb.Auth/RoleRevokePermission", Root, pb::AuthRoleRevokePermissionRequest {
            role: "none".into(), key: "b".into(), range_end: Bytes::new(),
        }.encode_to_vec()),
        ("/v3lockpb.Lock/Lock", keys(
            [lock::LockRequest { name: "a/lock".into(), lease: own }],
            [lock::LockRequest { name: "lock".into(), lease: free }],
        ), none()),
        ("/v3lockpb.Lock/Unlock", keys(
            [lock::UnlockRequest { key: "a/none".into() }], [lock::UnlockRequest { key: "b".into() }],
        ), none()),
        ("/v3electionpb.Election/Campaign", keys(
            [election::CampaignRequest { name: "a/e".into(), lease: own, value: "v".into() }],
            [election::CampaignRequest { name: "e".into(), lease: free, value: "v".into() }],
        ), none()),
        ("/v3electionpb.Election/Proclaim", keys(
            [election::ProclaimRequest { leader: leader("a/e", own), value: "w".into() }],
            [election::ProclaimRequest { leader: leader("e", free), value: "w".into() }],
        ), none()),
        ("/v3electionpb.Election/Leader", keys(
            [election::LeaderRequest { name: "a/e".into() }], [election::LeaderRequest { name: "e".into() }],
        ), none()),
        ("/v3electionpb.Election/Observe", keys(
            [election::LeaderRequest { name: "a/e".into() }], [election::LeaderRequest { name: "e".into() }],
        ), none()),
        ("/v3electionpb.Election/Resign", keys(
            [election::ResignRequest { leader: leader("a/none", own) }],
            [election::ResignRequest { leader: leader("e", free) }],
        ), none()),
        ("/grpc.health.v1.Health/Check", Everybody, none()),
        ("/grpc.health.v1.Health/List", Everybody, none()),
        ("/grpc.health.v1.Health/Watch", Everybody, none()),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Everybody, vec![0x3a, 0]),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Everybody, vec![0x3a, 0]),
    ]
}

/// Messages as they are on the wire.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

const NOBODY: &str = "etcdserver: user name is empty";
const FORGED: &str = "etcdserver: invalid auth token";
const DENIED: &str = "etcdserver: permission denied";

/// Why the caller is refused; `None` where it is served, or would be if the request made sense.
async fn refused(server: &Server, path: &'static str, request: &[u8], token: Option<&str>) -> Option<String> {
    let mut grpc = tonic::client::Grpc::new(server.channel().await);
    within(grpc.ready()).await.unwrap();
    // Held open: the end of the requests would end a watch before its first answer.
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    sender.send(request.to_vec()).await.unwrap();
    let mut requests = Request::new(tokio_stream::wrappers::ReceiverStream::new(requests));
    if let Some(token) = token {
        requests.metadata_mut().insert("token", token.parse().unwrap());
    }
    let endless = path.ends_with("/Watch") || path.ends_with("Observe") || path.ends_with("KeepAlive");
    // One request that is followed by many answers is complete when its stream ends.
    let many_requests = ["/Watch", "KeepAlive", "Info"]
        .iter()
        .any(|name| path.ends_with(name));
    let keep = (many_requests && !path.starts_with("/grpc.health")).then_some(sender);
    let answer = async {
        let mut answers = grpc
            .streaming(requests, PathAndQuery::from_static(path), Raw)
            .await?
            .into_inner();
        answers.message().await
    };
    let answer = match tokio::time::timeout(
        Duration::from_millis(if endless { 5_000 } else { 20_000 }),
        answer,
    )
    .await
    {
        Ok(answer) => answer,
        // An endless stream that has nothing to tell.
        Err(_) if endless => return None,
        Err(_) => panic!("{path} does not answer"),
    };
    drop(keep);
    let words = match answer {
        Err(status) => status.message().to_owned(),
        Ok(Some(message)) if path == "/etcdserverpb.Watch/Watch" => {
            // As Go prints an error of gRPC.
            let reason = pb::WatchResponse::decode(message).unwrap().cancel_reason;
            reason.rsplit("desc = ").next().unwrap_or_default().to_owned()
        }
        Ok(_) => return None,
    };
    let auth = [
        NOBODY,
        FORGED,
        DENIED,
        "etcdserver: revision of auth store is old",
    ];
    let found = auth.into_iter().find(|known| words.ends_with(known));
    found.map(str::to_owned)
}

/// Keys, leases, and everybody: root, ada who has the keys below `a/`, and tim who has nothing.
async fn prepared(auth: bool) -> (Server, Leases) {
    let server = Server::with(gateway::Options {
        snapshot_writer: Some(Arc::new(|_| {
            Ok(gateway::Backup {
                bytes: 0,
                write: Box::new(|_| Ok(())),
            })
        })),
        ..gateway::Options::default()
    })
    .await;
    let mut client = server.etcd().await;
    let mut leases = Vec::new();
    for key in ["a/leased", "leased"] {
        let lease = client.lease_grant(600, None).await.unwrap().id();
        let options = etcd_client::PutOptions::new().with_lease(lease);
        client.put(key, "v", Some(options)).await.unwrap();
        leases.push(lease);
    }
    client.put("b", "secret", None).await.unwrap();
    let free = client.lease_grant(600, None).await.unwrap().id();
    client.user_add("tim", "tim's", None).await.unwrap();
    if auth {
        locked_down(&server).await;
    }
    let leases = Leases {
        own: leases[0],
        other: leases[1],
        free,
    };
    (server, leases)
}

/// Paths of all RPCs that this server has.
fn described() -> Vec<String> {
    let pools = [
        api::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut paths = Vec::new();
    for descriptors in pools {
        let pool = prost_reflect::DescriptorPool::decode(descriptors).unwrap();
        for service in pool.services() {
            let methods = service.methods();
            paths.extend(methods.map(|method| format!("/{}/{}", service.full_name(), method.name())));
        }
    }
    // Served, and not in the descriptors of the crate that knows the messages.
    paths.push("/grpc.health.v1.Health/List".to_owned());
    // Spoken on the peers' sockets only, between members that have shown who they are.
    paths.retain(|path| !path.starts_with("/quorate.peer."));
    paths
}

/// A new RPC that nobody thought about.
#[test]
fn every_rpc_has_a_policy() {
    let mut rows: BTreeMap<_, u32> = BTreeMap::new();
    for (path, ..) in table(&Leases {
        own: 1,
        other: 2,
        free: 3,
    }) {
        *rows.entry(path.to_owned()).or_default() += 1;
    }
    let described = described();
    assert!(described.len() >= 53, "{} RPCs", described.len());
    for path in &described {
        assert_eq!(
            rows.remove(path),
            Some(1),
            "one row for {path}, in the table above"
        );
    }
    assert!(rows.is_empty(), "no such RPCs: {rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_serves_whom_it_should_and_nobody_else() {
    let (server, leases) = prepared(true).await;
    let token = async |user: &str| {
        let request = pb::AuthenticateRequest {
            name: user.into(),
            password: format!("{user}'s"),
        };
        let answer = server.auth().await.authenticate(request).await;
        answer.unwrap().into_inner().token
    };
    let (root, ada, tim) = (token("root").await, token("ada").await, token("tim").await);
    let mut judged = 0;
    let mut rows = table(&leases);
    // What would end the test for all others comes last.
    rows.sort_by_key(|(path, ..)| {
        let last = ["LeaseRevoke", "DeleteRange", "AuthDisable"];
        last.iter().position(|name| path.ends_with(name))
    });
    for (path, policy, request) in &rows {
        let requests: Vec<(&[u8], [Option<&str>; 5])> = match policy {
            Everybody => vec![(request, [None; 5])],
            Honest => vec![(request, [None, Some(FORGED), None, None, None])],
            Users => vec![(request, [Some(NOBODY), Some(FORGED), None, None, None])],
            Root => vec![(
                request,
                [Some(NOBODY), Some(FORGED), Some(DENIED), Some(DENIED), None],
            )],
            Policy::Keys { own, others } => {
                let row = |ada| [Some(NOBODY), Some(FORGED), Some(DENIED), ada, None];
                let own = own.iter().map(|request| (request.as_slice(), row(None)));
                let others = others
                    .iter()
                    .map(|request| (request.as_slice(), row(Some(DENIED))));
                own.chain(others).collect()
            }
        };
        for (request, expected) in requests {
            let callers = [None, Some("made.up"), Some(tim.as_str()), Some(&ada), Some(&root)];
            for ((who, token), expected) in ["nobody", "a forger", "tim", "ada", "root"]
                .into_iter()
                .zip(callers)
                .zip(expected)
            {
                let refused = refused(&server, path, request, token).await;
                assert_eq!(refused.as_deref(), expected, "{path} for {who}: {request:02x?}");
                judged += 1;
            }
        }
    }
    println!("{judged} calls of {} RPCs judged", rows.len());
    server.stop().await;
}

/// Authentication that is off looks at nobody, whatever he shows.
#[tokio::test(flavor = "multi_thread")]
async fn without_authentication_every_rpc_serves_everybody() {
    let (server, leases) = prepared(false).await;
    for (path, policy, request) in &table(&leases) {
        let requests = match policy {
            Policy::Keys { own, others } => own.iter().chain(others).collect(),
            _ => vec![request],
        };
        for request in requests {
            for token in [None, Some("made.up")] {
                assert_eq!(refused(&server, path, request, token).await, None, "{path}");
            }
        }
    }
    server.stop().await;
}
