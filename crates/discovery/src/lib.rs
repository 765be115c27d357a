//! How those who do not know each other yet find one another: through DNS, through keys in a running cluster (etcd's
//! v3 discovery), or through a discovery URL that a running cluster has given out.
//!
//! Answers are texts as `--initial-cluster` has them, and addresses. Knows neither members' state nor servers' insides.

mod error;
mod http1;
mod public;
mod registry;
mod srv;

pub use error::{Error, Result};
pub use public::{join_public, members_listed};
pub use registry::{Registry, full_or_first};
pub use srv::{Record, Resolver};
