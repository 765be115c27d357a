//! What a member does by itself.

pub(crate) mod auto_compaction;
pub(crate) mod compaction;
pub(crate) mod flush;
pub(crate) mod leases;
pub(crate) mod publish;
pub(crate) mod reclaim;
pub(crate) mod removal;
pub(crate) mod versions;
pub(crate) mod watching;
