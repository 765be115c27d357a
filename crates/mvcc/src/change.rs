//! What a commit changed, as watchers want it.

use bytes::Bytes;
use model::{EventKind, Revision};

/// All changes of one revision: of one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// The revision.
    pub revision: Revision,
    /// In order of their sub revisions; never empty.
    pub changes: Vec<Change>,
}

/// One changed key. All bytes but `prev_kv` share one allocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The key.
    pub key: Bytes,
    /// Put or delete.
    pub kind: EventKind,
    /// Place within the revision, from 0.
    pub sub: i64,
    /// Encoded `mvccpb.Event` without the previous version.
    pub event: Bytes,
    /// Encoded `mvccpb.KeyValue`: the new version, or key and revision of the delete.
    pub kv: Bytes,
    /// Encoded version that the key had before this revision; empty for none, if it is compacted, or if this revision
    /// has created the key, though it may have deleted it first: etcd gives a creation no previous version.
    pub prev_kv: Bytes,
}

impl Change {
    /// Encoded `mvccpb.Event` with the previous version in it.
    pub fn event_with_prev(&self) -> Bytes {
        if self.prev_kv.is_empty() {
            return self.event.clone();
        }
        model::encode_event(self.kind, &self.kv, &self.prev_kv)
    }

    /// Bytes that this change keeps in memory, roughly.
    pub fn bytes(&self) -> usize {
        size_of::<Change>() + self.event.len() + self.prev_kv.len()
    }
}

/// What a key was before the revision that made these changes of it and others: what the first of them says that is no
/// creation.
pub(crate) fn earlier_prev_kv(changes: &[Change], key: &[u8]) -> Bytes {
    let mut own = changes.iter().rev().filter(|change| change.key == key);
    own.find(|change| !change.prev_kv.is_empty())
        .map_or_else(Bytes::new, |change| change.prev_kv.clone())
}
