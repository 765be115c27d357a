//! What can be said of a database without restoring it.

use crate::database::Database;
use crate::{Error, Result};
use crc32c::crc32c_append;
use model::pb::mvccpb::KeyValue;
use model::{EventKind, Rejection, Revision, RevisionKey};
use mvcc::HashKv;
use prost::Message;
use std::collections::{HashMap, HashSet};

/// What etcd's tools say of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// CRC-32C over all buckets.
    pub hash: u32,
    /// Newest stored revision.
    pub revision: i64,
    /// Keys that live there.
    pub keys: u64,
    /// Bytes of all pages.
    pub bytes: u64,
    /// Storage version such as `3.7.0`; empty where none is stored.
    pub version: String,
}

impl Database {
    /// Reads everything. Holds the name of every living key in memory.
    pub fn status(&self) -> Result<Status> {
        let mut status = Status {
            hash: 0,
            revision: 0,
            keys: 0,
            bytes: self.bytes(),
            version: self.storage_version()?.unwrap_or_default(),
        };
        let mut living = HashSet::new();
        for name in self.buckets()? {
            status.hash = crc32c_append(status.hash, &name);
            let mut rows = self.bucket(&name)?;
            while let Some((key, value)) = rows.next()? {
                status.hash = crc32c_append(crc32c_append(status.hash, key), value);
                if name != b"key" {
                    continue;
                }
                let (at, kind) = parse_version_key(key)?;
                status.revision = at.main.0;
                let kv = KeyValue::decode(value).map_err(|_| no_key_value(at))?;
                match kind {
                    EventKind::Put => living.insert(kv.key),
                    EventKind::Delete => living.remove(&kv.key),
                };
            }
        }
        status.keys = living.len() as u64;
        Ok(status)
    }

    /// Storage version, if one is stored.
    pub fn storage_version(&self) -> Result<Option<String>> {
        let version = self.get("meta", b"storageVersion")?;
        Ok(version.map(|version| String::from_utf8_lossy(&version).into_owned()))
    }

    /// Newest revision and compacted one, as an etcd that opens the database has them: what a compaction has only
    /// announced is compacted, too.
    pub fn position(&self) -> Result<(Revision, Revision)> {
        let mut compacted = Revision::NEVER_COMPACTED;
        for name in ["scheduledCompactRev", "finishedCompactRev"] {
            if let Some(row) = self.get("meta", name.as_bytes())? {
                compacted = compacted.max(parse_version_key(&row)?.0.main);
            }
        }
        let mut newest = compacted.max(Revision::EMPTY_STORE);
        if let Some(key) = self.last_key("key")? {
            newest = newest.max(parse_version_key(&key)?.0.main);
        }
        Ok((newest, compacted))
    }

    /// etcd's HashKV at `revision`, the newest for 0. Reads the history twice and holds all keys in memory if some of
    /// it is compacted.
    ///
    /// Rejects a revision that is compacted or in the future.
    pub fn hash_kv(&self, revision: Revision) -> Result<HashKv> {
        let (newest, compacted) = self.position()?;
        let revision = match revision {
            Revision(0) => newest,
            asked if asked.0 > 0 && asked < compacted => return Err(refused(Rejection::Compacted)),
            asked if asked > newest => return Err(refused(Rejection::FutureRevision)),
            asked => asked,
        };
        let kept = match compacted.0 > 0 {
            true => Some(self.kept(revision)?),
            false => None,
        };
        let kept = kept.filter(|kept| !kept.is_empty());
        let mut hash = crc32c::crc32c(b"key");
        let mut rows = self.rows("key")?;
        while let Some((key, value)) = rows.next()? {
            let (at, kind) = parse_version_key(key)?;
            if at.main > revision {
                break;
            }
            let obsolete = at.main <= compacted && kept.as_ref().is_some_and(|kept| !kept.contains(&at));
            // Some versions of etcd remove these, others keep them.
            let last_deletion = at.main == compacted && kind == EventKind::Delete;
            if !obsolete && !last_deletion {
                hash = crc32c_append(crc32c_append(hash, key), value);
            }
        }
        Ok(HashKv {
            hash,
            compact_revision: compacted,
            hash_revision: revision,
        })
    }

    /// The version of each key that lives at `revision`.
    fn kept(&self, revision: Revision) -> Result<HashSet<RevisionKey>> {
        let mut newest: HashMap<_, RevisionKey> = HashMap::new();
        let mut rows = self.rows("key")?;
        while let Some((key, value)) = rows.next()? {
            let (at, kind) = parse_version_key(key)?;
            if at.main > revision {
                break;
            }
            let key = KeyValue::decode(value).map_err(|_| no_key_value(at))?.key;
            match kind {
                EventKind::Put => newest.insert(key, at),
                EventKind::Delete => newest.remove(&key),
            };
        }
        Ok(newest.into_values().collect())
    }
}

fn refused(rejection: Rejection) -> Error {
    Error::Keys(mvcc::Error::Rejected(rejection))
}

pub(crate) fn no_key_value(at: RevisionKey) -> Error {
    Error::Database(format!("revision {}/{} holds no key-value", at.main, at.sub))
}

/// Takes the key of a row of `key` apart; the reverse of what backups are written with.
pub(crate) fn parse_version_key(key: &[u8]) -> Result<(RevisionKey, EventKind)> {
    let wrong = || Error::Database(format!("{} is no revision", key.escape_ascii()));
    let (main, rest) = key.split_first_chunk().ok_or_else(wrong)?;
    let (underscore, rest) = rest.split_first().ok_or_else(wrong)?;
    let (sub, mark) = rest.split_first_chunk().ok_or_else(wrong)?;
    let kind = match mark {
        b"" => EventKind::Put,
        b"t" => EventKind::Delete,
        _ => return Err(wrong()),
    };
    let at = RevisionKey {
        main: Revision(i64::from_be_bytes(*main)),
        sub: i64::from_be_bytes(*sub),
    };
    if *underscore != b'_' || at.main.0 < 0 || at.sub < 0 {
        return Err(wrong());
    }
    Ok((at, kind))
}
