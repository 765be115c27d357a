//! Revisions: the one clock of the key space.

use std::fmt;

/// Main revision: one per write request that changed something. The empty store is at 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub i64);

impl Revision {
    /// The revision of a store nobody wrote to.
    pub const EMPTY_STORE: Revision = Revision(1);
    /// What etcd reports as compacted before the first compaction.
    pub const NEVER_COMPACTED: Revision = Revision(-1);

    /// The revision after this one.
    pub fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// One change: the request's main revision, and the change's place within the request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RevisionKey {
    /// Revision of the request.
    pub main: Revision,
    /// 0 for the request's first change.
    pub sub: i64,
}

impl RevisionKey {
    /// Bytes of the encoded form.
    pub const LEN: usize = 16;

    /// Big endian main, then sub: sorts as the history goes.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.main.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.sub.to_be_bytes());
        bytes
    }

    /// Reads what [`RevisionKey::encode`] wrote; `None` for any other length.
    pub fn decode(bytes: &[u8]) -> Option<RevisionKey> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let (main, sub) = bytes.split_at(8);
        Some(RevisionKey {
            main: Revision(i64::from_be_bytes(main.try_into().ok()?)),
            sub: i64::from_be_bytes(sub.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_revisions_sort_as_they_happened() {
        let key = |main, sub| RevisionKey {
            main: Revision(main),
            sub,
        };
        let history = [key(1, 0), key(2, 0), key(2, 1), key(256, 0), key(257, 3)];
        let mut encoded = history.map(RevisionKey::encode);
        encoded.sort();
        assert_eq!(
            encoded.map(|bytes| RevisionKey::decode(&bytes)),
            history.map(Some)
        );
    }
}
