//! The language of the scripts.
//!
//! ```text
//! put KEY VALUE [lease=N] [prev_kv] [ignore_value] [ignore_lease]
//! delete KEY [END] [prev_kv]
//! get KEY [END] [rev=N]
//! txn { if TARGET(KEY[,END]) RELATION OPERAND ; then OPERATION ; else OPERATION }
//! compact REVISION | grant ID TTL | revoke ID | checkpoint ID TTL
//! alarm activate|deactivate|get nospace|corrupt|none MEMBER
//! user-add NAME [PASSWORD] | user-grant USER ROLE | role-add NAME | role-grant ROLE read|write|readwrite KEY [END]
//! auth-enable | auth-disable | authenticate NAME PREFIX
//! as USER COMMAND
//! ```
//!
//! `\0` in a key is a zero byte, `""` is nothing. Operations of a transaction are `put`, `delete`, `get` and `txn`.

use model::pb::authpb::{Permission, UserAddOptions};
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use model::pb::etcdserverpb::request_op::Request as Op;
use model::{Command, Request};

pub fn command(id: u64, line: &str) -> Command {
    let mut tokens: Vec<&str> = line.split_whitespace().collect();
    let mut command = Command::new(id, Request::AuthStatus(pb::AuthStatusRequest {}));
    if tokens[0] == "as" {
        command.username = tokens[1].to_owned();
        tokens.drain(..2);
    }
    command.request = request(&tokens);
    command
}

fn request(tokens: &[&str]) -> Request {
    let (word, rest) = (tokens[0], &tokens[1..]);
    match word {
        "put" => Request::Put(put(rest)),
        "delete" => Request::DeleteRange(delete(rest)),
        "get" => Request::Range(get(rest)),
        "txn" => Request::Txn(txn(rest)),
        "compact" => Request::Compaction(pb::CompactionRequest {
            revision: number(rest[0]),
            physical: false,
        }),
        "grant" => Request::LeaseGrant(pb::LeaseGrantRequest {
            id: number(rest[0]),
            ttl: number(rest[1]),
        }),
        "revoke" => Request::LeaseRevoke(pb::LeaseRevokeRequest { id: number(rest[0]) }),
        "checkpoint" => Request::LeaseCheckpoint(pb::LeaseCheckpointRequest {
            checkpoints: vec![pb::LeaseCheckpoint {
                id: number(rest[0]),
                remaining_ttl: number(rest[1]),
            }],
        }),
        "alarm" => Request::Alarm(pb::AlarmRequest {
            action: ["get", "activate", "deactivate"]
                .iter()
                .position(|&action| action == rest[0])
                .unwrap() as i32,
            alarm: ["none", "nospace", "corrupt"]
                .iter()
                .position(|&alarm| alarm == rest[1])
                .unwrap() as i32,
            member_id: number(rest[2]) as u64,
        }),
        "auth-enable" => Request::AuthEnable(pb::AuthEnableRequest {}),
        "auth-disable" => Request::AuthDisable(pb::AuthDisableRequest {}),
        "authenticate" => Request::Authenticate(pb::InternalAuthenticateRequest {
            name: rest[0].to_owned(),
            password: String::new(),
            simple_token: rest[1].to_owned(),
        }),
        "user-add" => Request::AuthUserAdd(pb::AuthUserAddRequest {
            name: rest[0].to_owned(),
            options: Some(UserAddOptions { no_password: true }),
            ..Default::default()
        }),
        "user-grant" => Request::AuthUserGrantRole(pb::AuthUserGrantRoleRequest {
            user: rest[0].to_owned(),
            role: rest[1].to_owned(),
        }),
        "role-add" => Request::AuthRoleAdd(pb::AuthRoleAddRequest {
            name: rest[0].to_owned(),
        }),
        "role-grant" => Request::AuthRoleGrantPermission(pb::AuthRoleGrantPermissionRequest {
            name: rest[0].to_owned(),
            perm: Some(Permission {
                perm_type: ["read", "write", "readwrite"]
                    .iter()
                    .position(|&kind| kind == rest[1])
                    .unwrap() as i32,
                key: bytes(rest[2]),
                range_end: rest.get(3).map(|end| bytes(end)).unwrap_or_default(),
            }),
        }),
        other => panic!("unknown command {other}"),
    }
}

fn put(words: &[&str]) -> pb::PutRequest {
    pb::PutRequest {
        key: bytes(words[0]),
        value: bytes(words[1]),
        lease: option(words, "lease=").unwrap_or(0),
        prev_kv: words.contains(&"prev_kv"),
        ignore_value: words.contains(&"ignore_value"),
        ignore_lease: words.contains(&"ignore_lease"),
    }
}

fn delete(words: &[&str]) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: bytes(words[0]),
        range_end: end(words),
        prev_kv: words.contains(&"prev_kv"),
    }
}

fn get(words: &[&str]) -> pb::RangeRequest {
    pb::RangeRequest {
        key: bytes(words[0]),
        range_end: end(words),
        revision: option(words, "rev=").unwrap_or(0),
        ..Default::default()
    }
}

/// `words` begins with `{` and ends with the matching `}`.
fn txn(words: &[&str]) -> pb::TxnRequest {
    let mut request = pb::TxnRequest::default();
    for clause in clauses(&words[1..words.len() - 1]) {
        match clause[0] {
            "if" => request.compare.push(compare(&clause[1..])),
            "then" => request.success.push(op(&clause[1..])),
            "else" => request.failure.push(op(&clause[1..])),
            other => panic!("unknown clause {other}"),
        }
    }
    request
}

/// Splits at `;` outside of nested braces.
fn clauses<'a>(words: &'a [&'a str]) -> Vec<&'a [&'a str]> {
    let mut depth = 0;
    words
        .split(|word| {
            match *word {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            *word == ";" && depth == 0
        })
        .filter(|clause| !clause.is_empty())
        .collect()
}

fn op(words: &[&str]) -> pb::RequestOp {
    let request = match request(words) {
        Request::Put(request) => Op::RequestPut(request),
        Request::DeleteRange(request) => Op::RequestDeleteRange(request),
        Request::Range(request) => Op::RequestRange(request),
        Request::Txn(request) => Op::RequestTxn(request),
        other => panic!("no operation of a transaction: {other:?}"),
    };
    pb::RequestOp {
        request: Some(request),
    }
}

fn compare(words: &[&str]) -> pb::Compare {
    let (target, keys) = words[0].strip_suffix(')').unwrap().split_once('(').unwrap();
    let (key, range_end) = keys.split_once(',').unwrap_or((keys, "\"\""));
    let operand = words[2];
    let (target, union) = match target {
        "value" => (CompareTarget::Value, TargetUnion::Value(bytes(operand))),
        "create" => (
            CompareTarget::Create,
            TargetUnion::CreateRevision(number(operand)),
        ),
        "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number(operand))),
        "version" => (CompareTarget::Version, TargetUnion::Version(number(operand))),
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(number(operand))),
        other => panic!("unknown target {other}"),
    };
    let result = match words[1] {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        ">" => CompareResult::Greater,
        "<" => CompareResult::Less,
        other => panic!("unknown relation {other}"),
    };
    pb::Compare {
        result: result as i32,
        target: target as i32,
        key: bytes(key),
        range_end: bytes(range_end),
        target_union: Some(union),
    }
}

fn end(words: &[&str]) -> bytes::Bytes {
    match words.get(1) {
        Some(word) if *word != "prev_kv" && !word.contains('=') => bytes(word),
        _ => bytes::Bytes::new(),
    }
}

fn option(words: &[&str], name: &str) -> Option<i64> {
    Some(number(words.iter().find_map(|word| word.strip_prefix(name))?))
}

fn number(word: &str) -> i64 {
    word.parse().unwrap()
}

fn bytes(word: &str) -> bytes::Bytes {
    match word {
        "\"\"" => bytes::Bytes::new(),
        word => word.replace("\\0", "\0").into(),
    }
}
