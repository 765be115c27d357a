//! The database of an etcd member becomes the store of one of ours, at the same place in the same log.

use crate::database::Database;
use crate::schema::ConfState;
use crate::{Error, Restored, Result};
use bytes::Bytes;
use model::{LogIndex, Term};
use prost::Message;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};
use storage::{Backend, Batch, Family};

/// The database of a data directory that is etcd's, that is where no store of ours stands beside it: with one, the database
/// is only what was taken over once. A store whose link was lost or leads nowhere counts, one that was never finished
/// (`store.unfinished`) does not.
pub fn etcd_database(data_dir: &Path) -> io::Result<Option<PathBuf>> {
    let member = data_dir.join("member");
    let database = member.join("snap/db");
    if !database.is_file() {
        return Ok(None);
    }
    for entry in fs::read_dir(&member)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let number = name.strip_prefix("store.").map(str::parse::<u64>);
        if name == "store" || matches!(number, Some(Ok(_))) {
            return Ok(None);
        }
    }
    Ok(Some(database))
}

impl Database {
    /// The last entry of raft's log that is in the database, and its term.
    ///
    /// Fails for one that was written by an etcd before 3.5, which does not say.
    pub fn applied(&self) -> Result<(LogIndex, Term)> {
        Ok((
            LogIndex(self.number("consistent_index")?),
            Term(self.number("term")?),
        ))
    }

    /// Fills an empty store with all that the database holds, its members and its place in the log included, so that
    /// the member can go on from there. Durable when it returns.
    pub fn take_over(&self, backend: Arc<dyn Backend>) -> Result<Restored> {
        let mut rows = Batch::new();
        self.members(&mut rows)?;
        let (index, term) = self.applied()?;
        for (key, value) in [
            ("applied_index", index.0.to_be_bytes().to_vec()),
            ("applied_term", term.0.to_be_bytes().to_vec()),
            ("configuration", self.configuration()?),
        ] {
            rows.put(Family::Meta, key, value);
        }
        self.restore(backend, 0, rows)
    }

    fn members(&self, batch: &mut Batch) -> Result<()> {
        for (bucket, kind) in [("members", b'm'), ("members_removed", b'r')] {
            let mut rows = self.rows(bucket)?;
            while let Some((key, value)) = rows.next()? {
                let id = std::str::from_utf8(key)
                    .ok()
                    .and_then(|id| u64::from_str_radix(id, 16).ok())
                    .ok_or_else(|| Error::Database(format!("{bucket} has the key {}", key.escape_ascii())))?;
                let value = if kind == b'm' { value } else { b"" };
                let key = [&[kind][..], &id.to_be_bytes()].concat();
                batch.put(Family::Members, key, Bytes::copy_from_slice(value));
            }
        }
        Ok(())
    }

    fn configuration(&self) -> Result<Vec<u8>> {
        let json = self
            .get("meta", b"confState")?
            .ok_or_else(|| missing("confState"))?;
        let state: ConfState = serde_json::from_slice(&json)
            .map_err(|error| Error::Database(format!("raft's configuration: {error}")))?;
        Ok(state.encode_to_vec())
    }

    fn number(&self, name: &str) -> Result<u64> {
        let row = self.get("meta", name.as_bytes())?.ok_or_else(|| missing(name))?;
        let row = <[u8; 8]>::try_from(&row[..])
            .map_err(|_| Error::Database(format!("{name} has {} bytes", row.len())))?;
        Ok(u64::from_be_bytes(row))
    }
}

fn missing(name: &str) -> Error {
    Error::Database(format!(
        "it has no {name}: it was never used, or by an etcd before 3.5 only"
    ))
}
