//! Every response in every format, compared with tests/golden/printers, which agrees with etcdctl 3.7.1.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p ctl` records it anew; read it before committing.

use bytes::Bytes;
use client::pb::authpb::Permission;
use client::pb::etcdserverpb::response_op::Response;
use client::pb::etcdserverpb::*;
use client::pb::mvccpb::{Event, KeyValue};
use ctl::print::{Format, Health, Printer, Report};
use prost::Message;
use std::time::Duration;

fn header() -> Option<ResponseHeader> {
    Some(ResponseHeader {
        cluster_id: 0xcdf8_1818_1db8_5a1f,
        member_id: 0x8e9e_05c5_2164_694d,
        revision: 7,
        raft_term: 2,
    })
}

fn kv(key: &'static [u8], value: &'static [u8], lease: i64) -> Bytes {
    let kv = KeyValue {
        key: Bytes::from_static(key),
        create_revision: 2,
        mod_revision: 5,
        version: 3,
        value: Bytes::from_static(value),
        lease,
    };
    kv.encode_to_vec().into()
}

fn event(kind: i32, kv: Bytes, prev_kv: Bytes) -> Bytes {
    let event = Event {
        r#type: kind,
        kv,
        prev_kv,
    };
    event.encode_to_vec().into()
}

fn range() -> RangeResponse {
    RangeResponse {
        header: header(),
        kvs: vec![
            kv(b"foo", b"bar", 0),
            kv(b"b\x01\xff<", "\"é\"\n".as_bytes(), 0x1234),
        ],
        more: true,
        count: 9,
    }
}

fn member(id: u64, name: &str) -> Member {
    Member {
        id,
        name: name.into(),
        peer_urls: vec!["http://10.0.0.1:2380".into(), "http://[::1]:2380".into()],
        client_urls: match name {
            "" => vec![],
            _ => vec!["http://10.0.0.1:2379".into()],
        },
        is_learner: name.is_empty(),
    }
}

fn render(out: &mut String, name: &str, report: Report) {
    let formats = [
        ("simple", Format::Simple),
        ("json", Format::Json),
        ("fields", Format::Fields),
        ("table", Format::Table),
    ];
    for (format_name, format) in formats {
        for hex in [false, true] {
            let printer = Printer {
                format,
                hex,
                value_only: false,
            };
            let text = match printer.render(&report) {
                // Said once is enough.
                Err(_) if hex => continue,
                Err(failure) => format!("exit {}: {}\n", failure.code, failure.message.unwrap()),
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            };
            let hex = if hex { " --hex" } else { "" };
            *out += &format!("== {name} -w {format_name}{hex}\n{text}");
        }
    }
}

#[test]
fn every_response_in_every_format() {
    let mut out = String::new();
    kv_responses(&mut out);
    lease_responses(&mut out);
    cluster_responses(&mut out);
    auth_responses(&mut out);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/printers");
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(path, out).unwrap();
    } else {
        assert_eq!(out, std::fs::read_to_string(path).unwrap());
    }
}

fn kv_responses(out: &mut String) {
    render(out, "get", Report::Get(&range()));
    render(out, "get nothing", Report::Get(&RangeResponse::default()));
    let put = |prev_kv| PutResponse {
        header: header(),
        prev_kv,
    };
    render(out, "put", Report::Put(&put(Bytes::new())));
    render(out, "put --prev-kv", Report::Put(&put(kv(b"foo", b"old", 0))));
    let delete = DeleteRangeResponse {
        header: header(),
        deleted: 1,
        prev_kvs: vec![kv(b"foo", b"bar", 0)],
    };
    render(out, "del --prev-kv", Report::Delete(&delete));
    let op = |response| ResponseOp {
        response: Some(response),
    };
    let txn = TxnResponse {
        header: header(),
        succeeded: true,
        responses: vec![
            op(Response::ResponsePut(put(Bytes::new()))),
            op(Response::ResponseRange(range())),
            op(Response::ResponseDeleteRange(delete)),
        ],
    };
    render(out, "txn", Report::Txn(&txn));
    let watch = WatchResponse {
        header: header(),
        events: vec![
            event(0, kv(b"foo", b"new", 0), kv(b"foo", b"old", 0)),
            event(1, kv(b"foo", b"", 0), Bytes::new()),
        ],
        ..Default::default()
    };
    render(out, "watch", Report::Watch(&watch));
    let progress = WatchResponse {
        header: header(),
        ..Default::default()
    };
    render(out, "watch progress", Report::Watch(&progress));
}

fn lease_responses(out: &mut String) {
    let id = 0x3269_5410_dcc0_ca06;
    let grant = LeaseGrantResponse {
        header: header(),
        id,
        ttl: 60,
        error: String::new(),
    };
    render(out, "lease grant", Report::Grant(&grant));
    let revoke = LeaseRevokeResponse { header: header() };
    render(out, "lease revoke", Report::Revoke(id, &revoke));
    let renewed = LeaseKeepAliveResponse {
        header: header(),
        id,
        ttl: 60,
    };
    render(out, "lease keep-alive", Report::KeepAlive(&renewed));
    let ttl = |ttl, granted_ttl, keys: &[&'static str]| LeaseTimeToLiveResponse {
        header: header(),
        id,
        ttl,
        granted_ttl,
        keys: keys
            .iter()
            .map(|key| Bytes::from_static(key.as_bytes()))
            .collect(),
    };
    render(
        out,
        "lease timetolive",
        Report::TimeToLive(&ttl(58, 60, &[]), false),
    );
    let with_keys = ttl(58, 60, &["foo", "bar"]);
    render(
        out,
        "lease timetolive --keys",
        Report::TimeToLive(&with_keys, true),
    );
    render(
        out,
        "lease timetolive gone",
        Report::TimeToLive(&ttl(-1, 0, &[]), false),
    );
    let leases = LeaseLeasesResponse {
        header: header(),
        leases: vec![LeaseStatus { id }, LeaseStatus { id: 7 }],
    };
    render(out, "lease list", Report::Leases(&leases));
}

fn cluster_responses(out: &mut String) {
    let members = vec![member(0x8e9e_05c5_2164_694d, "m1"), member(0x1f, "")];
    let add = MemberAddResponse {
        header: header(),
        member: Some(members[1].clone()),
        members: members.clone(),
    };
    render(out, "member add --learner", Report::MemberAdd(&add));
    let remove = MemberRemoveResponse {
        header: header(),
        members: members.clone(),
    };
    render(out, "member remove", Report::MemberRemove(0x1f, &remove));
    let list = MemberListResponse {
        header: header(),
        members,
    };
    render(out, "member list", Report::MemberList(&list));
    let endpoint = || "127.0.0.1:2379".to_owned();
    let health = [
        Health {
            endpoint: endpoint(),
            took: Some(Duration::from_nanos(2_095_242)),
            error: String::new(),
        },
        Health {
            endpoint: endpoint(),
            took: None,
            error: "context deadline exceeded".into(),
        },
    ];
    render(out, "endpoint health", Report::Health(&health));
    let status = StatusResponse {
        header: header(),
        version: "3.7.1".into(),
        db_size: 24_576,
        leader: 0x8e9e_05c5_2164_694d,
        raft_index: 4,
        raft_term: 2,
        raft_applied_index: 4,
        errors: vec!["memberID:1 alarm:NOSPACE".into(), "other".into()],
        db_size_in_use: 16_384,
        is_learner: false,
        storage_version: "3.7.0".into(),
        db_size_quota: 2_147_483_648,
        downgrade_info: Some(DowngradeInfo {
            enabled: true,
            target_version: "3.6.0".into(),
        }),
    };
    render(out, "endpoint status", Report::Status(&[(endpoint(), status)]));
    let empty = (endpoint(), StatusResponse::default());
    render(out, "endpoint status of nothing", Report::Status(&[empty]));
    let hash = HashKvResponse {
        header: header(),
        hash: 1_084_519_789,
        compact_revision: -1,
        hash_revision: 5,
    };
    render(out, "endpoint hashkv", Report::HashKv(&[(endpoint(), hash)]));
    let moved = MoveLeaderResponse { header: header() };
    render(out, "move-leader", Report::MoveLeader(0x1f, 0xff, &moved));
    let alarms = AlarmResponse {
        header: header(),
        alarms: vec![AlarmMember {
            member_id: 13_803_658_152_347_727_308,
            alarm: AlarmType::Nospace as i32,
        }],
    };
    render(out, "alarm list", Report::Alarm(&alarms));
    let downgrade = DowngradeResponse {
        header: header(),
        version: "3.7".into(),
    };
    render(out, "downgrade validate", Report::DowngradeValidate(&downgrade));
}

fn auth_responses(out: &mut String) {
    let permission = |perm_type, key: &'static str, range_end: &'static [u8]| Permission {
        perm_type,
        key: Bytes::from_static(key.as_bytes()),
        range_end: Bytes::from_static(range_end),
    };
    let role = AuthRoleGetResponse {
        header: header(),
        perm: vec![
            permission(0, "foo", b""),
            permission(2, "a", b"c"),
            permission(1, "p", b"q"),
            permission(1, "z", b"\0"),
        ],
    };
    render(out, "role get", Report::RoleGet("r", &role));
    render(
        out,
        "role get root",
        Report::RoleGet("root", &AuthRoleGetResponse::default()),
    );
    let roles = AuthRoleListResponse {
        header: header(),
        roles: vec!["r1".into(), "r2".into()],
    };
    render(out, "role list", Report::RoleList(&roles));
    let revoke = AuthRoleRevokePermissionResponse { header: header() };
    for (name, end) in [("one", &b""[..]), ("range", b"c"), ("open", b"\0")] {
        let name = format!("role revoke-permission {name}");
        render(out, &name, Report::RoleRevokePermission("r", "a", end, &revoke));
    }
    let user = AuthUserGetResponse {
        header: header(),
        roles: vec!["r1".into(), "r2".into()],
    };
    render(out, "user get", Report::UserGet("u", &user));
    let status = AuthStatusResponse {
        header: header(),
        enabled: true,
        auth_revision: 3,
    };
    render(out, "auth status", Report::AuthStatus(&status));
}

#[test]
fn values_alone() {
    let printer = Printer {
        format: Format::Simple,
        hex: false,
        value_only: true,
    };
    assert_eq!(
        printer.render(&Report::Get(&range())).unwrap(),
        "bar\n\"é\"\n\n".as_bytes()
    );
}

#[test]
fn protobuf_is_the_message_itself() {
    let printer = Printer {
        format: Format::Protobuf,
        hex: false,
        value_only: false,
    };
    assert_eq!(
        printer.render(&Report::Get(&range())).unwrap(),
        range().encode_to_vec()
    );
    // Of what is no message to etcdctl, only the header is shown.
    let grant = LeaseGrantResponse {
        header: header(),
        id: 7,
        ..Default::default()
    };
    assert_eq!(
        printer.render(&Report::Grant(&grant)).unwrap(),
        header().unwrap().encode_to_vec()
    );
}
