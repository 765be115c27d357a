//! What a command answers once applied.

use crate::pb::etcdserverpb as pb;

/// The answer to a [`crate::Request`] of the same name. Headers carry only the revision; the gateway adds who answered.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Reply {
    Range(pb::RangeResponse),
    Put(pb::PutResponse),
    DeleteRange(pb::DeleteRangeResponse),
    Txn(pb::TxnResponse),
    Compaction(pb::CompactionResponse),
    LeaseGrant(pb::LeaseGrantResponse),
    LeaseRevoke(pb::LeaseRevokeResponse),
    LeaseCheckpoint(pb::LeaseCheckpointResponse),
    Alarm(pb::AlarmResponse),
    AuthEnable(pb::AuthEnableResponse),
    AuthDisable(pb::AuthDisableResponse),
    AuthStatus(pb::AuthStatusResponse),
    Authenticate(pb::AuthenticateResponse),
    AuthUserAdd(pb::AuthUserAddResponse),
    AuthUserDelete(pb::AuthUserDeleteResponse),
    AuthUserGet(pb::AuthUserGetResponse),
    AuthUserChangePassword(pb::AuthUserChangePasswordResponse),
    AuthUserGrantRole(pb::AuthUserGrantRoleResponse),
    AuthUserRevokeRole(pb::AuthUserRevokeRoleResponse),
    AuthUserList(pb::AuthUserListResponse),
    AuthRoleList(pb::AuthRoleListResponse),
    AuthRoleAdd(pb::AuthRoleAddResponse),
    AuthRoleDelete(pb::AuthRoleDeleteResponse),
    AuthRoleGet(pb::AuthRoleGetResponse),
    AuthRoleGrantPermission(pb::AuthRoleGrantPermissionResponse),
    AuthRoleRevokePermission(pb::AuthRoleRevokePermissionResponse),
    /// Of commands that only the members themselves send: cluster version, member attributes, downgrade.
    Done,
}
