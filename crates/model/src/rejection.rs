//! Refusals: answers that are part of the replicated result, the same on every member.

use thiserror::Error;

/// gRPC status codes that refusals use, with the numbers of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    OutOfRange = 11,
    Unimplemented = 12,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

macro_rules! rejections {
    ($($name:ident, $code:ident, $text:literal;)*) => {
        /// Why a well-formed request was not carried out. Clients match on the texts, which are etcd's, byte for byte
        /// (etcd api/v3rpc/rpctypes/error.go).
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
        #[allow(missing_docs)]
        pub enum Rejection {
            $(#[error($text)] $name,)*
        }

        impl Rejection {
            /// Every refusal there is.
            pub const ALL: &[Rejection] = &[$(Rejection::$name,)*];

            /// The status code it travels with.
            pub fn code(self) -> Code {
                match self {
                    $(Rejection::$name => Code::$code,)*
                }
            }

            /// The text it travels with.
            pub fn message(self) -> &'static str {
                match self {
                    $(Rejection::$name => $text,)*
                }
            }
        }
    };
}

rejections! {
    EmptyKey, InvalidArgument, "etcdserver: key is not provided";
    KeyNotFound, InvalidArgument, "etcdserver: key not found";
    ValueProvided, InvalidArgument, "etcdserver: value is provided";
    LeaseProvided, InvalidArgument, "etcdserver: lease is provided";
    TooManyOps, InvalidArgument, "etcdserver: too many operations in txn request";
    DuplicateKey, InvalidArgument, "etcdserver: duplicate key given in txn request";
    InvalidSortOption, InvalidArgument, "etcdserver: invalid sort option";
    Compacted, OutOfRange, "etcdserver: mvcc: required revision has been compacted";
    FutureRevision, OutOfRange, "etcdserver: mvcc: required revision is a future revision";
    NoSpace, ResourceExhausted, "etcdserver: mvcc: database space exceeded";
    Corrupt, DataLoss, "etcdserver: corrupt cluster";
    RangeStreamSort, Unimplemented, "RangeStream does not support custom sort orders";
    RangeStreamFilter, Unimplemented, "RangeStream does not support revision filters";

    LeaseNotFound, NotFound, "etcdserver: requested lease not found";
    LeaseExists, FailedPrecondition, "etcdserver: lease already exists";
    LeaseTtlTooLarge, OutOfRange, "etcdserver: too large lease TTL";
    NotPrimaryLessor, Unknown, "not a primary lessor";

    MemberExists, FailedPrecondition, "etcdserver: member ID already exist";
    PeerUrlExists, FailedPrecondition, "etcdserver: Peer URLs already exists";
    MemberNotEnoughStarted, Unknown, "etcdserver: re-configuration failed due to not enough started members";
    MemberBadUrls, InvalidArgument, "etcdserver: given member URLs are invalid";
    MemberNotFound, NotFound, "etcdserver: member not found";
    MemberNotLearner, FailedPrecondition, "etcdserver: can only promote a learner member";
    LearnerNotReady, FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader";
    TooManyLearners, FailedPrecondition, "etcdserver: too many learner members in cluster";
    UnhealthyCluster, Unavailable, "etcdserver: unhealthy cluster";
    NotSupportedForLearner, FailedPrecondition, "etcdserver: rpc not supported for learner";

    RootUserNotExist, FailedPrecondition, "etcdserver: root user does not exist";
    RootRoleNotGranted, FailedPrecondition, "etcdserver: root user does not have root role";
    UserExists, FailedPrecondition, "etcdserver: user name already exists";
    UserEmpty, InvalidArgument, "etcdserver: user name is empty";
    UserNotFound, FailedPrecondition, "etcdserver: user name not found";
    RoleExists, FailedPrecondition, "etcdserver: role name already exists";
    RoleNotFound, FailedPrecondition, "etcdserver: role name not found";
    RoleEmpty, InvalidArgument, "etcdserver: role name is empty";
    AuthFailed, InvalidArgument, "etcdserver: authentication failed, invalid user ID or password";
    NoPasswordUser, Unknown, "auth: authentication failed, password was given for no password user";
    PermissionNotGiven, InvalidArgument, "etcdserver: permission not given";
    PermissionDenied, PermissionDenied, "etcdserver: permission denied";
    RoleNotGranted, FailedPrecondition, "etcdserver: role is not granted to the user";
    PermissionNotGranted, FailedPrecondition, "etcdserver: permission is not granted to the role";
    AuthNotEnabled, FailedPrecondition, "etcdserver: authentication is not enabled";
    InvalidAuthToken, Unauthenticated, "etcdserver: invalid auth token";
    InvalidAuthManagement, InvalidArgument, "etcdserver: invalid auth management";
    AuthOldRevision, InvalidArgument, "etcdserver: revision of auth store is old";
    PasswordTooLong, Unknown, "bcrypt: password length exceeds 72 bytes";
    TokenVerifyOnly, Unknown, "auth: token signing attempted with verify-only key";

    RequestTooLarge, InvalidArgument, "etcdserver: request is too large";
    TooManyRequests, Unknown, "etcdserver: too many requests";
    NoLeader, Unavailable, "etcdserver: no leader";
    NotLeader, FailedPrecondition, "etcdserver: not leader";
    LeaderChanged, Unavailable, "etcdserver: leader changed";
    BadLeaderTransferee, FailedPrecondition, "etcdserver: bad leader transferee";
    LeaderTransferTimeout, Unknown, "etcdserver: request timed out, leader transfer took too long";
    NotCapable, FailedPrecondition, "etcdserver: not capable";
    Stopped, Unavailable, "etcdserver: server stopped";
    Timeout, Unavailable, "etcdserver: request timed out";
    TimeoutLeaderFailure, Unavailable, "etcdserver: request timed out, possibly due to previous leader failure";
    TimeoutConnectionLost, Unavailable, "etcdserver: request timed out, possibly due to connection lost";
    TimeoutAppliedIndex, Unavailable, "etcdserver: request timed out, waiting for the applied index took too long";
    ProposalDropped, Unknown, "raft proposal dropped";
    InvalidClientApiVersion, InvalidArgument, "etcdserver: invalid client api version";
    UnknownMethod, Unknown, "etcdserver: unknown method";

    ClusterVersionUnavailable, FailedPrecondition, "etcdserver: cluster version not found during downgrade";
    WrongDowngradeFormat, InvalidArgument, "etcdserver: wrong downgrade target version format";
    InvalidDowngradeTarget, InvalidArgument, "etcdserver: invalid downgrade target version";
    DowngradeInProgress, FailedPrecondition, "etcdserver: cluster has a downgrade job in progress";
    NoInflightDowngrade, FailedPrecondition, "etcdserver: no inflight downgrade job";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_used_once() {
        let mut texts: Vec<_> = Rejection::ALL
            .iter()
            .map(|rejection| rejection.message())
            .collect();
        texts.sort();
        assert!(texts.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
