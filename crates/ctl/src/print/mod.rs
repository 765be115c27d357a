//! Responses as text, in etcdctl's output formats.

mod fields;
mod json;
mod protobuf;
mod simple;
mod table;

use crate::exit::{Failure, Result};
use client::pb::etcdserverpb::*;
use std::time::Duration;

/// `--write-out`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Format {
    Simple,
    Json,
    Fields,
    Protobuf,
    Table,
}

/// How responses are shown.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// `--write-out`.
    pub format: Format,
    /// `--hex`.
    pub hex: bool,
    /// `--print-value-only`.
    pub value_only: bool,
}

/// A response, with what of the request is needed to show it.
#[allow(missing_docs)]
pub enum Report<'a> {
    Get(&'a RangeResponse),
    Put(&'a PutResponse),
    Delete(&'a DeleteRangeResponse),
    Txn(&'a TxnResponse),
    Watch(&'a WatchResponse),
    Grant(&'a LeaseGrantResponse),
    Revoke(i64, &'a LeaseRevokeResponse),
    KeepAlive(&'a LeaseKeepAliveResponse),
    /// With the keys, if they were asked for.
    TimeToLive(&'a LeaseTimeToLiveResponse, bool),
    Leases(&'a LeaseLeasesResponse),
    MemberAdd(&'a MemberAddResponse),
    MemberRemove(u64, &'a MemberRemoveResponse),
    MemberUpdate(u64, &'a MemberUpdateResponse),
    MemberPromote(u64, &'a MemberPromoteResponse),
    MemberList(&'a MemberListResponse),
    Health(&'a [Health]),
    Status(&'a [(String, StatusResponse)]),
    HashKv(&'a [(String, HashKvResponse)]),
    /// From whom, to whom.
    MoveLeader(u64, u64, &'a MoveLeaderResponse),
    DowngradeValidate(&'a DowngradeResponse),
    DowngradeEnable(&'a DowngradeResponse),
    DowngradeCancel(&'a DowngradeResponse),
    Alarm(&'a AlarmResponse),
    RoleAdd(&'a str, &'a AuthRoleAddResponse),
    RoleGet(&'a str, &'a AuthRoleGetResponse),
    RoleDelete(&'a str, &'a AuthRoleDeleteResponse),
    RoleList(&'a AuthRoleListResponse),
    RoleGrantPermission(&'a str, &'a AuthRoleGrantPermissionResponse),
    /// Role, key, end of the range.
    RoleRevokePermission(&'a str, &'a str, &'a [u8], &'a AuthRoleRevokePermissionResponse),
    UserAdd(&'a str, &'a AuthUserAddResponse),
    UserGet(&'a str, &'a AuthUserGetResponse),
    UserList(&'a AuthUserListResponse),
    UserChangePassword(&'a AuthUserChangePasswordResponse),
    /// User, role.
    UserGrantRole(&'a str, &'a str, &'a AuthUserGrantRoleResponse),
    /// User, role.
    UserRevokeRole(&'a str, &'a str, &'a AuthUserRevokeRoleResponse),
    UserDelete(&'a str, &'a AuthUserDeleteResponse),
    AuthStatus(&'a AuthStatusResponse),
}

/// What `endpoint health` found at one endpoint.
#[derive(Clone, Debug)]
pub struct Health {
    /// As given.
    pub endpoint: String,
    /// How long the answer took; `None` without an attempt.
    pub took: Option<Duration>,
    /// What is wrong, empty if nothing is.
    pub error: String,
}

impl Printer {
    /// The text for the standard output. Fails where the format has no form for the response.
    pub fn render(&self, report: &Report) -> Result<Vec<u8>> {
        match self.format {
            Format::Simple => simple::render(self, report),
            Format::Json => json::render(self, report),
            Format::Fields => fields::render(self, report),
            Format::Protobuf => protobuf::render(report),
            Format::Table => table::render(report).map(String::into_bytes),
        }
    }
}

impl Format {
    /// Reads the flag's value.
    pub fn parse(text: &str) -> Result<Format> {
        match text {
            "simple" => Ok(Format::Simple),
            "json" => Ok(Format::Json),
            "fields" => Ok(Format::Fields),
            "protobuf" => Ok(Format::Protobuf),
            "table" => Ok(Format::Table),
            _ => Err(Failure::feature("unsupported output format")),
        }
    }
}

fn unsupported(format: &str) -> Failure {
    Failure::feature(format!("{format} not supported as output format"))
}

fn event_name(kind: client::pb::mvccpb::event::EventType) -> &'static str {
    kind.as_str_name()
}
