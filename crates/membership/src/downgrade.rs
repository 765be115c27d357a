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
    let known = members.iter().copied().collect::<Option<Vec<Version>>>();
    let lowest = known
        .and_then(|versions| versions.into_iter().min())
        .map(Version::cluster);
    let Some(current) = current else {
        return Ok(Some(lowest.unwrap_or(Version::LOWEST)));
    };
    let Some(lowest) = lowest else {
        return Ok(None);
    };
    match downgrade {
        Downgrade::To(target) if target == current => Ok(None),
        Downgrade::To(target) if one_below(current) != Some(target) || one_below(lowest) != Some(target) => {
            Err(Error::BadDowngrade(target))
        }
        Downgrade::To(target) => Ok(Some(target)),
        // A new major version is never reached by itself.
        Downgrade::Off => Ok(Some(lowest).filter(|to| to.major == current.major && current < *to)),
    }
}

/// Whether every member runs the version that the cluster is being downgraded to: then the job is done.
pub fn is_downgraded(downgrade: Downgrade, members: &[Option<Version>]) -> bool {
    match downgrade {
        Downgrade::Off => false,
        Downgrade::To(target) => members
            .iter()
            .all(|version| version.map(Version::cluster) == Some(target)),
    }
}

/// Whether a server of this version may run in a cluster of that version: not below it.
pub fn may_serve(server: Version, cluster: Option<Version>) -> bool {
    cluster.is_none_or(|cluster| server.cluster() >= cluster)
}

/// Whether a joining server fits to a running cluster of version `cluster`.
pub fn may_join(server: Version, cluster: Version, downgrade: Downgrade) -> bool {
    match downgrade {
        Downgrade::Off => (Version::LOWEST..=server.cluster()).contains(&cluster),
        Downgrade::To(_) => one_below(cluster) == Some(server.cluster()),
    }
}

/// Whether a downgrade to `target` (`3.6` or `3.6.0`) may start; gives the target.
pub fn validate_downgrade(
    current: Option<Version>,
    downgrade: Downgrade,
    target: &str,
) -> Result<Version, Rejection> {
    let target: Version = target.parse().map_err(|_| Rejection::WrongDowngradeFormat)?;
    let target = target.cluster();
    let current = current.ok_or(Rejection::ClusterVersionUnavailable)?;
    if one_below(current) != Some(target) {
        return Err(Rejection::InvalidDowngradeTarget);
    }
    match downgrade {
        Downgrade::Off => Ok(target),
        Downgrade::To(_) => Err(Rejection::DowngradeInProgress),
    }
}

fn one_below(version: Version) -> Option<Version> {
    Some(Version::new(version.major, version.minor.checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V36: Version = Version::new(3, 6);
    const V37: Version = Version::new(3, 7);
    const V371: Version = Version { patch: 1, ..V37 };

    #[test]
    fn the_cluster_has_the_version_of_its_oldest_member() {
        let decide = |current, members: &[Option<Version>]| {
            decide_cluster_version(current, Downgrade::Off, members).unwrap()
        };
        assert_eq!(decide(None, &[Some(V371), None]), Some(Version::LOWEST));
        assert_eq!(decide(None, &[Some(V371), Some(V36)]), Some(V36));
        assert_eq!(decide(Some(Version::LOWEST), &[Some(V371), Some(V36)]), Some(V36));
        assert_eq!(decide(Some(V36), &[Some(V371), Some(V371)]), Some(V37));
        assert_eq!(decide(Some(V37), &[Some(V371), Some(V36)]), None);
        assert_eq!(decide(Some(V37), &[Some(V371), None]), None);
        assert_eq!(decide(Some(V37), &[Some(Version::new(4, 0))]), None);
    }

    #[test]
    fn a_downgrade_lowers_the_cluster_version_once() {
        let down =
            |current, member| decide_cluster_version(Some(current), Downgrade::To(V36), &[Some(member)]);
        assert_eq!(down(V37, V371), Ok(Some(V36)));
        assert_eq!(down(V36, V371), Ok(None));
        assert_eq!(down(Version::new(3, 8), V371), Err(Error::BadDowngrade(V36)));
        assert!(!is_downgraded(Downgrade::To(V36), &[Some(V36), Some(V371)]));
        assert!(!is_downgraded(Downgrade::To(V36), &[Some(V36), None]));
        assert!(is_downgraded(
            Downgrade::To(V36),
            &[Some(V36), Some(Version { patch: 4, ..V36 })]
        ));
    }

    #[test]
    fn downgrades_go_one_minor_version() {
        let validate = |target| validate_downgrade(Some(V37), Downgrade::Off, target);
        assert_eq!(validate("3.6"), Ok(V36));
        assert_eq!(validate("3.6.9"), Ok(V36));
        for target in ["3.7", "3.5", "4.6", "3.8"] {
            assert_eq!(
                validate(target),
                Err(Rejection::InvalidDowngradeTarget),
                "{target}"
            );
        }
        assert_eq!(validate("six"), Err(Rejection::WrongDowngradeFormat));
        assert_eq!(
            validate_downgrade(None, Downgrade::Off, "3.6"),
            Err(Rejection::ClusterVersionUnavailable)
        );
        assert_eq!(
            validate_downgrade(Some(V37), Downgrade::To(V36), "3.6"),
            Err(Rejection::DowngradeInProgress)
        );
    }

    #[test]
    fn who_is_too_old_may_not_serve() {
        assert!(may_serve(V371, None) && may_serve(V371, Some(V37)) && !may_serve(V36, Some(V37)));
        assert!(may_join(V371, V36, Downgrade::Off) && !may_join(V36, V37, Downgrade::Off));
        assert!(may_join(V36, V37, Downgrade::To(V36)) && !may_join(V371, V37, Downgrade::To(V36)));
    }
}
