//! The counted index on disk: one row per chunk, written with the changes that it counts.

use crate::counts::Counts;
use crate::reader::{Order, Reader};
use crate::{Error, Result};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};
use storage::{Batch, Family, Snapshot};

/// Before each fence, because an engine may not like empty keys.
const TAG: u8 = b'f';

/// More keys than any disk holds, and few enough that sums of counts stay within their type.
const KEYS_MAX: u64 = 1 << 62;

/// All chunks, in order.
pub(crate) fn load(snapshot: &dyn Snapshot) -> Result<Vec<(Bytes, u64)>> {
    let damaged = || Error::Damaged("a row of counts cannot be read".into());
    let mut rows = Vec::new();
    let mut all = 0u64;
    let mut cursor = snapshot.scan(Family::Counts, (Bound::Unbounded, Bound::Unbounded))?;
    while let Some((key, count)) = cursor.next()? {
        let Some((&TAG, fence)) = key.split_first() else {
            return Err(damaged());
        };
        let count = u64::from_be_bytes(count.try_into().map_err(|_| damaged())?);
        all = all
            .checked_add(count)
            .filter(|all| *all <= KEYS_MAX)
            .ok_or_else(damaged)?;
        rows.push((Bytes::copy_from_slice(fence), count));
    }
    Ok(rows)
}

/// Writes the chunks that a group `touched`, after cutting those that have become too large and joining those that
/// are nearly empty. Returns the index as it is afterwards.
///
/// `reader` shows the group's changes, with the counts before cutting and joining.
pub(crate) fn settle(
    reader: &Reader<'_>,
    touched: BTreeSet<Bytes>,
    chunk_keys: u64,
    batch: &mut Batch,
) -> Result<Counts> {
    let mut counts = reader.counts.clone();
    for fence in touched {
        let chunk = counts.chunk(&fence);
        if chunk.fence != fence {
            continue; // Joined by one of those before.
        }
        if chunk.count > 2 * chunk_keys {
            let pieces = pieces(reader, &fence, chunk.end.as_deref(), chunk_keys)?;
            if pieces.iter().map(|(_, count)| count).sum::<u64>() != chunk.count {
                return Err(Error::Damaged("counts do not agree with the keys".into()));
            }
            counts.cut(&fence, &pieces);
            for (fence, count) in &pieces {
                put(batch, fence, *count);
            }
            continue;
        }
        // Far below the size that is cut, so that a key that comes and goes does not cut and join for ever.
        let room = counts
            .before(&fence)
            .is_some_and(|(_, before)| before + chunk.count <= chunk_keys);
        if chunk.count <= chunk_keys / 8
            && room
            && let Some(left) = counts.join(&fence)
        {
            batch.delete(Family::Counts, row_key(&fence));
            put(batch, &left, counts.chunk(&left).count);
        } else {
            put(batch, &fence, chunk.count);
        }
    }
    Ok(counts)
}

/// Pieces of `keys` keys each, the last one with what remains.
fn pieces(reader: &Reader<'_>, fence: &Bytes, end: Option<&[u8]>, keys: u64) -> Result<Vec<(Bytes, u64)>> {
    let mut pieces = vec![(fence.clone(), 0)];
    let end = end.map_or(Bound::Unbounded, Bound::Excluded);
    let bounds = (Bound::Included(&fence[..]), end);
    reader.visit(bounds, Order::Ascending, reader.revision, |key, _| {
        match pieces.last_mut() {
            Some((_, count)) if *count < keys => *count += 1,
            _ => pieces.push((Bytes::copy_from_slice(key), 1)),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(pieces)
}

fn put(batch: &mut Batch, fence: &[u8], count: u64) {
    batch.put(Family::Counts, row_key(fence), count.to_be_bytes().to_vec());
}

fn row_key(fence: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(1 + fence.len());
    key.put_u8(TAG);
    key.put_slice(fence);
    key.freeze()
}
