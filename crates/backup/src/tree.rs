//! A B+ tree written from its leaves up, from rows that come in order.
//!
//! ```text
//! leaf      elements: flags, 1 for a bucket (4), place of the key from here (4), key length (4), value length (4);
//!           then keys, each with its value behind it
//! branch    elements: place of the key from here (4), key length (4), page of the child (8); then keys
//! ```
//!
//! Each level collects one page. A page that is full is written, and its first key goes to the level above. An element
//! that is larger than a page gets one that overflows.

use crate::page::ELEMENT_BYTES;
use crate::pages::{HEADER_BYTES, Kind, PAGE_BYTES, Pages};
use crate::{Error, Result};
use std::io::Write;

/// A branch with one child would make no tree.
const CHILDREN_MIN: usize = 2;

/// A tree being written. Holds one page for each of its levels.
pub(crate) struct Tree {
    /// Leaves first. The last one is the root so far.
    levels: Vec<Node>,
    last_key: Vec<u8>,
}

/// The open page of a level.
struct Node {
    elements: Vec<Element>,
    /// Keys, in leaves each with its value.
    data: Vec<u8>,
}

struct Element {
    key_len: u32,
    content: Content,
}

#[derive(Clone, Copy)]
enum Content {
    Value { flags: u32, len: u32 },
    Child(u64),
}

impl Tree {
    /// A tree without rows.
    pub fn new() -> Tree {
        Tree {
            levels: vec![Node::new()],
            last_key: Vec::new(),
        }
    }

    /// Adds a row. Fails if its key is empty or does not follow the last one.
    pub fn put<W: Write>(&mut self, pages: &mut Pages<W>, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_flagged(pages, 0, key, value)
    }

    /// Adds the root of another tree under a name.
    pub fn put_bucket<W: Write>(&mut self, pages: &mut Pages<W>, name: &[u8], root: u64) -> Result<()> {
        // Root page and sequence, which etcd does not use.
        let mut value = [0; 16];
        value[..8].copy_from_slice(&root.to_le_bytes());
        self.put_flagged(pages, 1, name, &value)
    }

    fn put_flagged<W: Write>(
        &mut self,
        pages: &mut Pages<W>,
        flags: u32,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        if key <= &self.last_key[..] {
            return Err(Error::Damaged(format!(
                "row {} comes too late",
                key.escape_ascii()
            )));
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        let leaf = &self.levels[0];
        if !leaf.has_room(key.len() + value.len()) && !leaf.elements.is_empty() {
            self.close(pages, 0, leaf.elements.len())?;
        }
        let len = length(value)?;
        self.levels[0].push(key, value, Content::Value { flags, len })
    }

    /// Writes what is left; answers the root's page.
    pub fn finish<W: Write>(mut self, pages: &mut Pages<W>) -> Result<u64> {
        let mut level = 0;
        while level + 1 < self.levels.len() {
            self.close(pages, level, self.levels[level].elements.len())?;
            level += 1;
        }
        let root = &mut self.levels[level];
        root.write(pages, Tree::kind(level), root.elements.len())
    }

    fn kind(level: usize) -> Kind {
        if level == 0 { Kind::Leaf } else { Kind::Branch }
    }

    /// Writes the first `count` elements of a level's page, and tells the level above.
    fn close<W: Write>(&mut self, pages: &mut Pages<W>, level: usize, count: usize) -> Result<()> {
        let node = &mut self.levels[level];
        let first_key = node.first_key().to_vec();
        let page = node.write(pages, Tree::kind(level), count)?;
        self.add_child(pages, level + 1, &first_key, page)
    }

    fn add_child<W: Write>(
        &mut self,
        pages: &mut Pages<W>,
        level: usize,
        key: &[u8],
        page: u64,
    ) -> Result<()> {
        if level == self.levels.len() {
            self.levels.push(Node::new());
        }
        let branch = &self.levels[level];
        let children = branch.elements.len();
        if !branch.has_room(key.len()) && children > CHILDREN_MIN {
            // One stays behind: the new one may turn out to be the last, and must not be alone then.
            self.close(pages, level, children - 1)?;
        }
        self.levels[level].push(key, &[], Content::Child(page))
    }
}

impl Node {
    fn new() -> Node {
        Node {
            elements: Vec::new(),
            data: Vec::with_capacity(PAGE_BYTES),
        }
    }

    fn has_room(&self, data_len: usize) -> bool {
        let elements = ELEMENT_BYTES * (self.elements.len() + 1);
        HEADER_BYTES + elements + self.data.len() + data_len <= PAGE_BYTES
    }

    fn push(&mut self, key: &[u8], value: &[u8], content: Content) -> Result<()> {
        self.elements.push(Element {
            key_len: length(key)?,
            content,
        });
        self.data.extend_from_slice(key);
        self.data.extend_from_slice(value);
        Ok(())
    }

    fn first_key(&self) -> &[u8] {
        let len = self.elements.first().map_or(0, |first| first.key_len);
        &self.data[..len as usize]
    }

    /// Writes the first `count` elements and forgets them.
    fn write<W: Write>(&mut self, pages: &mut Pages<W>, kind: Kind, count: usize) -> Result<u64> {
        let mut table = Vec::with_capacity(ELEMENT_BYTES * count);
        let mut place = ELEMENT_BYTES * count;
        for element in self.elements.drain(..count) {
            let from_here = ((place - table.len()) as u32).to_le_bytes();
            let key_len = element.key_len.to_le_bytes();
            match element.content {
                Content::Value { flags, len } => {
                    let words = [flags.to_le_bytes(), from_here, key_len, len.to_le_bytes()];
                    table.extend(words.as_flattened());
                    place += len as usize;
                }
                Content::Child(page) => {
                    table.extend([from_here, key_len].as_flattened());
                    table.extend(page.to_le_bytes());
                }
            }
            place += element.key_len as usize;
        }
        let data_len = place - ELEMENT_BYTES * count;
        let page = pages.append(kind, count as u16, &[&table, &self.data[..data_len]])?;
        self.data.drain(..data_len);
        Ok(page)
    }
}

/// bbolt's limit for values, and far more than a request can have.
fn length(bytes: &[u8]) -> Result<u32> {
    match i32::try_from(bytes.len()) {
        Ok(len) => Ok(len as u32),
        Err(_) => Err(Error::Damaged("a row is larger than 2 GiB".into())),
    }
}
