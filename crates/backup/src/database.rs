//! Reading database files: etcd's own, copies of them, and ours.
//!
//! The file may be damaged, or no database at all. Every page is checked before it is used, and rows must come in
//! order, so that a wrong number somewhere ends in an error that names the page, not in a loop or a wrong row.

use crate::page::{Header, Page, damaged, number};
use crate::pages::{HEADER_BYTES, Kind, MAGIC, VERSION, fnv_1a};
use crate::{Error, Result};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Pages of no more bytes than this are known to bbolt.
const PAGE_BYTES_MAX: usize = 1 << 16;
const PAGE_BYTES_MIN: usize = 1 << 10;
/// A tree of this height would have more rows than there are atoms.
const HEIGHT_MAX: usize = 64;
/// Where the free list would be, if there were one.
const NO_FREE_LIST: u64 = u64::MAX;

/// Told how many bytes of how many have been read.
pub type Progress = Box<dyn Fn(u64, u64) + Send + Sync>;

/// A database file, open for reading.
pub struct Database {
    file: File,
    page_bytes: usize,
    meta: Meta,
    progress: Option<Progress>,
}

/// What one of the first two pages says; the valid one with the higher transaction counts.
#[derive(Clone, Copy)]
pub(crate) struct Meta {
    pub root: u64,
    pub free_list: Option<u64>,
    /// Pages of the file.
    pub pages: u64,
    transaction: u64,
}

impl Database {
    /// Opens a file; what follows the last page (the hash behind a snapshot) is not looked at.
    ///
    /// Fails if it is no database, or shorter than it says.
    pub fn open(path: &Path) -> Result<Database> {
        Database::read(File::open(path).map_err(Error::Read)?)
    }

    /// As [`Database::open`], of a file that is open already.
    pub fn read(file: File) -> Result<Database> {
        let len = file.metadata().map_err(Error::Read)?.len();
        let first = meta_at(&file, 0);
        // With the first page broken, the size of pages is unknown, and with it the place of the second.
        let sizes = std::iter::successors(Some(PAGE_BYTES_MIN), |size| Some(size * 2));
        let second = match first {
            Some((size, _)) => meta_at(&file, size as u64),
            None => sizes
                .take_while(|size| *size <= PAGE_BYTES_MAX)
                .find_map(|size| meta_at(&file, size as u64).filter(|(found, _)| *found == size)),
        };
        let newest = [first, second]
            .into_iter()
            .flatten()
            .max_by_key(|(_, meta)| meta.transaction);
        let Some((page_bytes, meta)) = newest else {
            return Err(Error::NoDatabase);
        };
        let needed = meta.pages.checked_mul(page_bytes as u64);
        if needed.is_none_or(|needed| needed > len) {
            return Err(Error::Database(format!(
                "it should have {} pages of {page_bytes} bytes, but ends after {len} bytes",
                meta.pages
            )));
        }
        Ok(Database {
            file,
            page_bytes,
            meta,
            progress: None,
        })
    }

    /// Has `progress` told while rows are read.
    pub fn with_progress(mut self, progress: Progress) -> Database {
        self.progress = Some(progress);
        self
    }

    /// Bytes of all its pages.
    pub fn bytes(&self) -> u64 {
        self.meta.pages * self.page_bytes as u64
    }

    /// Names of its buckets, in order.
    pub fn buckets(&self) -> Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        let mut rows = self.root()?;
        while let Some(row) = rows.advance()? {
            if !row.is_bucket {
                let name = row.key.escape_ascii().to_string();
                return Err(Error::Database(format!(
                    "row {name} stands outside of all buckets"
                )));
            }
            names.push(row.key.to_vec());
        }
        Ok(names)
    }

    /// The rows of a bucket in order of their keys; a bucket that is not there has none.
    pub fn rows(&self, bucket: &str) -> Result<Rows<'_>> {
        self.bucket(bucket.as_bytes())
    }

    pub(crate) fn bucket(&self, name: &[u8]) -> Result<Rows<'_>> {
        let mut rows = self.root()?;
        while let Some(row) = rows.advance()? {
            if row.is_bucket && row.key == name {
                return Rows::of_bucket(self, row.value);
            }
        }
        Ok(Rows::none(self))
    }

    /// Value of one key.
    pub fn get(&self, bucket: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut rows = self.rows(bucket)?;
        while let Some((found, value)) = rows.next()? {
            if found >= key {
                return Ok((found == key).then(|| value.to_vec()));
            }
        }
        Ok(None)
    }

    /// The last key of a bucket, found without reading the others.
    pub(crate) fn last_key(&self, bucket: &str) -> Result<Option<Vec<u8>>> {
        let mut rows = self.rows(bucket)?;
        let mut height = 0;
        while let Some((page, _)) = rows.path.pop() {
            let Some(last) = page.count().checked_sub(1) else {
                return Ok(None);
            };
            match page.kind() {
                Kind::Leaf => return Ok(Some(page.element(last)?.key.to_vec())),
                Kind::Branch => {
                    let (_, child) = page.child(last)?;
                    height += 1;
                    if height == HEIGHT_MAX {
                        return Err(damaged(child, "the tree above it has no end"));
                    }
                    rows.path.push((self.page(child)?, 0));
                }
                Kind::Meta | Kind::FreeList => return Err(page.damaged("it holds no rows")),
            }
        }
        Ok(None)
    }

    pub(crate) fn root(&self) -> Result<Rows<'_>> {
        Rows::of_page(self, self.meta.root)
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Reads a page and those that belong to it.
    pub(crate) fn page(&self, id: u64) -> Result<Page> {
        let mut head = [0; HEADER_BYTES];
        if id < 2 || id >= self.meta.pages {
            return Err(damaged(id, "somebody points there, but it is no page for data"));
        }
        let at = id * self.page_bytes as u64;
        self.file.read_exact_at(&mut head, at).map_err(Error::Read)?;
        let header = Header::parse(&head).ok_or(Error::NoDatabase)?;
        if header.id != id {
            return Err(damaged(id, format!("it says that it is page {}", header.id)));
        }
        let pages = u64::from(header.overflow) + 1;
        if pages > self.meta.pages - id {
            return Err(damaged(id, "it reaches beyond the end"));
        }
        let mut bytes = vec![0; pages as usize * self.page_bytes];
        self.file.read_exact_at(&mut bytes, at).map_err(Error::Read)?;
        if let Some(progress) = &self.progress {
            progress(at + bytes.len() as u64, self.bytes());
        }
        Page::new(id, bytes)
    }

    /// Pages that a page takes.
    pub(crate) fn page_span(&self, page: &Page) -> u64 {
        page.bytes_len().div_ceil(self.page_bytes) as u64
    }
}

/// Size of pages and meta, if a valid one is there.
fn meta_at(file: &File, at: u64) -> Option<(usize, Meta)> {
    const BYTES: usize = 64;
    let mut page = [0; HEADER_BYTES + BYTES];
    file.read_exact_at(&mut page, at).ok()?;
    let header = Header::parse(&page)?;
    let meta = &page[HEADER_BYTES..];
    let word = |at: usize| Some(u32::from_le_bytes(*meta.get(at..)?.first_chunk()?));
    let page_bytes = word(8)? as usize;
    let valid = header.flags == Kind::Meta as u16
        && (word(0)?, word(4)?) == (MAGIC, VERSION)
        && number(meta, BYTES - 8)? == fnv_1a(&meta[..BYTES - 8])
        && page_bytes.is_power_of_two()
        && (PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&page_bytes);
    if !valid {
        return None;
    }
    let meta = Meta {
        root: number(meta, 16)?,
        free_list: Some(number(meta, 32)?).filter(|page| *page != NO_FREE_LIST),
        pages: number(meta, 40)?,
        transaction: number(meta, 48)?,
    };
    Some((page_bytes, meta))
}

/// Walks the rows of a bucket. Holds one page for each level of its tree.
pub struct Rows<'a> {
    database: &'a Database,
    /// The root first; each with the element that comes next.
    path: Vec<(Page, usize)>,
    last_key: Option<Vec<u8>>,
}

pub(crate) struct Row<'a> {
    pub is_bucket: bool,
    pub key: &'a [u8],
    pub value: &'a [u8],
}

impl<'a> Rows<'a> {
    fn none(database: &'a Database) -> Rows<'a> {
        Rows {
            database,
            path: Vec::new(),
            last_key: None,
        }
    }

    pub(crate) fn of_page(database: &'a Database, root: u64) -> Result<Rows<'a>> {
        let mut rows = Rows::none(database);
        rows.path.push((database.page(root)?, 0));
        Ok(rows)
    }

    /// `value` is the row that the bucket is: its root's page and a sequence. A small bucket has no page but stands
    /// there itself.
    pub(crate) fn of_bucket(database: &'a Database, value: &[u8]) -> Result<Rows<'a>> {
        match number(value, 0) {
            Some(0) => {
                let mut rows = Rows::none(database);
                let page = Page::new(0, value.get(HEADER_BYTES..).unwrap_or_default().to_vec())?;
                if page.kind() != Kind::Leaf {
                    return Err(page.damaged("a bucket without pages has children"));
                }
                rows.path.push((page, 0));
                Ok(rows)
            }
            Some(root) => Rows::of_page(database, root),
            None => Err(Error::Database("a bucket has no root".into())),
        }
    }

    /// The next row, `None` after the last. The slices live until the next call.
    #[expect(clippy::should_implement_trait, reason = "rows are lent")]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match self.advance()? {
            Some(row) if row.is_bucket => {
                let name = row.key.escape_ascii().to_string();
                Err(Error::Database(format!(
                    "there is a bucket {name} within a bucket"
                )))
            }
            Some(row) => Ok(Some((row.key, row.value))),
            None => Ok(None),
        }
    }

    pub(crate) fn advance(&mut self) -> Result<Option<Row<'_>>> {
        // Down to the leaf that has the next element, or out of the tree.
        loop {
            let Some((page, at)) = self.path.last_mut() else {
                return Ok(None);
            };
            if *at == page.count() {
                self.path.pop();
                continue;
            }
            match page.kind() {
                Kind::Leaf => break,
                Kind::Branch => {
                    let (_, child) = page.child(*at)?;
                    *at += 1;
                    if self.path.len() == HEIGHT_MAX {
                        return Err(damaged(child, "the tree above it has no end"));
                    }
                    let child_page = self.database.page(child)?;
                    if child_page.count() == 0 {
                        return Err(damaged(child, "it is empty"));
                    }
                    self.path.push((child_page, 0));
                }
                Kind::Meta | Kind::FreeList => return Err(page.damaged("it holds no rows")),
            }
        }
        let Some((page, at)) = self.path.last_mut() else {
            return Ok(None);
        };
        let element = page.element(*at)?;
        *at += 1;
        // Strictly ascending keys also end the walk over a tree that points back to itself.
        match &mut self.last_key {
            Some(last) if &last[..] >= element.key => {
                return Err(page.damaged(format!("row {} comes too late", element.key.escape_ascii())));
            }
            Some(last) => {
                last.clear();
                last.extend_from_slice(element.key);
            }
            None => self.last_key = Some(element.key.to_vec()),
        }
        Ok(Some(Row {
            is_bucket: element.is_bucket,
            key: element.key,
            value: element.value,
        }))
    }
}
