//! Taking history over from elsewhere: an etcd's database, a backup.

use crate::format::{Record, Replaced, Row, Superseded};
use crate::kv::Fields;
use crate::{Error, Result, Writer};
use bytes::Bytes;
use model::{EventKind, Revision, RevisionKey};

impl Writer {
    /// Takes over one version as another store has it; `kv` is its encoded `mvccpb.KeyValue`, of which a delete needs
    /// only the key. Versions come in order of revisions, after all that the store already has, and each with the
    /// create revision and version number it had. Nobody is told of them: [`Writer::commit`] returns no changes.
    ///
    /// Versions that the other store has compacted away need not be there; say so with [`Writer::import_position`].
    /// Commit from time to time, see [`Writer::pending_bytes`].
    ///
    /// Fails if `kv` is no key-value, or does not belong at that place; the store must be thrown away then.
    pub fn import(&mut self, at: RevisionKey, kind: EventKind, kv: &[u8]) -> Result<()> {
        if self.is_failed() {
            return Err(Error::Failed);
        }
        let result = self.import_version(at, kind, kv);
        if result.is_err() {
            self.fail();
        }
        result
    }

    /// Sets where the imported history stands: its newest revision, which may be above the last version's, and its
    /// compacted one, [`Revision::NEVER_COMPACTED`] for none. What that makes obsolete is then removed as after any
    /// compaction.
    ///
    /// Fails if that would take either of them back, or compact the future, or if a readable version deletes a key that
    /// is not there.
    pub fn import_position(&mut self, revision: Revision, compacted: Revision) -> Result<()> {
        if let Some(at) = self.baseless_delete()
            && at.main > compacted
        {
            return Err(Error::Import(format!(
                "version {}/{}: deletes a key that is not there",
                at.main, at.sub
            )));
        }
        if revision < self.revision() || compacted < self.compacted() || compacted > revision {
            return Err(Error::Import(format!(
                "revision {revision}, compacted {compacted}, does not follow revision {}, compacted {}",
                self.revision(),
                self.compacted()
            )));
        }
        self.set_position(revision, compacted);
        Ok(())
    }

    fn import_version(&mut self, at: RevisionKey, kind: EventKind, kv: &[u8]) -> Result<()> {
        let wrong = |what: &str| Error::Import(format!("version {}/{}: {what}", at.main, at.sub));
        let given = Fields::parse(kv).map_err(|_| wrong("no key-value"))?;
        if at <= self.last_import() || at.main < self.revision() || at.sub < 0 {
            return Err(wrong("comes too late"));
        }
        if given.key.is_empty() {
            return Err(wrong("no key"));
        }
        let fields = match kind {
            EventKind::Put if given.modified != at.main.0 => return Err(wrong("has another revision")),
            EventKind::Put => given,
            EventKind::Delete => Fields {
                key: given.key,
                modified: at.main.0,
                ..Fields::default()
            },
        };
        let base = self.base();
        let superseded = match self.reader(&base, self.revision()).row(given.key)? {
            None => None,
            Some(row) => Some(superseded(&row)?),
        };
        let record = Record::encode(kind, at, superseded, &fields);
        let is_baseless = kind == EventKind::Delete && !matches!(superseded, Some(Superseded::Version(_)));
        self.add(kind, at, superseded, record, Bytes::new())?;
        self.imported(at, is_baseless);
        Ok(())
    }
}

fn superseded(row: &[u8]) -> Result<Superseded> {
    let row = Row::parse(row)?;
    let at = row.at()?;
    Ok(if row.is_live() {
        Superseded::Version(Replaced {
            at,
            kv_len: row.kv_len(),
        })
    } else {
        Superseded::Mark(at)
    })
}
