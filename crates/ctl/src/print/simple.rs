//! The default format: a few words for people, and keys and values as they are.

use super::{Printer, Report, event_name, table};
use crate::exit::Result;
use bytes::Bytes;
use client::kv;
use client::pb::authpb::Permission;
use client::pb::authpb::permission::Type;
use client::pb::etcdserverpb::response_op::Response;
use client::pb::etcdserverpb::{AlarmResponse, AlarmType, AuthRoleGetResponse, ResponseHeader, TxnResponse};
use client::pb::mvccpb::KeyValue;
use std::io::Write;

pub(super) fn render(printer: &Printer, report: &Report) -> Result<Vec<u8>> {
    let mut out = Out {
        printer,
        bytes: Vec::new(),
    };
    out.report(report)?;
    Ok(out.bytes)
}

struct Out<'a> {
    printer: &'a Printer,
    bytes: Vec<u8>,
}

macro_rules! line {
    ($out:expr, $($arg:tt)*) => {
        // Writing to memory does not fail.
        _ = writeln!($out.bytes, $($arg)*)
    };
}

impl Out<'_> {
    fn report(&mut self, report: &Report) -> Result {
        match report {
            Report::Get(response) => self.key_values(&response.kvs)?,
            Report::Put(response) => self.put(&response.prev_kv)?,
            Report::Delete(response) => {
                line!(self, "{}", response.deleted);
                self.key_values(&response.prev_kvs)?;
            }
            Report::Txn(response) => self.txn(response)?,
            Report::Watch(response) => {
                for event in &response.events {
                    let event = kv::event(event)?;
                    line!(self, "{}", event_name(event.kind));
                    if let Some(prev) = &event.prev_kv {
                        self.key_value(prev);
                    }
                    self.key_value(&event.kv);
                }
            }
            Report::Grant(response) => {
                line!(
                    self,
                    "lease {:016x} granted with TTL({}s)",
                    response.id,
                    response.ttl
                );
            }
            Report::Revoke(id, _) => line!(self, "lease {id:016x} revoked"),
            Report::KeepAlive(response) => {
                line!(
                    self,
                    "lease {:016x} keepalived with TTL({})",
                    response.id,
                    response.ttl
                );
            }
            Report::TimeToLive(response, _) if response.granted_ttl == 0 && response.ttl == -1 => {
                line!(self, "lease {:016x} already expired", response.id);
            }
            Report::TimeToLive(response, keys) => {
                let (id, granted, left) = (response.id, response.granted_ttl, response.ttl);
                let text = format!("lease {id:016x} granted with TTL({granted}s), remaining({left}s)");
                self.bytes.extend_from_slice(text.as_bytes());
                if *keys {
                    self.bytes.extend_from_slice(b", attached keys([");
                    self.bytes.extend_from_slice(&response.keys.join(&b' '));
                    self.bytes.extend_from_slice(b"])");
                }
                self.bytes.push(b'\n');
            }
            Report::Leases(response) => {
                line!(self, "found {} leases", response.leases.len());
                for lease in &response.leases {
                    line!(self, "{:016x}", lease.id);
                }
            }
            Report::MemberAdd(response) => {
                let member = response.member.clone().unwrap_or_default();
                let role = if member.is_learner { "as learner " } else { "" };
                let cluster = cluster(&response.header);
                line!(
                    self,
                    "Member {:16x} added {role}to cluster {cluster:16x}",
                    member.id
                );
            }
            Report::MemberRemove(id, response) => {
                line!(
                    self,
                    "Member {id:16x} removed from cluster {:16x}",
                    cluster(&response.header)
                );
            }
            Report::MemberUpdate(id, response) => {
                line!(
                    self,
                    "Member {id:16x} updated in cluster {:16x}",
                    cluster(&response.header)
                );
            }
            Report::MemberPromote(id, response) => {
                line!(
                    self,
                    "Member {id:16x} promoted in cluster {:16x}",
                    cluster(&response.header)
                );
            }
            Report::MemberList(response) => self.rows(table::members(response)),
            // Those that are not healthy are for the standard error.
            Report::Health(found) => {
                for health in found.iter().filter(|health| health.error.is_empty()) {
                    line!(
                        self,
                        "{} is healthy: successfully committed proposal: took = {}",
                        health.endpoint,
                        table::took(health)
                    );
                }
            }
            Report::Status(found) => self.rows(table::statuses(found)),
            Report::HashKv(found) => self.rows(table::hashes(found)),
            Report::MoveLeader(from, to, _) => {
                line!(self, "Leadership transferred from {from:x} to {to:x}");
            }
            Report::DowngradeValidate(response) => {
                line!(
                    self,
                    "Downgrade validate success, cluster version {}",
                    response.version
                );
            }
            Report::DowngradeEnable(response) => {
                line!(
                    self,
                    "Downgrade enable success, cluster version {}",
                    response.version
                );
            }
            Report::DowngradeCancel(response) => {
                line!(
                    self,
                    "Downgrade cancel success, cluster version {}",
                    response.version
                );
            }
            Report::Alarm(response) => self.alarms(response),
            Report::RoleAdd(role, _) => line!(self, "Role {role} created"),
            Report::RoleGet(role, response) => self.role(role, response),
            Report::RoleDelete(role, _) => line!(self, "Role {role} deleted"),
            Report::RoleList(response) => self.names(&response.roles),
            Report::RoleGrantPermission(role, _) => line!(self, "Role {role} updated"),
            Report::RoleRevokePermission(role, key, end, _) => {
                let end = String::from_utf8_lossy(end);
                match &*end {
                    "" => line!(self, "Permission of key {key} is revoked from role {role}"),
                    "\0" => {
                        line!(
                            self,
                            "Permission of range [{key}, <open ended> is revoked from role {role}"
                        );
                    }
                    _ => line!(
                        self,
                        "Permission of range [{key}, {end}) is revoked from role {role}"
                    ),
                }
            }
            Report::UserAdd(user, _) => line!(self, "User {user} created"),
            Report::UserGet(user, response) => {
                line!(self, "User: {user}");
                let roles: String = response.roles.iter().map(|role| format!(" {role}")).collect();
                line!(self, "Roles:{roles}");
            }
            Report::UserList(response) => self.names(&response.users),
            Report::UserChangePassword(_) => line!(self, "Password updated"),
            Report::UserGrantRole(user, role, _) => line!(self, "Role {role} is granted to user {user}"),
            Report::UserRevokeRole(user, role, _) => line!(self, "Role {role} is revoked from user {user}"),
            Report::UserDelete(user, _) => line!(self, "User {user} deleted"),
            Report::AuthStatus(response) => {
                line!(self, "Authentication Status: {}", response.enabled);
                line!(self, "AuthRevision: {}", response.auth_revision);
            }
        }
        Ok(())
    }

    fn put(&mut self, prev_kv: &Bytes) -> Result {
        line!(self, "OK");
        if !prev_kv.is_empty() {
            self.key_value(&kv::key_value(prev_kv)?);
        }
        Ok(())
    }

    fn txn(&mut self, response: &TxnResponse) -> Result {
        line!(self, "{}", if response.succeeded { "SUCCESS" } else { "FAILURE" });
        for op in &response.responses {
            line!(self, "");
            match &op.response {
                Some(Response::ResponseRange(response)) => self.report(&Report::Get(response))?,
                Some(Response::ResponsePut(response)) => self.report(&Report::Put(response))?,
                Some(Response::ResponseDeleteRange(response)) => self.report(&Report::Delete(response))?,
                other => line!(self, "unexpected response {other:?}"),
            }
        }
        Ok(())
    }

    fn key_values(&mut self, kvs: &[Bytes]) -> Result {
        for encoded in kvs {
            self.key_value(&kv::key_value(encoded)?);
        }
        Ok(())
    }

    fn key_value(&mut self, kv: &KeyValue) {
        if !self.printer.value_only {
            self.text(&kv.key);
        }
        self.text(&kv.value);
    }

    fn text(&mut self, text: &[u8]) {
        if self.printer.hex {
            for byte in text {
                _ = write!(self.bytes, "\\x{byte:02x}");
            }
        } else {
            self.bytes.extend_from_slice(text);
        }
        self.bytes.push(b'\n');
    }

    fn rows(&mut self, (_, rows): table::Rows) {
        for row in rows {
            line!(self, "{}", row.join(", "));
        }
    }

    fn names(&mut self, names: &[String]) {
        for name in names {
            line!(self, "{name}");
        }
    }

    fn alarms(&mut self, response: &AlarmResponse) {
        // Go's text form of the message, which leaves out zero fields.
        for alarm in &response.alarms {
            let mut parts = Vec::new();
            if alarm.member_id != 0 {
                parts.push(format!("memberID:{}", alarm.member_id));
            }
            if alarm.alarm != AlarmType::None as i32 {
                parts.push(format!("alarm:{}", alarm.alarm().as_str_name()));
            }
            line!(self, "{}", parts.join(" "));
        }
    }

    fn role(&mut self, role: &str, response: &AuthRoleGetResponse) {
        line!(self, "Role {role}");
        // The root role may do everything without having been given it.
        if role == "root" && response.perm.is_empty() {
            line!(self, "KV Read:\n\t[, <open ended>\nKV Write:\n\t[, <open ended>");
            return;
        }
        for (title, wanted) in [("KV Read:", Type::Read), ("KV Write:", Type::Write)] {
            line!(self, "{title}");
            let permitted = |permission: &&Permission| {
                let kind = permission.perm_type();
                kind == wanted || kind == Type::Readwrite
            };
            for permission in response.perm.iter().filter(permitted) {
                self.permission(permission);
            }
        }
    }

    fn permission(&mut self, permission: &Permission) {
        let (key, end) = (&permission.key[..], &permission.range_end[..]);
        let mut text = b"\t".to_vec();
        match end {
            [] => text.extend_from_slice(key),
            [0] => text.extend([b"[", key, b", <open ended>"].concat()),
            _ => text.extend([b"[", key, b", ", end, b")"].concat()),
        }
        if !end.is_empty() && !key.is_empty() && kv::prefix_end(key) == end {
            text.extend([b" (prefix ", key, b")"].concat());
        }
        text.push(b'\n');
        self.bytes.append(&mut text);
    }
}

fn cluster(header: &Option<ResponseHeader>) -> u64 {
    header.as_ref().map_or(0, |header| header.cluster_id)
}
