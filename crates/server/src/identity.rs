//! Who a data directory belongs to.

use anyhow::Context;
use model::{ClusterId, MemberId};
use prost::Message;
use std::path::Path;
use wal::Wal;

/// What every segment of the raft log begins with: etcd's `Metadata`.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(uint64, tag = "1")]
    node: u64,
    #[prost(uint64, tag = "2")]
    cluster: u64,
}

/// The member whose log is in the directory; `None` where there is none yet, or one that never got to its first entry.
pub fn stored(log: &Path) -> anyhow::Result<Option<(MemberId, ClusterId)>> {
    let opening = || format!("cannot open the raft log in {}", log.display());
    if !Wal::exists(log).with_context(opening)? {
        return Ok(None);
    }
    let (_, recovered) = Wal::open(log, wal::Options::default()).with_context(opening)?;
    let untouched =
        recovered.marker.index == 0 && recovered.entries.is_empty() && recovered.hard_state.is_empty();
    if untouched {
        return Ok(None);
    }
    let metadata = Metadata::decode(recovered.metadata).context("the raft log does not say whose it is")?;
    Ok(Some((MemberId(metadata.node), ClusterId(metadata.cluster))))
}
