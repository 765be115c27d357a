//! Rows of the meta family that say how far the log has been applied. They go into the same batch as what the entries
//! did. Written apart, a crash between the two either skips entries (etcd #13766) or applies them twice (etcd #14685),
//! and this member's revisions part from the others'.

use crate::Error;
use bytes::Bytes;
use model::{LogIndex, Term};
use storage::{Batch, Family, Snapshot};

const INDEX: &[u8] = b"applied_index";
const TERM: &[u8] = b"applied_term";
const CONFIGURATION: &[u8] = b"configuration";

/// How far the log has been applied.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// Index of the last applied entry; 0 before the first.
    pub index: LogIndex,
    /// Its term.
    pub term: Term,
    /// Raft's configuration after that entry, opaque here.
    pub configuration: Bytes,
}

impl Applied {
    /// Reads it from a store or a view of one.
    pub fn load(rows: &dyn Snapshot) -> Result<Applied, Error> {
        let number = |key: &[u8], name| match rows.get(Family::Meta, key)? {
            None => Ok(0),
            Some(value) => match <[u8; 8]>::try_from(&value[..]) {
                Ok(value) => Ok(u64::from_be_bytes(value)),
                Err(_) => Err(Error::Meta(name)),
            },
        };
        Ok(Applied {
            index: LogIndex(number(INDEX, "applied_index")?),
            term: Term(number(TERM, "applied_term")?),
            configuration: rows.get(Family::Meta, CONFIGURATION)?.unwrap_or_default(),
        })
    }

    /// Adds the rows to a batch; the configuration only where it has changed.
    pub fn store(&self, batch: &mut Batch, with_configuration: bool) {
        let number = |number: u64| Bytes::copy_from_slice(&number.to_be_bytes());
        batch.put(Family::Meta, INDEX, number(self.index.0));
        batch.put(Family::Meta, TERM, number(self.term.0));
        if with_configuration {
            batch.put(Family::Meta, CONFIGURATION, self.configuration.clone());
        }
    }
}
