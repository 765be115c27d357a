//! What readers see of the applied state.

use crate::Alarms;
use arc_swap::ArcSwap;
use auth::Rules;
use lease::Lessor;
use membership::Cluster;
use parking_lot::Mutex;
use std::sync::Arc;

/// The applied state as the last commit left it, for all threads. The parts are replaced one after the other: a reader
/// that needs them to agree compares revisions, as with [`Rules::revision`] after a range.
pub struct Shared {
    /// Keys.
    pub store: mvcc::Store,
    /// Leases: the one part that is shared while commands are applied, for keep-alives. Hold the lock briefly.
    pub lessor: Mutex<Lessor>,
    pub(crate) rules: ArcSwap<Rules>,
    pub(crate) cluster: ArcSwap<Cluster>,
    pub(crate) alarms: ArcSwap<Alarms>,
}

impl Shared {
    /// Who may do what.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Members, cluster version and downgrade.
    pub fn cluster(&self) -> Arc<Cluster> {
        self.cluster.load_full()
    }

    /// Alarms that are set.
    pub fn alarms(&self) -> Arc<Alarms> {
        self.alarms.load_full()
    }
}

/// Keys of leases, for permission checks.
pub struct LeaseKeys<'a>(pub &'a Mutex<Lessor>);

impl auth::AttachedKeys for LeaseKeys<'_> {
    fn all_keys(&self, lease: model::LeaseId, allowed: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.lock().all_keys(lease, allowed)
    }
}
