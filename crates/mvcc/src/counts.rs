//! How many living keys there are, without looking at them.
//!
//! The key space is cut at *fences* into chunks of some hundred keys, and the number of keys in each is known. A
//! range is counted by adding chunks and looking into the two at its ends.

use crate::{Error, Result};
use bytes::Bytes;
use std::sync::Arc;

/// Chunks in a block, at most: what a change copies when a view shares it.
const BLOCK_LEN_MAX: usize = 256;

/// Counts per chunk, in order of keys. A clone shares everything and costs a pointer; changing one afterwards copies
/// the list of blocks and the counts of the blocks concerned.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// Never empty, and neither is a block; the first fence is the empty key.
    blocks: Arc<Vec<Arc<Block>>>,
}

#[derive(Clone, Debug)]
struct Block {
    total: u64,
    /// Shared apart from the counts: fences change only where a chunk is cut or joined.
    fences: Arc<Vec<Bytes>>,
    counts: Vec<u64>,
}

/// The part of the key space from one fence to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Chunk {
    /// First key that may be in it.
    pub fence: Bytes,
    /// First key after it, `None` for the last chunk.
    pub end: Option<Bytes>,
    /// Living keys in it.
    pub count: u64,
    /// Living keys before it.
    pub before: u64,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts::new([])
    }
}

impl Counts {
    /// From fences in order with the number of keys in each chunk.
    pub fn new(chunks: impl IntoIterator<Item = (Bytes, u64)>) -> Counts {
        let mut chunks = chunks.into_iter().peekable();
        let mut blocks = Vec::new();
        if chunks.peek().is_none_or(|(fence, _)| !fence.is_empty()) {
            blocks.push(Arc::new(Block::new(vec![Bytes::new()], vec![0])));
        }
        while chunks.peek().is_some() {
            // Half full, so that the next cuts find room.
            let (fences, counts) = chunks.by_ref().take(BLOCK_LEN_MAX / 2).unzip();
            blocks.push(Arc::new(Block::new(fences, counts)));
        }
        Counts {
            blocks: Arc::new(blocks),
        }
    }

    /// All living keys.
    pub fn total(&self) -> u64 {
        self.blocks.iter().map(|block| block.total).sum()
    }

    /// The chunk that `key` belongs to.
    pub fn chunk(&self, key: &[u8]) -> Chunk {
        let (at, inner) = self.find(key);
        let block = &self.blocks[at];
        let end = match block.fences.get(inner + 1) {
            Some(fence) => Some(fence.clone()),
            None => self.blocks.get(at + 1).map(|next| next.fences[0].clone()),
        };
        let blocks_before: u64 = self.blocks[..at].iter().map(|block| block.total).sum();
        Chunk {
            fence: block.fences[inner].clone(),
            end,
            count: block.counts[inner],
            before: blocks_before + block.counts[..inner].iter().sum::<u64>(),
        }
    }

    /// Counts a key that appeared (`+1`) or vanished (`-1`); returns the fence of its chunk.
    pub fn add(&mut self, key: &[u8], delta: i64) -> Result<Bytes> {
        let (at, inner) = self.find(key);
        let block = self.block_mut(at);
        let count = block.counts[inner].checked_add_signed(delta);
        let total = block.total.checked_add_signed(delta);
        let (Some(count), Some(total)) = (count, total) else {
            return Err(Error::Damaged("more keys deleted than were counted".into()));
        };
        block.counts[inner] = count;
        block.total = total;
        Ok(block.fences[inner].clone())
    }

    /// Cuts the chunk at `fence` into `pieces`, which begin with `fence` itself.
    pub fn cut(&mut self, fence: &[u8], pieces: &[(Bytes, u64)]) {
        let (at, inner) = self.find(fence);
        let block = self.block_mut(at);
        let fences = Arc::make_mut(&mut block.fences);
        fences.splice(inner..=inner, pieces.iter().map(|(fence, _)| fence.clone()));
        block
            .counts
            .splice(inner..=inner, pieces.iter().map(|(_, count)| *count));
        if block.fences.len() <= BLOCK_LEN_MAX {
            block.total = block.counts.iter().sum();
            return;
        }
        let parts: Vec<_> = block
            .fences
            .chunks(BLOCK_LEN_MAX / 2)
            .zip(block.counts.chunks(BLOCK_LEN_MAX / 2))
            .map(|(fences, counts)| Arc::new(Block::new(fences.to_vec(), counts.to_vec())))
            .collect();
        Arc::make_mut(&mut self.blocks).splice(at..=at, parts);
    }

    /// Joins the chunk at `fence` to the one before it; returns that one's fence. `None` for the first chunk.
    pub fn join(&mut self, fence: &[u8]) -> Option<Bytes> {
        let (at, inner) = self.find(fence);
        if at == 0 && inner == 0 {
            return None;
        }
        let block = self.block_mut(at);
        let count = block.counts.remove(inner);
        block.total -= count;
        Arc::make_mut(&mut block.fences).remove(inner);
        let (at, inner) = if inner > 0 {
            (at, inner - 1)
        } else {
            if block.fences.is_empty() {
                Arc::make_mut(&mut self.blocks).remove(at);
            }
            (at - 1, self.blocks[at - 1].fences.len() - 1)
        };
        let left = self.block_mut(at);
        left.counts[inner] += count;
        left.total += count;
        Some(left.fences[inner].clone())
    }

    /// Fence and number of keys of the chunk before the one at `fence`.
    pub fn before(&self, fence: &[u8]) -> Option<(Bytes, u64)> {
        let (at, inner) = self.find(fence);
        let (block, inner) = match inner.checked_sub(1) {
            Some(inner) => (&self.blocks[at], inner),
            None => {
                let block = &self.blocks[at.checked_sub(1)?];
                (block, block.fences.len() - 1)
            }
        };
        Some((block.fences[inner].clone(), block.counts[inner]))
    }

    /// All chunks.
    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, u64)> {
        self.blocks
            .iter()
            .flat_map(|block| block.fences.iter().zip(block.counts.iter().copied()))
    }

    fn find(&self, key: &[u8]) -> (usize, usize) {
        // The first fence is the empty key, which no key is below: neither subtraction can go wrong.
        let at = self.blocks.partition_point(|block| block.fences[0] <= key) - 1;
        let inner = self.blocks[at].fences.partition_point(|fence| *fence <= key) - 1;
        (at, inner)
    }

    fn block_mut(&mut self, at: usize) -> &mut Block {
        Arc::make_mut(&mut Arc::make_mut(&mut self.blocks)[at])
    }
}

impl Block {
    fn new(fences: Vec<Bytes>, counts: Vec<u64>) -> Block {
        Block {
            total: counts.iter().sum(),
            fences: Arc::new(fences),
            counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Bytes {
        Bytes::copy_from_slice(&number.to_be_bytes())
    }

    fn chunks(counts: &Counts) -> Vec<(Bytes, u64)> {
        counts
            .iter()
            .map(|(fence, count)| (fence.clone(), count))
            .collect()
    }

    #[test]
    fn an_empty_store_is_one_chunk() {
        let mut counts = Counts::default();
        let chunk = counts.chunk(b"any");
        assert_eq!(
            (chunk.fence.len(), chunk.end, chunk.count, chunk.before),
            (0, None, 0, 0)
        );
        assert!(counts.join(b"").is_none() && counts.before(b"").is_none());
        assert!(matches!(counts.add(b"any", -1), Err(Error::Damaged(_))));
    }

    #[test]
    fn thousands_of_chunks_are_cut_counted_and_joined() {
        let mut counts = Counts::default();
        let shared = counts.clone();
        for number in 0..5000 {
            let fence = counts.add(&key(number), 3).unwrap();
            let here = counts.chunk(&fence).count;
            if here > 6 {
                counts.cut(&fence, &[(fence.clone(), here - 3), (key(number), 3)]);
            }
        }
        assert_eq!((counts.total(), shared.total()), (15000, 0));
        let list = chunks(&counts);
        assert!(list.len() > 2000 && list.is_sorted());
        assert_eq!(chunks(&Counts::new(list.clone())), list);
        let mut before = 0;
        for (place, (fence, count)) in list.iter().enumerate() {
            let chunk = counts.chunk(fence);
            assert_eq!((chunk.before, chunk.count), (before, *count));
            assert_eq!(chunk.end.as_ref(), list.get(place + 1).map(|next| &next.0));
            before += count;
        }
        for (fence, _) in list.iter().skip(1).step_by(2) {
            let (left, was) = counts.before(fence).unwrap();
            let here = counts.chunk(fence).count;
            assert_eq!(counts.join(fence), Some(left.clone()));
            assert_eq!(counts.chunk(&left).count, was + here);
        }
        for (fence, _) in list.iter().skip(1) {
            if counts.chunk(fence).fence == *fence {
                counts.join(fence);
            }
        }
        assert_eq!(chunks(&counts), [(Bytes::new(), 15000)]);
    }
}
