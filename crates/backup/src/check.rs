//! Whether every page of a database is used exactly once, as bbolt's own check asks.

use crate::database::{Database, Rows};
use crate::pages::Kind;
use crate::{Error, Result};

impl Database {
    /// Reads everything; answers what is wrong, in bbolt's words. Contents that cannot be read at all are an error.
    pub fn check(&self) -> Result<Vec<String>> {
        let pages = usize::try_from(self.meta().pages).map_err(|_| Error::NoDatabase)?;
        let mut check = Check {
            database: self,
            reached: Bits::new(pages),
            free: Bits::new(pages),
            wrong: Vec::new(),
        };
        check.reached.set(0);
        check.reached.set(1);
        if let Some(list) = self.meta().free_list {
            let page = self.page(list)?;
            if page.kind() != Kind::FreeList {
                return Err(page.damaged("it should be the list of free pages"));
            }
            check.reach(list, self.page_span(&page));
            for id in page.free()? {
                if check.free.set(id as usize) {
                    check.wrong.push(format!("page {id}: already freed"));
                }
            }
        }
        check.tree(self.meta().root)?;
        for id in 0..pages {
            let (reached, free) = (check.reached.has(id), check.free.has(id));
            // Without a list, all that is not reached is free.
            if !reached && !free && self.meta().free_list.is_some() {
                check.wrong.push(format!("page {id}: unreachable unfreed"));
            }
        }
        // The order of rows is checked by reading them.
        for name in self.buckets()? {
            let mut rows = self.bucket(&name)?;
            while rows.next()?.is_some() {}
        }
        Ok(check.wrong)
    }
}

struct Check<'a> {
    database: &'a Database,
    reached: Bits,
    free: Bits,
    wrong: Vec<String>,
}

impl Check<'_> {
    /// Counts pages as used; answers whether they were not before.
    fn reach(&mut self, page: u64, span: u64) -> bool {
        let mut first = true;
        for id in page..page + span {
            if self.reached.set(id as usize) {
                self.wrong.push(format!("page {id}: multiple references"));
                first = false;
            }
            if self.free.has(id as usize) {
                self.wrong.push(format!("page {id}: reachable freed"));
            }
        }
        first
    }

    /// All pages below `root`, those of buckets within it, too.
    fn tree(&mut self, root: u64) -> Result<()> {
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            let page = self.database.page(id)?;
            // A page that was there before has been followed before: else a circle would have no end.
            if !self.reach(id, self.database.page_span(&page)) {
                continue;
            }
            for at in 0..page.count() {
                match page.kind() {
                    Kind::Branch => open.push(page.child(at)?.1),
                    Kind::Leaf => {
                        let element = page.element(at)?;
                        if element.is_bucket {
                            match crate::page::number(element.value, 0) {
                                Some(0) => drop(Rows::of_bucket(self.database, element.value)?),
                                Some(root) => open.push(root),
                                None => return Err(page.damaged("a bucket has no root")),
                            }
                        }
                    }
                    Kind::Meta | Kind::FreeList => return Err(page.damaged("it holds no rows")),
                }
            }
        }
        Ok(())
    }
}

/// One bit a page.
struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    fn new(len: usize) -> Bits {
        Bits {
            words: vec![0; len.div_ceil(64)],
            len,
        }
    }

    /// Answers whether it was set; beyond the end nothing is.
    fn set(&mut self, at: usize) -> bool {
        if at >= self.len {
            return false;
        }
        let (word, bit) = (&mut self.words[at / 64], 1 << (at % 64));
        let was = *word & bit != 0;
        *word |= bit;
        was
    }

    fn has(&self, at: usize) -> bool {
        at < self.len && self.words[at / 64] & 1 << (at % 64) != 0
    }
}
