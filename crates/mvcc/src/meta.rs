//! The two rows that say how far the store has come.

use crate::{Error, Result};
use bytes::{BufMut, Bytes, BytesMut};
use model::{Revision, RevisionKey};

/// Key of [`Head`] in the meta family.
pub(crate) const HEAD: &[u8] = b"mvcc/head";
/// Key of [`Sweep`] in the meta family.
pub(crate) const SWEEP: &[u8] = b"mvcc/sweep";

/// Version of all rows of this crate; see format.rs.
pub(crate) const FORMAT: u8 = 2;
/// The oldest version that is read; its rows are rows of this one too.
const FORMAT_OLDEST: u8 = 1;

/// Written by the writer, in every batch with changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// Stored and not derived from the newest key: that one may be compacted away (etcd #17780).
    pub revision: Revision,
    /// Oldest readable revision.
    pub compacted: Revision,
    /// What was `compacted` before.
    pub previous: Revision,
    /// Bytes of all versions ever written.
    pub written: u64,
    /// Most bytes that were in use at once since space was given back.
    pub allocated: u64,
}

/// Written by the compaction, with the removals of each step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sweep {
    /// Everything that compactions up to here made obsolete is removed.
    pub finished: Revision,
    /// The compaction under way.
    pub job: Option<Job>,
    /// Bytes of all versions ever removed.
    pub reclaimed: u64,
}

/// A compaction under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Job {
    pub target: Revision,
    /// First log record not looked at.
    pub next: RevisionKey,
}

impl Default for Head {
    fn default() -> Head {
        Head {
            revision: Revision::EMPTY_STORE,
            compacted: Revision::NEVER_COMPACTED,
            previous: Revision::NEVER_COMPACTED,
            written: 0,
            allocated: 0,
        }
    }
}

impl Default for Sweep {
    fn default() -> Sweep {
        Sweep {
            finished: Revision::NEVER_COMPACTED,
            job: None,
            reclaimed: 0,
        }
    }
}

impl Head {
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(41);
        out.put_u8(FORMAT);
        out.put_i64(self.revision.0);
        out.put_i64(self.compacted.0);
        out.put_i64(self.previous.0);
        out.put_u64(self.written);
        out.put_u64(self.allocated);
        out.freeze()
    }

    pub fn decode(row: &[u8]) -> Result<Head> {
        let (format, numbers) = row.split_first().ok_or_else(damaged)?;
        if !(FORMAT_OLDEST..=FORMAT).contains(format) {
            return Err(Error::Format {
                found: (*format).into(),
                known: FORMAT.into(),
            });
        }
        let [revision, compacted, previous, written, allocated] = numbers_of(numbers)?;
        let (revision, compacted) = (revision as i64, compacted as i64);
        Ok(Head {
            // A store made by a tool may hold nothing but its compacted revision.
            revision: Revision(revision.max(compacted)),
            compacted: Revision(compacted),
            previous: Revision(previous as i64),
            written,
            allocated,
        })
    }
}

impl Sweep {
    /// Whether this deletion is gone, with its mark in `current` if that still was there.
    pub fn has_removed_delete(&self, at: RevisionKey) -> bool {
        let by_job = |job: Job| at < job.next && at.main < job.target;
        at.main < self.finished || self.job.is_some_and(by_job)
    }

    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(40);
        let job = self.job.unwrap_or(Job {
            target: Revision(0),
            next: RevisionKey::default(),
        });
        out.put_i64(self.finished.0);
        out.put_i64(job.target.0);
        out.put_i64(job.next.main.0);
        out.put_i64(job.next.sub);
        out.put_u64(self.reclaimed);
        out.freeze()
    }

    pub fn decode(row: &[u8]) -> Result<Sweep> {
        let [finished, target, main, sub, reclaimed] = numbers_of(row)?;
        let job = Job {
            target: Revision(target as i64),
            next: RevisionKey {
                main: Revision(main as i64),
                sub: sub as i64,
            },
        };
        Ok(Sweep {
            finished: Revision(finished as i64),
            job: (job.target.0 != 0).then_some(job),
            reclaimed,
        })
    }
}

fn numbers_of<const N: usize>(row: &[u8]) -> Result<[u64; N]> {
    let (numbers, rest) = row.as_chunks::<8>();
    let numbers: &[[u8; 8]; N] = numbers.try_into().map_err(|_| damaged())?;
    if !rest.is_empty() {
        return Err(damaged());
    }
    Ok(numbers.map(u64::from_be_bytes))
}

fn damaged() -> Error {
    Error::Damaged("a meta row has the wrong length".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back() {
        let head = Head {
            revision: Revision(9),
            compacted: Revision(-1),
            previous: Revision(-1),
            written: 1 << 40,
            allocated: 7,
        };
        assert_eq!(Head::decode(&head.encode()).unwrap(), head);
        let next = RevisionKey {
            main: Revision(3),
            sub: 4,
        };
        for job in [
            None,
            Some(Job {
                target: Revision(8),
                next,
            }),
        ] {
            let sweep = Sweep {
                finished: Revision(2),
                job,
                reclaimed: 5,
            };
            assert_eq!(Sweep::decode(&sweep.encode()).unwrap(), sweep);
        }
    }

    #[test]
    fn another_format_is_refused() {
        let mut row = Head::default().encode().to_vec();
        row[0] = FORMAT + 1;
        assert!(matches!(
            Head::decode(&row),
            Err(Error::Format { found: 3, known: 2 })
        ));
        assert!(matches!(Head::decode(&row[..9]), Err(Error::Format { .. })));
        row[0] = 0;
        assert!(matches!(Head::decode(&row), Err(Error::Format { .. })));
        row[0] = FORMAT_OLDEST;
        assert_eq!(Head::decode(&row).unwrap(), Head::default());
        row[0] = FORMAT;
        assert!(matches!(Head::decode(&row[..9]), Err(Error::Damaged(_))));
    }
}
