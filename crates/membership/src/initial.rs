//! The flag `--initial-cluster`.

use crate::Error;
use std::collections::BTreeMap;

/// Names and peer URLs of the members a cluster starts with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InitialCluster {
    /// Sorted, checked peer URLs by name.
    pub members: BTreeMap<String, Vec<String>>,
}

impl InitialCluster {
    /// Reads `name=url,name=url`; a name may occur several times, each with one of its URLs.
    pub fn parse(text: &str) -> Result<InitialCluster, Error> {
        let _ = text;
        todo!()
    }
}
