//! One page of a database file that somebody else wrote: nothing in it is trusted.

use crate::pages::{HEADER_BYTES, Kind};
use crate::{Error, Result};
use std::ops::Range;

/// In leaves and branches alike.
pub(crate) const ELEMENT_BYTES: usize = 16;
/// Flag of a leaf's element that is a bucket.
const BUCKET: usize = 1;

/// A page with those that belong to it.
pub(crate) struct Page {
    /// Its number, for errors; that of the bucket's page for a bucket that has none of its own.
    id: u64,
    kind: Kind,
    count: usize,
    /// From its header on.
    bytes: Vec<u8>,
}

/// A row of a leaf.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub is_bucket: bool,
    pub key: &'a [u8],
    pub value: &'a [u8],
}

/// What a page's header says.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub id: u64,
    pub flags: u16,
    pub count: u16,
    pub overflow: u32,
}

impl Header {
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        Some(Header {
            id: number(bytes, 0)?,
            flags: u16::from_le_bytes(*bytes.get(8..)?.first_chunk()?),
            count: u16::from_le_bytes(*bytes.get(10..)?.first_chunk()?),
            overflow: u32::from_le_bytes(*bytes.get(12..)?.first_chunk()?),
        })
    }
}

impl Page {
    /// `bytes` begin with the header; `id` is where they come from.
    pub fn new(id: u64, bytes: Vec<u8>) -> Result<Page> {
        let header = Header::parse(&bytes).ok_or_else(|| damaged(id, "it has no header"))?;
        let kind = match header.flags {
            0x01 => Kind::Branch,
            0x02 => Kind::Leaf,
            0x10 => Kind::FreeList,
            flags => return Err(damaged(id, format!("it is of no known kind ({flags:#x})"))),
        };
        Ok(Page {
            id,
            kind,
            count: header.count.into(),
            bytes,
        })
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Elements of a leaf or branch.
    pub fn count(&self) -> usize {
        self.count
    }

    /// An element of a leaf.
    pub fn element(&self, at: usize) -> Result<Element<'_>> {
        let damaged = || self.damaged(format!("its element {at} reaches beyond it"));
        let place = HEADER_BYTES + at * ELEMENT_BYTES;
        let words = |offset| word(&self.bytes, place + offset).ok_or_else(damaged);
        let (flags, from_here, key_len, value_len) = (words(0)?, words(4)?, words(8)?, words(12)?);
        let key = range(place, from_here, key_len);
        let value = range(key.end, 0, value_len);
        Ok(Element {
            is_bucket: flags & BUCKET != 0,
            key: self.bytes.get(key).ok_or_else(damaged)?,
            value: self.bytes.get(value).ok_or_else(damaged)?,
        })
    }

    /// First key and page of a branch's child.
    pub fn child(&self, at: usize) -> Result<(&[u8], u64)> {
        let damaged = || self.damaged(format!("its child {at} reaches beyond it"));
        let place = HEADER_BYTES + at * ELEMENT_BYTES;
        let words = |offset| word(&self.bytes, place + offset).ok_or_else(damaged);
        let key = range(place, words(0)?, words(4)?);
        let child = number(&self.bytes, place + 8).ok_or_else(damaged)?;
        Ok((self.bytes.get(key).ok_or_else(damaged)?, child))
    }

    /// Pages that a free list names.
    pub fn free(&self) -> Result<Vec<u64>> {
        // More than fit into the header's field are counted in front of the list.
        const MANY: usize = 0xffff;
        let damaged = || self.damaged("its list reaches beyond it");
        let (start, count) = match self.count {
            MANY => {
                let count = number(&self.bytes, HEADER_BYTES).ok_or_else(damaged)?;
                (HEADER_BYTES + 8, usize::try_from(count).map_err(|_| damaged())?)
            }
            count => (HEADER_BYTES, count),
        };
        let len = count.checked_mul(8).ok_or_else(damaged)?;
        let list = self.bytes.get(range(start, 0, len)).ok_or_else(damaged)?;
        let ids = list.chunks_exact(8).filter_map(|id| number(id, 0));
        Ok(ids.collect())
    }

    pub fn damaged(&self, what: impl Into<String>) -> Error {
        damaged(self.id, what)
    }
}

pub(crate) fn damaged(page: u64, what: impl Into<String>) -> Error {
    Error::Database(format!("page {page}: {}", what.into()))
}

/// A little-endian number of eight bytes.
pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
    usize::try_from(word).ok()
}

/// Lengths come from the file, and their sum may be more than there are numbers.
fn range(place: usize, offset: usize, len: usize) -> Range<usize> {
    let start = place.saturating_add(offset);
    start..start.saturating_add(len)
}
