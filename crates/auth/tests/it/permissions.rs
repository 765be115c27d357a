//! What a request needs, in all its parts: for each part, a user who may everything but that.

use auth::{AttachedKeys, AuthStore, NoLeases, Principal, Rules, Tokens};
use bytes::Bytes;
use model::pb::authpb::{Permission, permission::Type};
use model::pb::etcdserverpb as pb;
use model::{KeyRange, LeaseId, LogIndex, Rejection, Request};
use pb::{request_op, request_op::Request as Op};
use std::sync::Arc;
use std::time::Duration;

/// Lease 1 has the key `leased`.
struct OneLease;

impl AttachedKeys for OneLease {
    fn all_keys(&self, lease: LeaseId, allowed: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        lease != LeaseId(1) || allowed(b"leased")
    }
}

fn apply(store: &mut AuthStore, request: Request) {
    let answer = store.apply(&request, LogIndex(1), &mut Vec::new());
    assert!(matches!(answer, Some(Ok(_))), "{request:?}: {answer:?}");
}

/// What is granted: kind, key, range end.
type Grant = (Type, &'static str, &'static str);

fn grant_role(store: &mut AuthStore, user: &str, role: &str) {
    let grant = pb::AuthUserGrantRoleRequest {
        user: user.into(),
        role: role.into(),
    };
    apply(store, Request::AuthUserGrantRole(grant));
}

/// Authentication is on; `ada` has the given permissions, `root` has everything.
fn rules(granted: &[Grant]) -> Arc<Rules> {
    let tokens = Tokens::open("", Duration::ZERO).unwrap();
    let mut store = AuthStore::new(Arc::new(tokens));
    for name in ["root", "ada"] {
        apply(
            &mut store,
            Request::AuthUserAdd(pb::AuthUserAddRequest {
                name: name.into(),
                ..Default::default()
            }),
        );
    }
    grant_role(&mut store, "root", "root");
    for (i, (kind, key, range_end)) in granted.iter().enumerate() {
        // A role for each: within one role, a second grant of the same range would take the place of the first.
        let role = format!("r{i}");
        let name = role.clone();
        apply(&mut store, Request::AuthRoleAdd(pb::AuthRoleAddRequest { name }));
        grant_role(&mut store, "ada", &role);
        let perm = Permission {
            perm_type: (*kind).into(),
            key: Bytes::from_static(key.as_bytes()),
            range_end: Bytes::from_static(range_end.as_bytes()),
        };
        let grant = pb::AuthRoleGrantPermissionRequest {
            name: role,
            perm: Some(perm),
        };
        apply(&mut store, Request::AuthRoleGrantPermission(grant));
    }
    apply(&mut store, Request::AuthEnable(pb::AuthEnableRequest {}));
    store.rules().clone()
}

fn ada(rules: &Rules) -> Principal<'static> {
    Principal {
        user: "ada",
        revision: rules.revision(),
    }
}

fn root(rules: &Rules) -> Principal<'static> {
    Principal {
        user: "root",
        ..ada(rules)
    }
}

fn range(key: &'static str, end: &'static str) -> pb::RangeRequest {
    pb::RangeRequest {
        key: key.into(),
        range_end: end.into(),
        ..Default::default()
    }
}

fn put(key: &'static str) -> pb::PutRequest {
    pb::PutRequest {
        key: key.into(),
        ..Default::default()
    }
}

fn delete(key: &'static str, end: &'static str) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: key.into(),
        range_end: end.into(),
        ..Default::default()
    }
}

fn op(request: Op) -> pb::RequestOp {
    pb::RequestOp {
        request: Some(request),
    }
}

fn compare(key: &'static str, end: &'static str) -> pb::TxnRequest {
    pb::TxnRequest {
        compare: vec![pb::Compare {
            key: key.into(),
            range_end: end.into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn success(op: pb::RequestOp) -> pb::TxnRequest {
    pb::TxnRequest {
        success: vec![op],
        ..Default::default()
    }
}

fn failure(op: pb::RequestOp) -> pb::TxnRequest {
    pb::TxnRequest {
        failure: vec![op],
        ..Default::default()
    }
}

/// Operations, each with the permissions that are just enough for it.
fn operations() -> Vec<(Op, Vec<Grant>)> {
    use Type::{Read, Write};
    let with = |change: fn(&mut pb::PutRequest)| {
        let mut put = put("k");
        change(&mut put);
        Op::RequestPut(put)
    };
    vec![
        (Op::RequestRange(range("k", "")), vec![(Read, "k", "")]),
        (
            Op::RequestRange(range("k", "m")),
            vec![(Read, "k", "l"), (Read, "l", "m")],
        ),
        (Op::RequestRange(range("k", "\0")), vec![(Read, "k", "\0")]),
        (with(|_| ()), vec![(Write, "k", "")]),
        (
            with(|put| put.prev_kv = true),
            vec![(Write, "k", ""), (Read, "k", "")],
        ),
        (
            with(|put| put.lease = 1),
            vec![(Write, "k", ""), (Write, "leased", "")],
        ),
        (with(|put| put.lease = 2), vec![(Write, "k", "")]),
        (with(|put| put.ignore_value = true), vec![(Write, "k", "")]),
        (with(|put| put.ignore_lease = true), vec![(Write, "k", "")]),
        (Op::RequestDeleteRange(delete("k", "")), vec![(Write, "k", "")]),
        (Op::RequestDeleteRange(delete("k", "m")), vec![(Write, "k", "m")]),
        (
            Op::RequestDeleteRange(delete("k", "\0")),
            vec![(Write, "k", "\0")],
        ),
        (
            Op::RequestDeleteRange(pb::DeleteRangeRequest {
                prev_kv: true,
                ..delete("k", "m")
            }),
            vec![(Write, "k", "m"), (Read, "k", "m")],
        ),
        (Op::RequestTxn(compare("k", "")), vec![(Read, "k", "")]),
        (Op::RequestTxn(compare("k", "m")), vec![(Read, "k", "m")]),
    ]
}

/// The operation by itself, where it can be, and in transactions of all depths and branches.
fn everywhere(operation: &Op) -> Vec<Request> {
    let mut requests = vec![match operation.clone() {
        Op::RequestRange(range) => Request::Range(range),
        Op::RequestPut(put) => Request::Put(put),
        Op::RequestDeleteRange(delete) => Request::DeleteRange(delete),
        Op::RequestTxn(txn) => Request::Txn(txn),
    }];
    for depth in 1..=10 {
        for branches in [[true, true], [false, false], [true, false], [false, true]] {
            let mut nested = op(operation.clone());
            for level in 0..depth {
                let txn = if branches[level % 2] {
                    success(nested)
                } else {
                    failure(nested)
                };
                nested = op(Op::RequestTxn(txn));
            }
            if let Some(request_op::Request::RequestTxn(txn)) = nested.request {
                requests.push(Request::Txn(txn));
            }
        }
    }
    requests
}

#[test]
fn each_part_of_a_request_needs_its_permission_however_deep_it_is_nested() {
    for (operation, needed) in operations() {
        for request in everywhere(&operation) {
            let enough = rules(&needed);
            assert_eq!(
                enough.authorize(ada(&enough), &request, &OneLease),
                Ok(()),
                "{request:?}"
            );
            assert_eq!(enough.authorize(root(&enough), &request, &OneLease), Ok(()));
            assert_eq!(
                enough.authorize(Principal::default(), &request, &OneLease),
                Err(Rejection::UserEmpty)
            );
        }
        for missing in 0..needed.len() {
            let mut granted = needed.clone();
            let (kind, key, end) = granted.remove(missing);
            // The other kind of access on the same keys does not help.
            let other = if kind == Type::Read {
                Type::Write
            } else {
                Type::Read
            };
            granted.push((other, key, end));
            // Nor do the keys around it.
            granted.extend([(Type::Readwrite, "A", "k"), (Type::Readwrite, "z", "")]);
            let short = rules(&granted);
            for request in everywhere(&operation) {
                assert_eq!(
                    short.authorize(ada(&short), &request, &OneLease),
                    Err(Rejection::PermissionDenied),
                    "without {kind:?} {key} {end}: {request:?}"
                );
            }
        }
    }
}

#[test]
fn a_lease_needs_write_permission_on_all_its_keys() {
    let with = rules(&[(Type::Readwrite, "leased", "")]);
    let without = rules(&[(Type::Read, "leased", "")]);
    let revoke = |id| Request::LeaseRevoke(pb::LeaseRevokeRequest { id });
    let denied = Err(Rejection::PermissionDenied);
    for (rules, lease, written, read) in [
        (&with, 1, Ok(()), Ok(())),
        (&without, 1, denied, Ok(())),
        (&without, 2, Ok(()), Ok(())),
    ] {
        let who = ada(rules);
        assert_eq!(rules.authorize(who, &revoke(lease), &OneLease), written);
        assert_eq!(
            rules.authorize_keep_alive(who, LeaseId(lease), &OneLease),
            written
        );
        assert_eq!(rules.authorize_lease_keys(who, LeaseId(lease), &OneLease), read);
        assert_eq!(
            rules.authorize_keep_alive(root(rules), LeaseId(lease), &OneLease),
            Ok(())
        );
    }
    let nothing = rules(&[]);
    assert_eq!(
        nothing.authorize_lease_keys(ada(&nothing), LeaseId(1), &OneLease),
        denied
    );
    assert_eq!(
        nothing.authorize_keep_alive(Principal::default(), LeaseId(2), &OneLease),
        Err(Rejection::UserEmpty)
    );
}

#[test]
fn only_the_door_asks_for_what_members_propose_themselves_too() {
    let rules = rules(&[]);
    let alarm = |action: pb::alarm_request::AlarmAction| {
        Request::Alarm(pb::AlarmRequest {
            action: action.into(),
            ..Default::default()
        })
    };
    use pb::alarm_request::AlarmAction::{Activate, Deactivate, Get};
    let (nobody, denied) = (Err(Rejection::UserEmpty), Err(Rejection::PermissionDenied));
    for (request, by_nobody, by_ada) in [
        (Request::Compaction(Default::default()), nobody, denied),
        (Request::LeaseGrant(Default::default()), nobody, Ok(())),
        (Request::LeaseRevoke(Default::default()), nobody, Ok(())),
        (alarm(Get), nobody, Ok(())),
        (alarm(Activate), nobody, denied),
        (alarm(Deactivate), nobody, denied),
        (Request::LeaseCheckpoint(Default::default()), nobody, denied),
        (Request::ClusterVersionSet(Default::default()), nobody, denied),
        (Request::ClusterMemberAttrSet(Default::default()), nobody, denied),
        (Request::DowngradeInfoSet(Default::default()), nobody, denied),
        (Request::Authenticate(Default::default()), Ok(()), Ok(())),
        (Request::AuthStatus(Default::default()), Ok(()), Ok(())),
        (Request::Put(put("k")), Ok(()), Ok(())),
    ] {
        assert_eq!(
            rules.admit(Principal::default(), &request),
            by_nobody,
            "{request:?}"
        );
        assert_eq!(rules.admit(ada(&rules), &request), by_ada, "{request:?}");
        assert_eq!(rules.admit(root(&rules), &request), Ok(()), "{request:?}");
        if !matches!(request, Request::Put(_)) {
            assert_eq!(
                rules.authorize(Principal::default(), &request, &NoLeases),
                Ok(()),
                "{request:?}"
            );
        }
    }
}

#[test]
fn who_somebody_is_must_be_proven_and_up_to_date() {
    let rules = rules(&[(Type::Readwrite, "k", "")]);
    let key = KeyRange::Single("k".into());
    let of = |user, revision| Principal { user, revision };
    let now = rules.revision();
    for (who, read, user, root) in [
        (of("ada", now), Ok(()), Ok(()), Err(Rejection::PermissionDenied)),
        (
            of("ada", now + 1),
            Ok(()),
            Ok(()),
            Err(Rejection::PermissionDenied),
        ),
        (
            of("ada", now - 1),
            Err(Rejection::AuthOldRevision),
            Ok(()),
            Err(Rejection::PermissionDenied),
        ),
        (
            of("ada", 0),
            Err(Rejection::UserEmpty),
            Ok(()),
            Err(Rejection::PermissionDenied),
        ),
        (
            of("", 0),
            Err(Rejection::UserEmpty),
            Err(Rejection::UserEmpty),
            Err(Rejection::UserEmpty),
        ),
        (of("root", now), Ok(()), Ok(()), Ok(())),
        (
            of("eve", now),
            Err(Rejection::PermissionDenied),
            Err(Rejection::PermissionDenied),
            Err(Rejection::UserNotFound),
        ),
    ] {
        assert_eq!(rules.require_read(who, &key), read, "{who:?}");
        assert_eq!(rules.require_write(who, &key), read, "{who:?}");
        assert_eq!(rules.require_user(who), user, "{who:?}");
        assert_eq!(rules.require_root(who), root, "{who:?}");
    }
}

#[test]
fn without_authentication_everybody_may_everything() {
    let rules = Rules::default();
    let nobody = Principal::default();
    assert_eq!(rules.require_root(nobody), Ok(()));
    assert_eq!(rules.require_user(nobody), Ok(()));
    assert_eq!(rules.require_write(nobody, &KeyRange::all()), Ok(()));
    assert_eq!(
        rules.authorize(nobody, &Request::AuthDisable(Default::default()), &OneLease),
        Ok(())
    );
    assert_eq!(rules.credentials("root"), Err(Rejection::AuthNotEnabled));
}

#[test]
fn rows_that_no_store_wrote_are_refused() {
    let load = |key: &'static [u8], value: &'static [u8]| {
        let tokens = Tokens::open("", Duration::ZERO).unwrap();
        let row = (Bytes::from_static(key), Bytes::from_static(value));
        AuthStore::load([row], Arc::new(tokens))
    };
    assert!(load(b"enabled", b"\x01").is_ok());
    for (key, value) in [
        (&b"enabled"[..], &b"\x02"[..]),
        (b"revision", b"\x01"),
        (b"user/ada", b"\x0a\x03bob"),
        (b"user/ada", b"\xff"),
        (b"user/\xff", b"\x0a\x01\xff"),
        (b"role/r", b""),
        (b"other", b""),
    ] {
        assert!(load(key, value).is_err(), "{}", key.escape_ascii());
    }
}
