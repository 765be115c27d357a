//! Answers to ranges as they go over the wire: each key is copied once, from the engine's memory to where the
//! connection sends it from.

use crate::reader::{Found, Whole};
use crate::{Result, kv};
use bytes::{BufMut, Bytes, BytesMut};
use model::Revision;

/// The answer to a Range. With its fields encoded behind each other it is an `etcdserverpb.RangeResponse`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WireRange {
    /// For the header.
    pub revision: Revision,
    /// Pieces of some 32 KiB, or one large value, that together are all `kvs` fields: tags, lengths and contents.
    pub kvs: Vec<Bytes>,
    /// The limit has cut off keys.
    pub more: bool,
    /// Keys of the range, without the limit.
    pub count: i64,
}

/// Bytes of a piece: two frames of HTTP/2, and the most that the allocator hands out without a lock.
const PIECE_BYTES: usize = 32 << 10;
/// The first piece is small, because most answers are.
const FIRST_PIECE_BYTES: usize = 2 << 10;
/// From this length on a version that is in memory of its own is not copied.
const SHARED_FROM: usize = 8 << 10;
/// `kvs` is the second field, of bytes.
const TAG: u8 = 0x12;
/// Bytes of the tag and the longest length.
const PREFIX_MAX: usize = 11;

/// Collects the `kvs` fields.
#[derive(Default)]
pub(crate) struct Kvs {
    done: Vec<Bytes>,
    piece: BytesMut,
}

impl Kvs {
    pub fn push(&mut self, found: Found<'_>) -> Result<()> {
        match found.whole()? {
            Whole::Shared(kv) => self.push_shared(kv),
            Whole::Borrowed(kv) => self.push_bytes(kv),
        }
        Ok(())
    }

    pub fn push_without_value_and_lease(&mut self, kv: &[u8]) -> Result<()> {
        self.push_bytes(kv::before_value(kv)?);
        Ok(())
    }

    pub fn push_shared(&mut self, kv: Bytes) {
        if kv.len() < SHARED_FROM {
            return self.push_bytes(&kv);
        }
        self.prefix(kv.len(), 0);
        self.cut();
        self.done.push(kv);
    }

    fn push_bytes(&mut self, kv: &[u8]) {
        self.prefix(kv.len(), kv.len());
        self.piece.extend_from_slice(kv);
    }

    /// Writes what stands before a version of `len` bytes, where `room` bytes will follow it in the piece.
    fn prefix(&mut self, len: usize, room: usize) {
        let needed = PREFIX_MAX + room;
        if self.piece.capacity() - self.piece.len() < needed {
            let is_first = self.done.is_empty() && self.piece.is_empty();
            let wanted = if is_first { FIRST_PIECE_BYTES } else { PIECE_BYTES };
            self.cut();
            self.piece = BytesMut::with_capacity(wanted.max(needed));
        }
        self.piece.put_u8(TAG);
        let mut rest = len as u64;
        while rest >= 0x80 {
            self.piece.put_u8(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.piece.put_u8(rest as u8);
    }

    fn cut(&mut self) {
        if !self.piece.is_empty() {
            self.done.push(self.piece.split().freeze());
        }
    }

    pub fn finish(mut self) -> Vec<Bytes> {
        self.cut();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::pb::etcdserverpb::RangeResponse;
    use prost::Message;

    #[test]
    fn the_pieces_are_the_fields_of_a_range_response() {
        let sizes = [
            0,
            1,
            127,
            128,
            300,
            5000,
            SHARED_FROM,
            16_383,
            16_384,
            40_000,
            7,
            2 << 20,
            9,
        ];
        let mut kvs = Kvs::default();
        let mut expected = RangeResponse::default();
        for (place, size) in sizes.into_iter().cycle().take(60).enumerate() {
            let kv = Bytes::from(vec![place as u8; size]);
            expected.kvs.push(kv.clone());
            if place % 2 == 0 {
                kvs.push_shared(kv);
            } else {
                kvs.push_bytes(&kv);
            }
        }
        let pieces = kvs.finish();
        assert!(pieces.iter().all(|piece| !piece.is_empty()));
        assert_eq!(pieces.concat(), expected.encode_to_vec());
    }
}
