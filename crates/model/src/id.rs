//! Ids that must not be mixed up.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty), $format:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "(", $format, ")"), self.0)
            }
        }
    };
}

id!(
    /// A member of the cluster, for ever: the id of a removed member never comes back. Shown in hex, as etcd does.
    MemberId(u64), "{:x}");
id!(
    /// A cluster: members with another id are never talked to.
    ClusterId(u64), "{:x}");
id!(
    /// A lease. Any value but 0, negative ones too; 0 on the wire means "no lease".
    LeaseId(i64), "{:x}");
id!(
    /// Position in the raft log; the first entry has 1.
    LogIndex(u64), "{}");
id!(
    /// Raft term.
    Term(u64), "{}");
