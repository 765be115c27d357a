//! Keys as fjall stores them: with a zero byte behind. fjall has no empty key; the byte makes every key non-empty and
//! keeps their order, for a key that is the start of another still comes first.

use std::ops::Bound;

/// fjall's limit is 65,535 bytes.
pub const BYTES_MAX: usize = u16::MAX as usize - 1;

/// `key` as stored.
pub fn stored(key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(key.len() + 1);
    stored.extend_from_slice(key);
    stored.push(0);
    stored
}

/// The key of a stored one.
pub fn plain(stored: &[u8]) -> &[u8] {
    stored.split_last().map_or(&[], |(_, key)| key)
}

/// Bounds of stored keys.
type StoredBounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The bounds as stored; `None` if no key is within them.
pub fn stored_bounds((low, high): (Bound<&[u8]>, Bound<&[u8]>)) -> Option<StoredBounds> {
    // fjall panics at bounds that are upside down.
    let is_empty = match (low, high) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => {
            low >= high
        }
    };
    (!is_empty).then(|| (low.map(stored), high.map(stored)))
}
