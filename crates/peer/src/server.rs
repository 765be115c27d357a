//! Small HTTP endpoints.
#![expect(unused_variables, clippy::todo, reason = "skeleton")]

use crate::{Connector, Error, Versions};
use model::ClusterId;
use model::pb::etcdserverpb as pb;

/// What `GET /members` on a peer URL says.
#[derive(Clone, PartialEq, Debug)]
pub struct ClusterMembers {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its members.
    pub members: Vec<pb::Member>,
}

/// Asks whoever listens on a peer URL for the members of its cluster. Redirections are not followed.
pub async fn members_of(connector: &dyn Connector, url: &str) -> Result<ClusterMembers, Error> {
    todo!()
}

/// Asks whoever listens on a peer URL for its versions.
pub async fn version_of(connector: &dyn Connector, url: &str) -> Result<Versions, Error> {
    todo!()
}
