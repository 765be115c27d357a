//! The file beneath: pages one after the other, and the two that say where to begin.
//!
//! ```text
//! page      id (8), kind (2), count (2), overflow: pages that follow and belong to it (4), contents
//! meta      magic (4), version (4), page size (4), flags (4), root page (8), root sequence (8), free list page (8),
//!           pages of the file (8), transaction (8), FNV-1a of what stands before (8)
//! ```
//!
//! Integers are little endian: bbolt's are the machine's, and that is what all of etcd's machines are but one.

use std::io::{self, BufWriter, Write};

/// Bytes of a page. bbolt takes the size that the file says, whatever the machine's.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Bytes before a page's contents.
pub(crate) const HEADER_BYTES: usize = 16;

pub(crate) const MAGIC: u32 = 0xed0c_daed;
pub(crate) const VERSION: u32 = 2;
const FREE_LIST_PAGE: u64 = 2;
/// Written at once; larger values bypass the buffer.
const BUFFER_BYTES: usize = 256 * 1024;

/// What a page holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Branch = 0x01,
    Leaf = 0x02,
    Meta = 0x04,
    FreeList = 0x10,
}

/// What the first two pages say of those behind them. A writer that cannot go back must know it before it begins.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Plan {
    root: u64,
    pages: u64,
}

impl Plan {
    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.pages * PAGE_BYTES as u64
    }

    /// The first two pages.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for transaction in 0..2 {
            let mut page = header(transaction, Kind::Meta, 0, 0).to_vec();
            page.extend(meta(self.root, self.pages, transaction));
            page.resize(PAGE_BYTES, 0);
            out.write_all(&page)?;
        }
        Ok(())
    }
}

/// A file being filled from front to back.
pub(crate) struct Pages<W: Write> {
    out: BufWriter<W>,
    next: u64,
}

impl<W: Write> Pages<W> {
    /// Begins with the pages that say what `plan` says, and an empty free list: there are no free pages.
    pub fn begin(out: W, plan: Plan) -> io::Result<Pages<W>> {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
        plan.write(&mut out)?;
        let mut pages = Pages {
            out,
            next: FREE_LIST_PAGE,
        };
        pages.append(Kind::FreeList, 0, &[])?;
        Ok(pages)
    }

    /// Adds a page with `count` elements, and as many behind it as the contents need; answers its id.
    pub fn append(&mut self, kind: Kind, count: u16, contents: &[&[u8]]) -> io::Result<u64> {
        let id = self.next;
        let len = HEADER_BYTES + contents.iter().map(|part| part.len()).sum::<usize>();
        let pages = len.div_ceil(PAGE_BYTES);
        let overflow = u32::try_from(pages - 1).map_err(io::Error::other)?;
        self.out.write_all(&header(id, kind, count, overflow))?;
        for part in contents {
            self.out.write_all(part)?;
        }
        self.out.write_all(&[0; PAGE_BYTES][..pages * PAGE_BYTES - len])?;
        self.next += pages as u64;
        Ok(id)
    }

    /// Ends the file; answers what its first pages have to say.
    pub fn finish(mut self, root: u64) -> io::Result<Plan> {
        self.out.flush()?;
        Ok(Plan {
            root,
            pages: self.next,
        })
    }
}

fn header(id: u64, kind: Kind, count: u16, overflow: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&id.to_le_bytes());
    header[8..10].copy_from_slice(&(kind as u16).to_le_bytes());
    header[10..12].copy_from_slice(&count.to_le_bytes());
    header[12..].copy_from_slice(&overflow.to_le_bytes());
    header
}

fn meta(root: u64, pages: u64, transaction: u64) -> Vec<u8> {
    let mut meta = Vec::with_capacity(64);
    for number in [MAGIC, VERSION, PAGE_BYTES as u32, 0] {
        meta.extend(number.to_le_bytes());
    }
    for number in [root, 0, FREE_LIST_PAGE, pages, transaction] {
        meta.extend(number.to_le_bytes());
    }
    meta.extend(fnv_1a(&meta).to_le_bytes());
    meta
}

pub(crate) fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_fnv_1a() {
        // Test vectors of the hash's authors.
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
