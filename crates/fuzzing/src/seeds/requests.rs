//! Requests, and entries of the log with them.

use super::{put_piece, with};
use model::pb::authpb;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use model::pb::etcdserverpb::{request_op, watch_request};
use model::{Command, Request};
use prost::Message;

type Seeds = Vec<(&'static str, Vec<u8>)>;

pub(super) fn put(key: &'static str, value: &'static str, lease: i64) -> pb::PutRequest {
    pb::PutRequest {
        key: key.into(),
        value: value.into(),
        lease,
        prev_kv: true,
        ..Default::default()
    }
}

fn range() -> pb::RangeRequest {
    pb::RangeRequest {
        key: "a".into(),
        range_end: "z".into(),
        limit: 10,
        sort_order: 2,
        sort_target: 3,
        max_mod_revision: 100,
        ..Default::default()
    }
}

fn delete() -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: "a".into(),
        range_end: "c".into(),
        prev_kv: true,
    }
}

fn txn() -> pb::TxnRequest {
    let op = |request| pb::RequestOp {
        request: Some(request),
    };
    let inner = pb::TxnRequest {
        success: vec![op(request_op::Request::RequestPut(put("nested", "value", 0)))],
        ..Default::default()
    };
    pb::TxnRequest {
        compare: vec![pb::Compare {
            result: CompareResult::Greater as i32,
            target: CompareTarget::Mod as i32,
            key: "a".into(),
            range_end: "b".into(),
            target_union: Some(TargetUnion::ModRevision(0)),
        }],
        success: vec![
            op(request_op::Request::RequestRange(range())),
            op(request_op::Request::RequestPut(put("d", "in a transaction", 7))),
            op(request_op::Request::RequestDeleteRange(delete())),
        ],
        failure: vec![op(request_op::Request::RequestTxn(inner))],
    }
}

fn grant() -> pb::AuthRoleGrantPermissionRequest {
    pb::AuthRoleGrantPermissionRequest {
        name: "reader".into(),
        perm: Some(authpb::Permission {
            perm_type: 2,
            key: "a".into(),
            range_end: "b".into(),
        }),
    }
}

pub(super) fn watch() -> pb::WatchRequest {
    pb::WatchRequest {
        request_union: Some(watch_request::RequestUnion::CreateRequest(
            pb::WatchCreateRequest {
                key: "a".into(),
                range_end: "z".into(),
                start_revision: 1,
                filters: vec![1],
                prev_kv: true,
                watch_id: 3,
                fragment: true,
                progress_notify: true,
            },
        )),
    }
}

fn user(name: &str) -> pb::AuthUserAddRequest {
    pb::AuthUserAddRequest {
        name: name.into(),
        hashed_password: "JDJhJDA0JA==".into(),
        ..Default::default()
    }
}

fn alarm() -> pb::AlarmRequest {
    pb::AlarmRequest {
        action: 1,
        member_id: 1,
        alarm: 1,
    }
}

pub(super) fn requests() -> Seeds {
    let member = pb::MemberAddRequest {
        peer_urls: vec!["http://10.0.0.1:2380".into(), "unix://socket:1".into()],
        is_learner: true,
    };
    let lease = pb::LeaseGrantRequest { ttl: 60, id: 7 };
    let compaction = pb::CompactionRequest {
        revision: 3,
        physical: true,
    };
    let downgrade = pb::DowngradeRequest {
        action: 1,
        version: "3.6.0".into(),
    };
    vec![
        ("range", with(0, range().encode_to_vec())),
        ("put", with(1, put("a", "value", 0).encode_to_vec())),
        ("delete", with(2, delete().encode_to_vec())),
        ("txn", with(3, txn().encode_to_vec())),
        ("watch", with(4, watch().encode_to_vec())),
        ("lease", with(5, lease.encode_to_vec())),
        ("permission", with(6, grant().encode_to_vec())),
        ("user", with(7, user("somebody").encode_to_vec())),
        ("member", with(8, member.encode_to_vec())),
        ("alarm", with(9, alarm().encode_to_vec())),
        ("compaction", with(10, compaction.encode_to_vec())),
        ("downgrade", with(11, downgrade.encode_to_vec())),
        ("entry", with(12, Command::new(5, Request::Txn(txn())).encode())),
    ]
}

/// What a small cluster has done.
pub(super) fn history() -> Vec<Request> {
    vec![
        Request::LeaseGrant(pb::LeaseGrantRequest { ttl: 60, id: 7 }),
        Request::Put(put("a", "one", 0)),
        Request::Put(put("b", "two", 7)),
        Request::Put(put("a", "three", 0)),
        Request::Txn(txn()),
        Request::DeleteRange(delete()),
        Request::Put(put("c", "four", 0)),
        Request::AuthUserAdd(user("root")),
        Request::AuthRoleAdd(pb::AuthRoleAddRequest { name: "root".into() }),
        Request::AuthRoleAdd(pb::AuthRoleAddRequest {
            name: "reader".into(),
        }),
        Request::AuthRoleGrantPermission(grant()),
        Request::AuthUserGrantRole(pb::AuthUserGrantRoleRequest {
            user: "root".into(),
            role: "root".into(),
        }),
        Request::Alarm(alarm()),
        Request::Compaction(pb::CompactionRequest {
            revision: 4,
            physical: false,
        }),
        Request::ClusterVersionSet(model::pb::membershippb::ClusterVersionSetRequest { ver: "3.7.0".into() }),
    ]
}

pub(super) fn apply() -> Seeds {
    let steps = |requests: Vec<Request>| {
        let mut out = Vec::new();
        for (number, request) in requests.into_iter().enumerate() {
            out.push(0);
            put_piece(&mut out, &Command::new(number as u64 + 1, request).encode());
            if number % 3 == 2 {
                // Visible, then written away, with a step of a compaction.
                out.extend([15, 12, 13]);
            }
        }
        out
    };
    let member = membership::Member::new("two", &["http://10.0.0.2:2380".into()], "", Some(1), true);
    let add = membership::Change::Add(member.expect("a sound URL"));
    let mut members = vec![10, 1];
    put_piece(&mut members, &add.encode());
    members.extend([15, 11]);
    vec![
        ("history", steps(history())),
        ("members", [members, steps(history())].concat()),
    ]
}
