//! JSON of the responses' structs as Go's client has them.

use super::{Health, Printer, Report, table};
use crate::exit::Result;
use crate::go::{Array, Object, json_bytes, json_string};
use bytes::Bytes;
use client::kv;
use client::pb::authpb::Permission;
use client::pb::etcdserverpb::response_op::Response;
use client::pb::etcdserverpb::*;
use client::pb::mvccpb::KeyValue;

pub(super) fn render(printer: &Printer, report: &Report) -> Result<Vec<u8>> {
    let mut text = match report {
        Report::Get(response) => range(response)?,
        Report::Put(response) => put(response)?,
        Report::Delete(response) => delete(response)?,
        Report::Txn(response) => txn(response)?,
        Report::Watch(response) => watch(response)?,
        Report::Grant(response) => flat(&response.header)
            .field("ID", response.id)
            .field("TTL", response.ttl)
            .field("Error", json_string(&response.error))
            .finish(),
        Report::Revoke(_, response) => only(&response.header),
        Report::KeepAlive(response) => flat(&response.header)
            .field("ID", response.id)
            .field("TTL", response.ttl)
            .finish(),
        Report::TimeToLive(response, _) => flat(&response.header)
            .field("id", response.id)
            .field("ttl", response.ttl)
            .field("granted-ttl", response.granted_ttl)
            .field(
                "keys",
                Array::from(response.keys.iter().map(|key| json_bytes(key))).finish_or_null(),
            )
            .finish(),
        Report::Leases(response) => {
            let lease = |lease: &LeaseStatus| Object::new().field("id", lease.id).finish();
            flat(&response.header)
                .field("leases", Array::from(response.leases.iter().map(lease)).finish())
                .finish()
        }
        Report::MemberAdd(response) if printer.hex => Object::new()
            .field("header", hex_header(&response.header))
            .field("member", hex_member(&response.member.clone().unwrap_or_default()))
            .field("members", hex_members(&response.members))
            .finish(),
        Report::MemberAdd(response) => with_header(&response.header)
            .optional("member", response.member.as_ref().map(member))
            .list("members", response.members.iter().map(member))
            .finish(),
        Report::MemberRemove(_, response) => members(printer, &response.header, &response.members),
        Report::MemberUpdate(_, response) => members(printer, &response.header, &response.members),
        Report::MemberPromote(_, response) => members(printer, &response.header, &response.members),
        Report::MemberList(response) => members(printer, &response.header, &response.members),
        Report::Health(found) => Array::from(found.iter().map(health)).finish_or_null(),
        Report::Status(found) => {
            let status = |(endpoint, found): &(String, StatusResponse)| {
                Object::new()
                    .field("Endpoint", json_string(endpoint))
                    .field("Status", status(found))
                    .finish()
            };
            Array::from(found.iter().map(status)).finish_or_null()
        }
        Report::HashKv(found) => {
            let hash = |(endpoint, found): &(String, HashKvResponse)| {
                Object::new()
                    .field("Endpoint", json_string(endpoint))
                    .field("HashKV", hash_kv(found))
                    .finish()
            };
            Array::from(found.iter().map(hash)).finish_or_null()
        }
        Report::MoveLeader(_, _, response) => only(&response.header),
        Report::DowngradeValidate(response)
        | Report::DowngradeEnable(response)
        | Report::DowngradeCancel(response) => with_header(&response.header)
            .string("version", &response.version)
            .finish(),
        Report::Alarm(response) => {
            let alarm = |alarm: &AlarmMember| {
                Object::new()
                    .nonzero("memberID", alarm.member_id)
                    .nonzero("alarm", alarm.alarm)
                    .finish()
            };
            with_header(&response.header)
                .list("alarms", response.alarms.iter().map(alarm))
                .finish()
        }
        Report::RoleAdd(_, response) => only(&response.header),
        Report::RoleGet(_, response) => with_header(&response.header)
            .list("perm", response.perm.iter().map(permission))
            .finish(),
        Report::RoleDelete(_, response) => only(&response.header),
        Report::RoleList(response) => names(&response.header, "roles", &response.roles),
        Report::RoleGrantPermission(_, response) => only(&response.header),
        Report::RoleRevokePermission(_, _, _, response) => only(&response.header),
        Report::UserAdd(_, response) => only(&response.header),
        Report::UserGet(_, response) => names(&response.header, "roles", &response.roles),
        Report::UserList(response) => names(&response.header, "users", &response.users),
        Report::UserChangePassword(response) => only(&response.header),
        Report::UserGrantRole(_, _, response) => only(&response.header),
        Report::UserRevokeRole(_, _, response) => only(&response.header),
        Report::UserDelete(_, response) => only(&response.header),
        Report::AuthStatus(response) => with_header(&response.header)
            .nonzero("enabled", response.enabled)
            .nonzero("authRevision", response.auth_revision)
            .finish(),
    };
    text.push('\n');
    Ok(text.into_bytes())
}

fn header_fields(object: Object, header: &ResponseHeader) -> Object {
    object
        .nonzero("cluster_id", header.cluster_id)
        .nonzero("member_id", header.member_id)
        .nonzero("revision", header.revision)
        .nonzero("raft_term", header.raft_term)
}

fn header(header: &ResponseHeader) -> String {
    header_fields(Object::new(), header).finish()
}

/// A response begins with its header.
fn with_header(found: &Option<ResponseHeader>) -> Object {
    Object::new().optional("header", found.as_ref().map(header))
}

fn only(header: &Option<ResponseHeader>) -> String {
    with_header(header).finish()
}

/// Lease responses have the header's fields among their own.
fn flat(header: &Option<ResponseHeader>) -> Object {
    header_fields(Object::new(), &header.unwrap_or_default())
}

fn names(header: &Option<ResponseHeader>, field: &str, names: &[String]) -> String {
    with_header(header)
        .list(field, names.iter().map(|name| json_string(name)))
        .finish()
}

fn key_value(kv: &KeyValue) -> String {
    Object::new()
        .bytes("key", &kv.key)
        .nonzero("create_revision", kv.create_revision)
        .nonzero("mod_revision", kv.mod_revision)
        .nonzero("version", kv.version)
        .bytes("value", &kv.value)
        .nonzero("lease", kv.lease)
        .finish()
}

fn encoded(kv: &Bytes) -> Result<String> {
    Ok(key_value(&kv::key_value(kv)?))
}

fn all_encoded(kvs: &[Bytes]) -> Result<Vec<String>> {
    kvs.iter().map(encoded).collect()
}

fn range(response: &RangeResponse) -> Result<String> {
    Ok(with_header(&response.header)
        .list("kvs", all_encoded(&response.kvs)?)
        .nonzero("more", response.more)
        .nonzero("count", response.count)
        .finish())
}

fn put(response: &PutResponse) -> Result<String> {
    let prev_kv = match response.prev_kv.is_empty() {
        true => None,
        false => Some(encoded(&response.prev_kv)?),
    };
    Ok(with_header(&response.header)
        .optional("prev_kv", prev_kv)
        .finish())
}

fn delete(response: &DeleteRangeResponse) -> Result<String> {
    Ok(with_header(&response.header)
        .nonzero("deleted", response.deleted)
        .list("prev_kvs", all_encoded(&response.prev_kvs)?)
        .finish())
}

fn txn(response: &TxnResponse) -> Result<String> {
    let mut responses = Vec::new();
    for op in &response.responses {
        let inner = Object::new();
        let inner = match &op.response {
            Some(Response::ResponseRange(response)) => inner.field("response_range", range(response)?),
            Some(Response::ResponsePut(response)) => inner.field("response_put", put(response)?),
            Some(Response::ResponseDeleteRange(response)) => {
                inner.field("response_delete_range", delete(response)?)
            }
            Some(Response::ResponseTxn(response)) => inner.field("response_txn", txn(response)?),
            None => inner,
        };
        responses.push(Object::new().field("Response", inner.finish()).finish());
    }
    Ok(with_header(&response.header)
        .nonzero("succeeded", response.succeeded)
        .list("responses", responses)
        .finish())
}

/// Go's watch response is no message: its fields have no tags and are never left out.
fn watch(response: &WatchResponse) -> Result<String> {
    let mut events = Vec::new();
    for event in &response.events {
        let event = kv::event(event)?;
        events.push(
            Object::new()
                .nonzero("type", event.kind as i32)
                .field("kv", key_value(&event.kv))
                .optional("prev_kv", event.prev_kv.as_ref().map(key_value))
                .finish(),
        );
    }
    // The last response of a watch is one that Go's client makes itself, without a list.
    let events = match response.canceled {
        true => Array::from(events).finish_or_null(),
        false => Array::from(events).finish(),
    };
    Ok(Object::new()
        .field("Header", header(&response.header.unwrap_or_default()))
        .field("Events", events)
        .field("CompactRevision", response.compact_revision)
        .field("Canceled", response.canceled)
        .field("Created", response.created)
        .field("CancelReason", json_string(&response.cancel_reason))
        .finish())
}

fn member(member: &Member) -> String {
    member_fields(Object::new().nonzero("ID", member.id), member)
}

fn member_fields(object: Object, member: &Member) -> String {
    let urls = |urls: &[String]| urls.iter().map(|url| json_string(url)).collect::<Vec<_>>();
    object
        .string("name", &member.name)
        .list("peerURLs", urls(&member.peer_urls))
        .list("clientURLs", urls(&member.client_urls))
        .nonzero("isLearner", member.is_learner)
        .finish()
}

fn members(printer: &Printer, header: &Option<ResponseHeader>, members: &[Member]) -> String {
    match printer.hex {
        true => Object::new()
            .field("header", hex_header(header))
            .field("members", hex_members(members))
            .finish(),
        false => with_header(header)
            .list("members", members.iter().map(member))
            .finish(),
    }
}

fn hex_header(header: &Option<ResponseHeader>) -> String {
    let header = header.unwrap_or_default();
    Object::new()
        .field("cluster_id", format!("\"{:x}\"", header.cluster_id))
        .field("member_id", format!("\"{:x}\"", header.member_id))
        .nonzero("revision", header.revision)
        .nonzero("raft_term", header.raft_term)
        .finish()
}

fn hex_member(member: &Member) -> String {
    member_fields(Object::new().field("ID", format!("\"{:x}\"", member.id)), member)
}

fn hex_members(members: &[Member]) -> String {
    Array::from(members.iter().map(hex_member)).finish()
}

fn health(health: &Health) -> String {
    Object::new()
        .field("endpoint", json_string(&health.endpoint))
        .field("health", health.error.is_empty())
        .field("took", json_string(&table::took(health)))
        .string("error", &health.error)
        .finish()
}

fn status(status: &StatusResponse) -> String {
    let downgrade = |info: &DowngradeInfo| {
        Object::new()
            .nonzero("enabled", info.enabled)
            .string("targetVersion", &info.target_version)
            .finish()
    };
    with_header(&status.header)
        .string("version", &status.version)
        .nonzero("dbSize", status.db_size)
        .nonzero("leader", status.leader)
        .nonzero("raftIndex", status.raft_index)
        .nonzero("raftTerm", status.raft_term)
        .nonzero("raftAppliedIndex", status.raft_applied_index)
        .list("errors", status.errors.iter().map(|error| json_string(error)))
        .nonzero("dbSizeInUse", status.db_size_in_use)
        .nonzero("isLearner", status.is_learner)
        .string("storageVersion", &status.storage_version)
        .nonzero("dbSizeQuota", status.db_size_quota)
        .optional("downgradeInfo", status.downgrade_info.as_ref().map(downgrade))
        .finish()
}

fn hash_kv(hash: &HashKvResponse) -> String {
    with_header(&hash.header)
        .nonzero("hash", hash.hash)
        .nonzero("compact_revision", hash.compact_revision)
        .nonzero("hash_revision", hash.hash_revision)
        .finish()
}

fn permission(permission: &Permission) -> String {
    Object::new()
        .nonzero("permType", permission.perm_type)
        .bytes("key", &permission.key)
        .bytes("range_end", &permission.range_end)
        .finish()
}
