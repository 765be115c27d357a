//! Cluster version and downgrade decisions (etcd server/etcdserver/version).

use crate::{Error, Version};
use model::Rejection;

/// Whether the cluster is being downgraded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Downgrade {
    /// It is not.
    #[default]
    Off,
    /// To this cluster version.
    To(Version),
}

/// What the leader should propose as cluster version, `None` for no change. `members` are the server versions of all
/// members, `None` for one that did not answer.
pub fn decide_cluster_version(
    current: Option<Version>,
    downgrade: Downgrade,
    members: &[Option<Version>],
) -> Result<Option<Version>, Error> {
    let _ = (current, downgrade, members);
    todo!()
}

/// Whether a downgrade to `target` (`3.6` or `3.6.0`) may start; gives the target.
pub fn validate_downgrade(
    current: Option<Version>,
    downgrade: Downgrade,
    target: &str,
) -> Result<Version, Rejection> {
    let _ = (current, downgrade, target);
    todo!()
}
