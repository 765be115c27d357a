//! The way back: etcd's buckets become our rows.

use crate::database::Database;
use crate::history::parse_version_key;
use crate::{Error, Result};
use bytes::Bytes;
use model::pb::etcdserverpb::AlarmMember;
use model::{KeyRange, Revision};
use mvcc::{Read, Store, Writer};
use prost::Message;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::{Backend, Batch, Family};

/// Rows in memory before they are written.
const BATCH_BYTES: usize = 8 << 20;
/// Attachments of keys to leases in one batch.
const BATCH_ROWS: usize = 10_000;

/// What became of a restore.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Newest revision.
    pub revision: Revision,
    /// Compacted revision.
    pub compacted: Revision,
    /// Keys that live at the newest revision.
    pub keys: u64,
}

impl Database {
    /// Fills an empty store with all that the database holds but its members: keys with their history, leases, users,
    /// roles, alarms, the cluster version. `rows` belong to the same moment and are written last: who the members are,
    /// and which entry of their log comes next. Durable when it returns.
    ///
    /// With `bump` revisions are skipped: the newest is so much higher, and all before it compacted, so that a client
    /// which has seen more than the database never sees a revision twice.
    pub fn restore(&self, backend: Arc<dyn Backend>, bump: u64, rows: Batch) -> Result<Restored> {
        let (store, mut writer) = Store::open(backend.clone(), mvcc::Options::default())?;
        if writer.revision() != Revision::EMPTY_STORE {
            return Err(Error::Damaged("a restore needs an empty store".into()));
        }
        let (newest, compacted) = self.import_keys(&mut writer)?;
        let (newest, compacted) = match i64::try_from(bump) {
            Ok(0) => (newest, compacted),
            Ok(bump) => {
                let bumped = newest.0.checked_add(bump).map(Revision);
                let bumped = bumped.ok_or_else(|| Error::Damaged("no revision is that high".into()))?;
                (bumped, bumped)
            }
            Err(_) => return Err(Error::Damaged("no revision is that high".into())),
        };
        writer.import_position(newest, compacted)?;
        writer.commit()?;

        let mut batch = Batch::new();
        let leases = self.leases(&mut batch)?;
        self.auth(&mut batch)?;
        self.cluster(&mut batch)?;
        backend.write(batch)?;
        let keys = attach(&store, &*backend, &leases)?;
        // What is not yet durable must not have an applied index that is.
        backend.flush()?;
        backend.write(rows)?;
        backend.flush()?;
        Ok(Restored {
            revision: newest,
            compacted,
            keys,
        })
    }

    fn import_keys(&self, writer: &mut Writer) -> Result<(Revision, Revision)> {
        let (newest, compacted) = self.position()?;
        let mut rows = self.rows("key")?;
        while let Some((key, value)) = rows.next()? {
            let (at, kind) = parse_version_key(key)?;
            // A row of no key only holds the place of its revision.
            if value.is_empty() {
                continue;
            }
            writer.import(at, kind, value)?;
            if writer.pending_bytes() > BATCH_BYTES {
                writer.commit()?;
            }
        }
        Ok((newest, compacted))
    }

    /// Leases with all of their time: the clock has stood still for them.
    fn leases(&self, batch: &mut Batch) -> Result<HashSet<i64>> {
        let mut leases = HashSet::new();
        let mut rows = self.rows("lease")?;
        while let Some((key, value)) = rows.next()? {
            let id = key.try_into().map_err(|_| no_row("lease", key))?;
            leases.insert(i64::from_be_bytes(id));
            put(batch, Family::Lease, key, value);
        }
        Ok(leases)
    }

    fn auth(&self, batch: &mut Batch) -> Result<()> {
        for (bucket, prefix) in [("authUsers", &b"user/"[..]), ("authRoles", b"role/")] {
            let mut rows = self.rows(bucket)?;
            while let Some((key, value)) = rows.next()? {
                put(batch, Family::Auth, &[prefix, key].concat(), value);
            }
        }
        for (theirs, ours) in [("authEnabled", &b"enabled"[..]), ("authRevision", b"revision")] {
            if let Some(value) = self.get("auth", theirs.as_bytes())? {
                put(batch, Family::Auth, ours, &value);
            }
        }
        Ok(())
    }

    fn cluster(&self, batch: &mut Batch) -> Result<()> {
        for (theirs, ours) in [
            ("clusterVersion", "cluster/version"),
            ("downgrade", "cluster/downgrade"),
        ] {
            if let Some(value) = self.get("cluster", theirs.as_bytes())? {
                put(batch, Family::Meta, ours.as_bytes(), &value);
            }
        }
        let mut rows = self.rows("alarm")?;
        while let Some((key, _)) = rows.next()? {
            let alarm = AlarmMember::decode(key).map_err(|_| no_row("alarm", key))?;
            let mut row = b"alarm/".to_vec();
            row.extend(alarm.alarm.to_be_bytes());
            row.extend(alarm.member_id.to_be_bytes());
            put(batch, Family::Meta, &row, b"");
        }
        Ok(())
    }
}

/// Hangs living keys on their leases; answers how many keys live.
fn attach(store: &Store, backend: &dyn Backend, leases: &HashSet<i64>) -> Result<u64> {
    let mut keys = 0;
    let mut batch = Batch::new();
    let mut result = Ok(());
    store.view().scan(&KeyRange::all(), &mut |kv| {
        keys += 1;
        // As in etcd, a lease that is gone leaves its keys alone.
        if leases.contains(&kv.lease) {
            let key = [&kv.lease.to_be_bytes(), &kv.key[..]].concat();
            put(&mut batch, Family::LeaseKeys, &key, b"");
        }
        if batch.ops().len() == BATCH_ROWS {
            result = backend.write(std::mem::take(&mut batch));
        }
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    result?;
    backend.write(batch)?;
    Ok(keys)
}

fn put(batch: &mut Batch, family: Family, key: &[u8], value: &[u8]) {
    batch.put(family, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
}

fn no_row(bucket: &str, key: &[u8]) -> Error {
    Error::Database(format!("row {} of {bucket} cannot be read", key.escape_ascii()))
}
