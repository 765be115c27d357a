//! Every call with one request and one answer, and the streams that only answer.

use crate::call::Repeat;
use crate::{Client, Result};
use api::etcdserverpb::auth_client::AuthClient;
use api::etcdserverpb::cluster_client::ClusterClient;
use api::etcdserverpb::kv_client::KvClient;
use api::etcdserverpb::lease_client::LeaseClient;
use api::etcdserverpb::maintenance_client::MaintenanceClient;
use api::v3electionpb::election_client::ElectionClient;
use api::v3lockpb::lock_client::LockClient;
use model::pb::etcdserverpb::*;
use model::pb::{v3electionpb, v3lockpb};
use tonic::Streaming;

macro_rules! calls {
    ($($client:ident { $($(#[$doc:meta])* $repeat:ident $name:ident($method:ident, $request:ty) -> $answer:ty;)* })*) => {
        impl Client {
            $($(
                $(#[$doc])*
                pub async fn $name(&self, request: $request) -> Result<$answer> {
                    let bytes_max = self.options().response_bytes_max;
                    self.unary(Repeat::$repeat, request, move |channel, request| async move {
                        $client::new(channel).max_decoding_message_size(bytes_max).$method(request).await
                    })
                    .await
                }
            )*)*
        }
    };
}

calls! {
    KvClient {
        /// Reads keys.
        Freely range(range, RangeRequest) -> RangeResponse;
        /// Writes a key.
        Unsent put(put, PutRequest) -> PutResponse;
        /// Deletes keys.
        Unsent delete_range(delete_range, DeleteRangeRequest) -> DeleteRangeResponse;
        /// Does several things at one revision, depending on what is there.
        Unsent txn(txn, TxnRequest) -> TxnResponse;
        /// Forgets the history before a revision.
        Unsent compact(compact, CompactionRequest) -> CompactionResponse;
    }
    LeaseClient {
        /// Makes a lease.
        Unsent lease_grant(lease_grant, LeaseGrantRequest) -> LeaseGrantResponse;
        /// Ends a lease, and deletes the keys that hang on it.
        Unsent lease_revoke(lease_revoke, LeaseRevokeRequest) -> LeaseRevokeResponse;
        /// How long a lease still has.
        Freely lease_time_to_live(lease_time_to_live, LeaseTimeToLiveRequest) -> LeaseTimeToLiveResponse;
        /// All leases.
        Freely lease_leases(lease_leases, LeaseLeasesRequest) -> LeaseLeasesResponse;
    }
    ClusterClient {
        /// Adds a member.
        Unsent member_add(member_add, MemberAddRequest) -> MemberAddResponse;
        /// Removes a member.
        Unsent member_remove(member_remove, MemberRemoveRequest) -> MemberRemoveResponse;
        /// Changes a member's peer addresses.
        Unsent member_update(member_update, MemberUpdateRequest) -> MemberUpdateResponse;
        /// Lists the members.
        Freely member_list(member_list, MemberListRequest) -> MemberListResponse;
        /// Makes a learner a voter.
        Unsent member_promote(member_promote, MemberPromoteRequest) -> MemberPromoteResponse;
    }
    MaintenanceClient {
        /// Lists, raises or clears alarms.
        Freely alarm(alarm, AlarmRequest) -> AlarmResponse;
        /// State of the endpoint.
        Freely status(status, StatusRequest) -> StatusResponse;
        /// Gives unused space of the endpoint back.
        Freely defragment(defragment, DefragmentRequest) -> DefragmentResponse;
        /// Hash of the endpoint's whole store.
        Freely hash(hash, HashRequest) -> HashResponse;
        /// Hash of the endpoint's keys up to a revision.
        Freely hash_kv(hash_kv, HashKvRequest) -> HashKvResponse;
        /// Hands leadership over; only the leader does.
        Unsent move_leader(move_leader, MoveLeaderRequest) -> MoveLeaderResponse;
        /// Prepares, starts or stops a downgrade.
        Unsent downgrade(downgrade, DowngradeRequest) -> DowngradeResponse;
    }
    AuthClient {
        /// Turns authentication on.
        Unsent auth_enable(auth_enable, AuthEnableRequest) -> AuthEnableResponse;
        /// Turns authentication off.
        Unsent auth_disable(auth_disable, AuthDisableRequest) -> AuthDisableResponse;
        /// Whether authentication is on.
        Freely auth_status(auth_status, AuthStatusRequest) -> AuthStatusResponse;
        /// Adds a user.
        Unsent user_add(user_add, AuthUserAddRequest) -> AuthUserAddResponse;
        /// A user's roles.
        Freely user_get(user_get, AuthUserGetRequest) -> AuthUserGetResponse;
        /// All users.
        Freely user_list(user_list, AuthUserListRequest) -> AuthUserListResponse;
        /// Removes a user.
        Unsent user_delete(user_delete, AuthUserDeleteRequest) -> AuthUserDeleteResponse;
        /// Sets a user's password.
        Unsent user_change_password(user_change_password, AuthUserChangePasswordRequest) -> AuthUserChangePasswordResponse;
        /// Gives a user a role.
        Unsent user_grant_role(user_grant_role, AuthUserGrantRoleRequest) -> AuthUserGrantRoleResponse;
        /// Takes a role from a user.
        Unsent user_revoke_role(user_revoke_role, AuthUserRevokeRoleRequest) -> AuthUserRevokeRoleResponse;
        /// Adds a role.
        Unsent role_add(role_add, AuthRoleAddRequest) -> AuthRoleAddResponse;
        /// A role's permissions.
        Freely role_get(role_get, AuthRoleGetRequest) -> AuthRoleGetResponse;
        /// All roles.
        Freely role_list(role_list, AuthRoleListRequest) -> AuthRoleListResponse;
        /// Removes a role.
        Unsent role_delete(role_delete, AuthRoleDeleteRequest) -> AuthRoleDeleteResponse;
        /// Gives a role a permission.
        Unsent role_grant_permission(role_grant_permission, AuthRoleGrantPermissionRequest) -> AuthRoleGrantPermissionResponse;
        /// Takes a permission from a role.
        Unsent role_revoke_permission(role_revoke_permission, AuthRoleRevokePermissionRequest) -> AuthRoleRevokePermissionResponse;
    }
    LockClient {
        /// Waits for a lock at the server; see [`crate::Mutex`] for one that survives a lost connection.
        Unsent lock(lock, v3lockpb::LockRequest) -> v3lockpb::LockResponse;
        /// Releases a lock.
        Unsent unlock(unlock, v3lockpb::UnlockRequest) -> v3lockpb::UnlockResponse;
    }
    ElectionClient {
        /// Waits at the server to be elected; see [`crate::Election`] for one that survives a lost connection.
        Unsent campaign(campaign, v3electionpb::CampaignRequest) -> v3electionpb::CampaignResponse;
        /// Changes what the leader proclaims.
        Unsent proclaim(proclaim, v3electionpb::ProclaimRequest) -> v3electionpb::ProclaimResponse;
        /// Who leads.
        Freely leader(leader, v3electionpb::LeaderRequest) -> v3electionpb::LeaderResponse;
        /// Gives leadership up.
        Unsent resign(resign, v3electionpb::ResignRequest) -> v3electionpb::ResignResponse;
    }
}

impl Client {
    /// Reads keys in chunks, all at one revision.
    pub async fn range_stream(&self, request: RangeRequest) -> Result<Streaming<RangeStreamResponse>> {
        let bytes_max = self.options().response_bytes_max;
        self.open(request, move |channel, request| async move {
            KvClient::new(channel)
                .max_decoding_message_size(bytes_max)
                .range_stream(request)
                .await
        })
        .await
    }

    /// A copy of the endpoint's store, in pieces.
    pub async fn snapshot(&self) -> Result<Streaming<SnapshotResponse>> {
        let bytes_max = self.options().response_bytes_max;
        self.open(SnapshotRequest {}, move |channel, request| async move {
            MaintenanceClient::new(channel)
                .max_decoding_message_size(bytes_max)
                .snapshot(request)
                .await
        })
        .await
    }
}
