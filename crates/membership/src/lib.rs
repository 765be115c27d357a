//! Who belongs to the cluster: members, learners, ids that never come back, the cluster version, and which change is
//! legal.
//!
//! Knows neither raft, sockets, clock nor disk: a conf change is a value, connections and times are facts passed in,
//! and rows to be written go back to the caller.

mod change;
mod cluster;
mod downgrade;
mod error;
mod id;
mod initial;
mod join;
mod member;
mod rows;
mod strict;
mod urls;
mod version;

pub use change::{Change, ChangeKind};
pub use cluster::Cluster;
pub use downgrade::{
    Downgrade, decide_cluster_version, is_downgraded, may_join, may_serve, validate_downgrade,
};
pub use error::Error;
pub use id::{cluster_id, member_id};
pub use initial::InitialCluster;
pub use join::assign_ids;
pub use member::Member;
pub use rows::{Row, RowFamily};
pub use strict::{Connections, HEALTH_INTERVAL, learner_is_ready};
pub use urls::{check_url, check_urls};
pub use version::Version;
