//! Joining a running cluster.

use crate::{Cluster, Error};

/// Gives the members of `local` (from `--initial-cluster`) the ids they have in the running cluster, matched by peer
/// URLs. `resolve` turns a URL into one with addresses instead of names, for members that were named differently; it
/// may return the URL as it is.
pub fn assign_ids(
    local: &Cluster,
    running: &Cluster,
    resolve: impl FnMut(&str) -> String,
) -> Result<Cluster, Error> {
    let _ = (local, running, resolve);
    todo!()
}
