//! The response messages as they came over the wire.

use super::{Report, unsupported};
use crate::exit::Result;
use client::pb::etcdserverpb::ResponseHeader;
use prost::Message;

pub(super) fn render(report: &Report) -> Result<Vec<u8>> {
    let bytes = match report {
        Report::Get(response) => response.encode_to_vec(),
        Report::Put(response) => response.encode_to_vec(),
        Report::Delete(response) => response.encode_to_vec(),
        Report::Txn(response) => response.encode_to_vec(),
        // What tells watchers apart is not the user's concern.
        Report::Watch(response) => {
            let mut response = (*response).clone();
            response.watch_id = 0;
            response.cancel_reason = String::new();
            response.encode_to_vec()
        }
        // Go's client has structs of its own for these, of which only the header is a message.
        Report::Grant(response) => header(&response.header),
        Report::KeepAlive(response) => header(&response.header),
        Report::TimeToLive(response, _) => header(&response.header),
        Report::Leases(response) => header(&response.header),
        Report::Revoke(_, response) => response.encode_to_vec(),
        Report::MemberAdd(response) => response.encode_to_vec(),
        Report::MemberRemove(_, response) => response.encode_to_vec(),
        Report::MemberUpdate(_, response) => response.encode_to_vec(),
        Report::MemberPromote(_, response) => response.encode_to_vec(),
        Report::MemberList(response) => response.encode_to_vec(),
        Report::Health(_) | Report::Status(_) | Report::HashKv(_) => return Err(unsupported("protobuf")),
        Report::MoveLeader(_, _, response) => response.encode_to_vec(),
        Report::DowngradeValidate(response)
        | Report::DowngradeEnable(response)
        | Report::DowngradeCancel(response) => response.encode_to_vec(),
        Report::Alarm(response) => response.encode_to_vec(),
        Report::RoleAdd(_, response) => response.encode_to_vec(),
        Report::RoleGet(_, response) => response.encode_to_vec(),
        Report::RoleDelete(_, response) => response.encode_to_vec(),
        Report::RoleList(response) => response.encode_to_vec(),
        Report::RoleGrantPermission(_, response) => response.encode_to_vec(),
        Report::RoleRevokePermission(_, _, _, response) => response.encode_to_vec(),
        Report::UserAdd(_, response) => response.encode_to_vec(),
        Report::UserGet(_, response) => response.encode_to_vec(),
        Report::UserList(response) => response.encode_to_vec(),
        Report::UserChangePassword(response) => response.encode_to_vec(),
        Report::UserGrantRole(_, _, response) => response.encode_to_vec(),
        Report::UserRevokeRole(_, _, response) => response.encode_to_vec(),
        Report::UserDelete(_, response) => response.encode_to_vec(),
        Report::AuthStatus(response) => response.encode_to_vec(),
    };
    Ok(bytes)
}

fn header(header: &Option<ResponseHeader>) -> Vec<u8> {
    header.unwrap_or_default().encode_to_vec()
}
