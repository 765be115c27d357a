//! The key spaces of the store: names are the schema.

/// A key space of its own; an engine keeps each in a column family, keyspace or map of that name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Family {
    /// Newest version of each user key.
    Current,
    /// Every change in order of revision. Appended at the end, dropped from the front.
    Log,
    /// Which revisions changed a user key.
    Versions,
    /// How many keys lie between fences, so that counting is no scan.
    Counts,
    /// Leases.
    Lease,
    /// Which keys hang on which lease.
    LeaseKeys,
    /// Users, roles, and whether authentication is on.
    Auth,
    /// Members of the cluster and ids that were removed.
    Members,
    /// Applied index and term, compacted revision, cluster version, alarms, format version.
    Meta,
}

impl Family {
    /// All of them, in order of their numbers.
    pub const ALL: [Family; 9] = [
        Family::Current,
        Family::Log,
        Family::Versions,
        Family::Counts,
        Family::Lease,
        Family::LeaseKeys,
        Family::Auth,
        Family::Members,
        Family::Meta,
    ];

    /// Name in files; never changes.
    pub fn name(self) -> &'static str {
        match self {
            Family::Current => "current",
            Family::Log => "log",
            Family::Versions => "versions",
            Family::Counts => "counts",
            Family::Lease => "lease",
            Family::LeaseKeys => "lease_keys",
            Family::Auth => "auth",
            Family::Members => "members",
            Family::Meta => "meta",
        }
    }
}
