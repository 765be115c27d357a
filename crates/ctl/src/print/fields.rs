//! One line per field: `"Name" : value`.

use super::{Printer, Report, event_name, table, unsupported};
use crate::exit::Result;
use crate::go::quote;
use bytes::Bytes;
use client::kv;
use client::pb::etcdserverpb::response_op::Response;
use client::pb::etcdserverpb::{ResponseHeader, TxnResponse};
use client::pb::mvccpb::KeyValue;
use std::fmt::Display;

pub(super) fn render(printer: &Printer, report: &Report) -> Result<Vec<u8>> {
    let mut out = Out {
        hex: printer.hex,
        text: String::new(),
    };
    out.report(report)?;
    Ok(out.text.into_bytes())
}

struct Out {
    hex: bool,
    text: String,
}

impl Out {
    fn report(&mut self, report: &Report) -> Result {
        match report {
            Report::Get(response) => {
                self.header(&response.header);
                self.key_values("", &response.kvs)?;
                self.field("More", response.more);
                self.field("Count", response.count);
            }
            Report::Put(response) => {
                self.header(&response.header);
                if !response.prev_kv.is_empty() {
                    self.key_value("Prev", &kv::key_value(&response.prev_kv)?);
                }
            }
            Report::Delete(response) => {
                self.header(&response.header);
                self.field("Deleted", response.deleted);
                self.key_values("Prev", &response.prev_kvs)?;
            }
            Report::Txn(response) => self.txn(response)?,
            Report::Watch(response) => {
                self.header(&response.header);
                for event in &response.events {
                    let event = kv::event(event)?;
                    self.field("Type", event_name(event.kind));
                    if let Some(prev) = &event.prev_kv {
                        self.key_value("Prev", prev);
                    }
                    self.key_value("", &event.kv);
                }
            }
            Report::Grant(response) => {
                self.header(&response.header);
                self.lease("ID", response.id);
                self.field("TTL", response.ttl);
            }
            Report::Revoke(_, response) => self.header(&response.header),
            Report::KeepAlive(response) => {
                self.header(&response.header);
                self.lease("ID", response.id);
                self.field("TTL", response.ttl);
            }
            Report::TimeToLive(response, _) => {
                self.header(&response.header);
                self.lease("ID", response.id);
                self.field("TTL", response.ttl);
                self.field("GrantedTTL", response.granted_ttl);
                for key in &response.keys {
                    self.field("Key", quote(key));
                }
            }
            Report::Leases(response) => {
                self.header(&response.header);
                for lease in &response.leases {
                    self.lease("ID", lease.id);
                }
            }
            Report::MemberList(response) => {
                self.header(&response.header);
                for member in &response.members {
                    self.member("ID", member.id);
                    self.string("Name", &member.name);
                    for url in &member.peer_urls {
                        self.string("PeerURL", url);
                    }
                    for url in &member.client_urls {
                        self.string("ClientURL", url);
                    }
                    self.field("IsLearner", member.is_learner);
                    self.text.push('\n');
                }
            }
            Report::Health(found) => {
                for health in *found {
                    self.string("Endpoint", &health.endpoint);
                    self.field("Health", health.error.is_empty());
                    self.field("Took", table::took(health));
                    self.field("Error", &health.error);
                    self.text.push('\n');
                }
            }
            Report::Status(found) => {
                for (endpoint, status) in *found {
                    self.header(&status.header);
                    self.string("Version", &status.version);
                    self.string("StorageVersion", &status.storage_version);
                    self.field("DBSize", status.db_size);
                    self.field("DBSizeInUse", status.db_size_in_use);
                    self.field("DBSizeQuota", status.db_size_quota);
                    self.field("Leader", status.leader);
                    self.field("IsLearner", status.is_learner);
                    self.field("RaftIndex", status.raft_index);
                    self.field("RaftTerm", status.raft_term);
                    self.field("RaftAppliedIndex", status.raft_applied_index);
                    self.field("Errors", format!("[{}]", status.errors.join(" ")));
                    self.string("Endpoint", endpoint);
                    let downgrade = status.downgrade_info.clone().unwrap_or_default();
                    self.string("DowngradeTargetVersion", &downgrade.target_version);
                    self.field("DowngradeEnabled", downgrade.enabled);
                    self.text.push('\n');
                }
            }
            Report::HashKv(found) => {
                for (endpoint, hash) in *found {
                    self.header(&hash.header);
                    self.string("Endpoint", endpoint);
                    self.field("Hash", hash.hash);
                    self.field("HashRevision", hash.hash_revision);
                    self.text.push('\n');
                }
            }
            Report::Alarm(response) => {
                self.header(&response.header);
                for alarm in &response.alarms {
                    self.member("MemberID", alarm.member_id);
                    self.field("AlarmType", alarm.alarm().as_str_name());
                    self.text.push('\n');
                }
            }
            Report::RoleAdd(_, response) => self.header(&response.header),
            Report::RoleGet(_, response) => {
                self.header(&response.header);
                for permission in &response.perm {
                    // Two blanks, as etcdctl has it here and only here.
                    self.field("PermType", format!(" {}", permission.perm_type().as_str_name()));
                    self.field("Key", quote(&permission.key));
                    self.field("RangeEnd", quote(&permission.range_end));
                }
            }
            Report::RoleDelete(_, response) => self.header(&response.header),
            Report::RoleList(response) => {
                self.header(&response.header);
                let roles = response.roles.iter();
                let roles: String = roles.map(|role| format!(" {}", quote(role.as_bytes()))).collect();
                self.text += &format!("\"Roles\" :{roles}\n");
            }
            Report::RoleGrantPermission(_, response) => self.header(&response.header),
            Report::RoleRevokePermission(_, _, _, response) => self.header(&response.header),
            Report::UserAdd(_, response) => self.header(&response.header),
            Report::UserChangePassword(response) => self.header(&response.header),
            Report::UserGrantRole(_, _, response) => self.header(&response.header),
            Report::UserRevokeRole(_, _, response) => self.header(&response.header),
            Report::UserDelete(_, response) => self.header(&response.header),
            _ => return Err(unsupported("fields")),
        }
        Ok(())
    }

    fn txn(&mut self, response: &TxnResponse) -> Result {
        self.header(&response.header);
        self.field("Succeeded", response.succeeded);
        for op in &response.responses {
            match &op.response {
                Some(Response::ResponseRange(response)) => self.report(&Report::Get(response))?,
                Some(Response::ResponsePut(response)) => self.report(&Report::Put(response))?,
                Some(Response::ResponseDeleteRange(response)) => self.report(&Report::Delete(response))?,
                other => self.string("Unknown", &format!("{other:?}")),
            }
        }
        Ok(())
    }

    fn field(&mut self, name: &str, value: impl Display) {
        self.text += &format!("\"{name}\" : {value}\n");
    }

    fn string(&mut self, name: &str, value: &str) {
        self.field(name, quote(value.as_bytes()));
    }

    fn member(&mut self, name: &str, id: u64) {
        match self.hex {
            true => self.field(name, format!("{id:x}")),
            false => self.field(name, id),
        }
    }

    fn lease(&mut self, name: &str, id: i64) {
        match self.hex {
            true => self.field(name, format!("{id:016x}")),
            false => self.field(name, id),
        }
    }

    fn header(&mut self, header: &Option<ResponseHeader>) {
        let header = header.unwrap_or_default();
        self.member("ClusterID", header.cluster_id);
        self.member("MemberID", header.member_id);
        if header.revision > 0 {
            self.field("Revision", header.revision);
        }
        self.field("RaftTerm", header.raft_term);
    }

    fn key_values(&mut self, prefix: &str, kvs: &[Bytes]) -> Result {
        for encoded in kvs {
            self.key_value(prefix, &kv::key_value(encoded)?);
        }
        Ok(())
    }

    fn key_value(&mut self, prefix: &str, kv: &KeyValue) {
        self.field(&format!("{prefix}Key"), quote(&kv.key));
        self.field(&format!("{prefix}CreateRevision"), kv.create_revision);
        self.field(&format!("{prefix}ModRevision"), kv.mod_revision);
        self.field(&format!("{prefix}Version"), kv.version);
        self.field(&format!("{prefix}Value"), quote(&kv.value));
        self.lease(&format!("{prefix}Lease"), kv.lease);
    }
}
