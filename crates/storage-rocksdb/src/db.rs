//! RocksDB's handle, with the lifetimes of what hangs on it settled in one place.

use crate::error::running;
use bytes::Bytes;
use rocksdb::{ColumnFamily, DB, ReadOptions, SnapshotWithThreadMode};
use std::mem::transmute;
use std::sync::Arc;
use storage::{Error, Family, Result};

/// An open database with the handles of its families, which would otherwise be looked up by name for every row.
pub struct Db {
    /// In the order of the families' numbers. They point into `rocks`; never handed out with this lifetime.
    families: [&'static ColumnFamily; Family::ALL.len()],
    rocks: Box<DB>,
}

impl Db {
    /// Takes an opened database; fails if it lacks a family.
    pub fn new(rocks: DB) -> Result<Db> {
        let rocks = Box::new(rocks);
        let mut families = Vec::with_capacity(Family::ALL.len());
        for family in Family::ALL {
            let handle = rocks
                .cf_handle(family.name())
                .ok_or_else(|| Error::Engine(format!("no column family {}", family.name())))?;
            // SAFETY: the handle lives in a map owned by `*rocks`, which is on the heap and stays there, and which
            // changes only through `&mut DB`: nothing here lends that out, `Db` has no method on `&mut self`.
            // The reference is used only through `Db::family`, which bounds it by `&self`, and `Db` owns `rocks`.
            families.push(unsafe { transmute::<&ColumnFamily, &'static ColumnFamily>(handle) });
        }
        let families = families
            .try_into()
            .map_err(|_| Error::Engine("families".to_owned()))?;
        Ok(Db { families, rocks })
    }

    pub fn rocks(&self) -> &DB {
        &self.rocks
    }

    pub fn family(&self, family: Family) -> &ColumnFamily {
        self.families[family as usize]
    }

    /// All handles.
    pub fn families(&self) -> impl Iterator<Item = &ColumnFamily> {
        self.families.iter().copied()
    }

    /// Value of `key`, copied once.
    pub fn get(&self, family: Family, key: &[u8], read: &ReadOptions) -> Result<Option<Bytes>> {
        let value = self
            .rocks
            .get_pinned_cf_opt(self.family(family), key, read)
            .map_err(running)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }
}

/// A snapshot that keeps its database open.
pub struct Held {
    /// Reads from `snapshot`.
    read: ReadOptions,
    /// Dropped before `db`, by the order of the fields.
    snapshot: SnapshotWithThreadMode<'static, DB>,
    db: Arc<Db>,
}

impl Held {
    pub fn new(db: Arc<Db>) -> Held {
        let snapshot = db.rocks.snapshot();
        // SAFETY: the snapshot borrows `*db.rocks`, which is on the heap, is never moved or mutably borrowed, and
        // lives as long as any `Arc<Db>`. One is kept beside it in a private field and is dropped after it. The
        // lifetime does not leave this type.
        let snapshot = unsafe {
            transmute::<SnapshotWithThreadMode<'_, DB>, SnapshotWithThreadMode<'static, DB>>(snapshot)
        };
        let mut read = ReadOptions::default();
        read.set_snapshot(&snapshot);
        Held { read, snapshot, db }
    }

    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Options for point reads of this moment.
    pub fn read(&self) -> &ReadOptions {
        &self.read
    }

    /// New options for a scan of this moment.
    pub fn scan_options(&self) -> ReadOptions {
        let mut read = ReadOptions::default();
        read.set_snapshot(&self.snapshot);
        read
    }
}
