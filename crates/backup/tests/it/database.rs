//! A reader of bbolt files that takes nothing on trust.

use backup::Source;
use model::{LogIndex, Term};
use mvcc::View;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: usize = 4096;

pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// A file, taken apart.
pub struct Database {
    pub buckets: BTreeMap<String, Rows>,
    /// Levels of each bucket's tree.
    pub levels: BTreeMap<String, usize>,
    pub bytes: Vec<u8>,
}

/// Writes a view and reads the file.
pub fn back_up(view: &View) -> Database {
    back_up_with(view, &[])
}

/// The same, with raft's configuration.
pub fn back_up_with(view: &View, configuration: &[u8]) -> Database {
    let source = Source {
        view,
        applied: (LogIndex(70), Term(3)),
        configuration,
        version: "3.7.0",
    };
    let plan = backup::plan(&source).unwrap();
    let mut file = Vec::new();
    backup::write(&source, plan, &mut file).unwrap();
    assert_eq!(file.len() as u64, plan.bytes());
    Database::open(file)
}

impl Database {
    /// Reads everything; panics where bbolt's checker would complain.
    pub fn open(bytes: Vec<u8>) -> Database {
        let file = File(&bytes);
        assert_eq!(bytes.len() % PAGE, 0);
        let pages = file.u64(0, 56);
        assert_eq!(pages as usize * PAGE, bytes.len());
        for page in 0..2 {
            file.check_meta(page);
        }

        let mut seen = BTreeSet::from([0, 1]);
        let free_list = file.u64(0, 48);
        assert_eq!(file.visit(free_list, &mut seen), 0x10);
        assert_eq!(file.u16(free_list, 10), 0);

        let (mut buckets, mut levels) = (BTreeMap::new(), BTreeMap::new());
        let (root, _) = file.tree(file.u64(0, 32), &mut seen);
        for (flags, name, value) in root {
            assert_eq!((flags, value.len()), (1, 16));
            let page = u64::from_le_bytes(value[..8].try_into().unwrap());
            let (rows, height) = file.tree(page, &mut seen);
            let rows = rows.into_iter().map(|(flags, key, value)| {
                assert_eq!(flags, 0);
                (key, value)
            });
            let name = String::from_utf8(name).unwrap();
            levels.insert(name.clone(), height);
            buckets.insert(name, rows.collect());
        }
        assert!(seen.into_iter().eq(0..pages), "every page is used, and once");
        Database {
            buckets,
            levels,
            bytes,
        }
    }

    /// Rows of a bucket, as text.
    pub fn text(&self, bucket: &str) -> Vec<String> {
        self.buckets[bucket]
            .iter()
            .map(|(key, value)| format!("{} = {}", key.escape_ascii(), value.escape_ascii()))
            .collect()
    }
}

/// Flags, key and value.
type Flagged = (u32, Vec<u8>, Vec<u8>);

struct File<'a>(&'a [u8]);

impl File<'_> {
    fn at(&self, page: u64, offset: usize, len: usize) -> &[u8] {
        let start = page as usize * PAGE + offset;
        &self.0[start..start + len]
    }

    fn u16(&self, page: u64, offset: usize) -> u16 {
        u16::from_le_bytes(self.at(page, offset, 2).try_into().unwrap())
    }

    fn u32(&self, page: u64, offset: usize) -> u32 {
        u32::from_le_bytes(self.at(page, offset, 4).try_into().unwrap())
    }

    fn u64(&self, page: u64, offset: usize) -> u64 {
        u64::from_le_bytes(self.at(page, offset, 8).try_into().unwrap())
    }

    fn check_meta(&self, page: u64) {
        assert_eq!((self.u64(page, 0), self.u16(page, 8)), (page, 4));
        let magic = [16, 20, 24, 28].map(|offset| self.u32(page, offset));
        assert_eq!(magic, [0xed0c_daed, 2, PAGE as u32, 0]);
        let mut sum: u64 = 14_695_981_039_346_656_037;
        for byte in self.at(page, 16, 56) {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211);
        }
        assert_eq!(self.u64(page, 72), sum);
    }

    /// Counts a page as used; answers its kind.
    fn visit(&self, page: u64, seen: &mut BTreeSet<u64>) -> u16 {
        assert_eq!(self.u64(page, 0), page);
        for part in page..=page + u64::from(self.u32(page, 12)) {
            assert!(seen.insert(part), "page {part} is used twice");
        }
        self.u16(page, 8)
    }

    /// Rows of a tree and its height.
    fn tree(&self, root: u64, seen: &mut BTreeSet<u64>) -> (Vec<Flagged>, usize) {
        let mut rows = Vec::new();
        let height = self.node(root, None, seen, &mut rows);
        assert!(rows.is_sorted_by(|(_, low, _), (_, high, _)| low < high));
        (rows, height)
    }

    fn node(
        &self,
        page: u64,
        first_key: Option<&[u8]>,
        seen: &mut BTreeSet<u64>,
        rows: &mut Vec<Flagged>,
    ) -> usize {
        let kind = self.visit(page, seen);
        let len = PAGE * (self.u32(page, 12) as usize + 1);
        let count = usize::from(self.u16(page, 10));
        let key = |place: usize, key_len: usize| {
            assert!(key_len > 0 && place + key_len <= len);
            self.at(page, place, key_len)
        };
        let mut heights = BTreeSet::new();
        for index in 0..count {
            let element = 16 + 16 * index;
            let word = |offset| self.u32(page, element + offset) as usize;
            if kind == 1 {
                let key = key(element + word(0), word(4));
                assert!(index > 0 || first_key.is_none_or(|first| first == key));
                let child = self.u64(page, element + 8);
                heights.insert(1 + self.node(child, Some(key), seen, rows));
            } else {
                assert_eq!(kind, 2);
                let (place, key_len, value_len) = (element + word(4), word(8), word(12));
                let key = key(place, key_len);
                assert!(index > 0 || first_key.is_none_or(|first| first == key));
                assert!(place + key_len + value_len <= len);
                let value = self.at(page, place + key_len, value_len);
                rows.push((word(0) as u32, key.to_vec(), value.to_vec()));
            }
        }
        match kind {
            1 => {
                assert!(count >= 2 && heights.len() == 1, "a branch of equally high trees");
                heights.pop_first().unwrap()
            }
            _ => 1,
        }
    }
}
