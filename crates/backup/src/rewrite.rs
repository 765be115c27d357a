//! A database written anew, without the space that nothing uses.

use crate::Result;
use crate::database::Database;
use crate::pages::{Pages, Plan};
use crate::tree::Tree;
use std::io::{Seek, Write};

impl Database {
    /// Writes a copy that has no free pages, from the start of `out`, which should be empty. The storage version
    /// becomes `version`: `None` leaves it as it is, an empty one removes it. Not synced to disk.
    pub fn rewrite(&self, out: &mut (impl Write + Seek), version: Option<&str>) -> Result<()> {
        // The first pages are written once what they say is known: here one can go back.
        let mut pages = Pages::begin(&mut *out, Plan::default())?;
        let mut root = Tree::new();
        for name in self.buckets()? {
            let mut tree = Tree::new();
            let mut put = |key: &[u8], value: &[u8]| tree.put(&mut pages, key, value);
            let mut version = version.filter(|_| name == b"meta");
            let mut rows = self.bucket(&name)?;
            while let Some((key, value)) = rows.next()? {
                if let Some(given) = version.filter(|_| key >= VERSION) {
                    version = None;
                    if !given.is_empty() {
                        put(VERSION, given.as_bytes())?;
                    }
                    if key == VERSION {
                        continue;
                    }
                }
                put(key, value)?;
            }
            if let Some(given) = version.filter(|given| !given.is_empty()) {
                put(VERSION, given.as_bytes())?;
            }
            let page = tree.finish(&mut pages)?;
            root.put_bucket(&mut pages, &name, page)?;
        }
        let root = root.finish(&mut pages)?;
        let plan = pages.finish(root)?;
        out.rewind()?;
        plan.write(out)?;
        Ok(())
    }
}

const VERSION: &[u8] = b"storageVersion";
