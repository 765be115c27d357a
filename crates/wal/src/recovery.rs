//! Reading a log back, and telling a torn tail from damage.
//!
//! A write that was never synced may be there in parts: any of its sectors, in any order. Cutting it off takes nothing
//! back that was promised. The same bad bytes amid what had been synced are damage, and cutting there would lose
//! acknowledged entries. Each frame says how much before it was durable when it was written; so, if a frame after the
//! bad place says that the bad place had been durable, it is damage, and if none does, it was the last write.
//! Taken for granted is that a sector is written whole or not at all: the last sector of what was durable is written
//! again with the first records of the next group.
//! What remains beyond telling is damage to the very last group, for nothing was written after it.

use crate::dir::{Dir, File};
use crate::frame::{ALIGN, Fault, Frame, Kind, Salt};
use crate::replay::Log;
use crate::segment::{self, Index, Segment};
use crate::{Entry, Error, Marker, Result};
use bytes::Bytes;
use std::sync::Arc;

/// What etcd takes for the unit of a torn write.
const SECTOR: usize = 512;

/// Places are kept in 32 bits.
const SEGMENT_BYTES_MAX: u64 = u32::MAX as u64;

/// What a log held when it was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// What [`crate::Wal::create`] was given.
    pub metadata: Bytes,
    /// The newest marker; index 0 for a log that never had one.
    pub marker: Marker,
    /// The entries after `marker`, without gaps, with overwritten ones gone.
    pub entries: Vec<Entry>,
    /// The newest hard state; empty if none was ever written. It is possible that its commit index is behind the
    /// marker, but not that it is beyond the newest entry.
    pub hard_state: Bytes,
    /// Set if a write that had not been synced was cut off the end.
    pub repaired: Option<Repair>,
}

/// An incomplete write at the end that was cut. Nothing in it had been acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repair {
    /// File name within the directory of the log.
    pub file: String,
    /// Where the log now ends.
    pub offset: u64,
    /// What was found there.
    pub what: String,
}

/// Everything that reading found; nothing was changed yet.
pub(crate) struct Replay {
    pub(crate) recovered: Recovered,
    pub(crate) index: Index,
    /// End of the last segment, and the running sum there.
    pub(crate) end: u64,
    pub(crate) chain: u32,
    /// Where the remains of the torn write end, if there are any.
    pub(crate) debris_end: u64,
    /// Files of segments that were released earlier, but not yet gone when a crash came.
    pub(crate) outdated: Vec<String>,
}

/// Reads all segments. `None` if there are none.
pub(crate) fn replay(dir: &dyn Dir) -> Result<Option<Replay>> {
    let (names, outdated) = names(dir)?;
    let Some(last) = names.len().checked_sub(1) else {
        return Ok(None);
    };
    let mut log = Log::new();
    let mut tail = Tail {
        end: 0,
        chain: None,
        torn: None,
    };
    for (position, (sequence, name)) in names.iter().enumerate() {
        let file = dir.open(name).map_err(|source| Error::io("open", name, source))?;
        let bytes = read(&*file, name)?;
        let scan = Scan {
            name,
            bytes: &bytes,
            sequence: *sequence,
            last: position == last,
        };
        tail = scan.run(file, tail.chain, &mut log)?;
    }
    let (first, last) = (&names[0].1, &names[last].1);
    let (Some(metadata), Some(marker)) = (log.metadata, log.marker) else {
        return Err(Error::corrupt(
            first,
            0,
            "there is no metadata or no snapshot marker",
        ));
    };
    if let Some(entry) = log.entries.first()
        && entry.index != marker.index + 1
    {
        let (from, to) = (marker.index + 1, entry.index - 1);
        return Err(Error::corrupt(
            first,
            0,
            format!("entries {from} to {to} are missing, before this file"),
        ));
    }
    let (repaired, debris_end) = match tail.torn {
        Some(torn) => {
            let repair = Repair {
                file: last.clone(),
                offset: tail.end,
                what: torn.what,
            };
            (Some(repair), torn.debris_end)
        }
        None => (None, tail.end),
    };
    Ok(Some(Replay {
        recovered: Recovered {
            metadata,
            marker,
            entries: log.entries,
            hard_state: log.state,
            repaired,
        },
        index: log.index,
        end: tail.end,
        chain: tail.chain.unwrap_or_default(),
        debris_end,
        outdated,
    }))
}

/// Segments' numbers and names.
type Numbered = Vec<(u64, String)>;

/// The names of the newest segments without a gap in their numbers, oldest first, and those before the gap.
fn names(dir: &dyn Dir) -> Result<(Numbered, Vec<String>)> {
    let names = dir
        .list()
        .map_err(|source| Error::io("list", dir.path(), source))?;
    let mut found: Vec<_> = names
        .into_iter()
        .filter_map(|name| segment::parse_name(&name).map(|number| (number, name)))
        .collect();
    found.sort();
    let mut start = found.len().saturating_sub(1);
    while start > 0 {
        let (before, this) = (found[start - 1].0, found[start].0);
        if before == this {
            return Err(Error::corrupt(
                &found[start].1,
                0,
                "there are two segments of this number",
            ));
        }
        if before + 1 != this {
            break;
        }
        start -= 1;
    }
    let current = found.split_off(start);
    Ok((current, found.into_iter().map(|(_, name)| name).collect()))
}

fn read(file: &dyn File, name: &str) -> Result<Vec<u8>> {
    let failed = |source| Error::io("read", name, source);
    let bytes = file.size().map_err(failed)?;
    if bytes > SEGMENT_BYTES_MAX {
        return Err(Error::corrupt(
            name,
            SEGMENT_BYTES_MAX,
            format!("the file has {bytes} bytes"),
        ));
    }
    let mut content = vec![0; bytes as usize];
    let read = file.read_at(&mut content, 0).map_err(failed)?;
    content.truncate(read);
    Ok(content)
}

/// How a segment ended.
struct Tail {
    end: u64,
    chain: Option<u32>,
    torn: Option<Torn>,
}

struct Torn {
    what: String,
    debris_end: u64,
}

/// One segment being read.
struct Scan<'a> {
    name: &'a str,
    bytes: &'a [u8],
    sequence: u64,
    last: bool,
}

impl Scan<'_> {
    fn run(&self, file: Arc<dyn File>, before: Option<u32>, log: &mut Log) -> Result<Tail> {
        // A segment gets its name only after its head is durable, so the head is never torn.
        let first = Frame::parse(self.bytes)
            .ok()
            .filter(|frame| frame.kind == Kind::Crc && frame.data.is_empty())
            .ok_or_else(|| self.corrupt(0, "the first record is not a checksum record"))?;
        let salt = first.seal.is_some().then(|| Salt::new(self.sequence, first.crc));
        if let (Some(seal), Some(salt)) = (first.seal, salt)
            && !seal.fits(salt, 0)
        {
            return Err(self.corrupt(0, "the first record does not match its checksum"));
        }
        if before.is_some_and(|before| before != first.crc) {
            return Err(self.corrupt(
                0,
                "the segment before it is not as it was: this one does not continue it",
            ));
        }
        let segment = Segment {
            sequence: self.sequence,
            name: self.name.to_owned(),
            salt,
            file,
        };
        log.begin_segment(Arc::new(segment));

        let mut chain = first.crc;
        let mut at = first.bytes;
        let torn = loop {
            match self.next(at, salt, &mut chain) {
                Ok(frame) => {
                    log.record(&frame, at as u64)
                        .map_err(|what| self.corrupt(at, what))?;
                    at += frame.bytes;
                }
                Err(Fault::End) if !self.last => break None,
                Err(fault) => break self.judge(at, fault, salt)?,
            }
        };
        // The head of a segment of ours ends with a marker; losing part of it is no torn write.
        if !log.head_complete && (salt.is_some() || log.metadata.is_none()) {
            return Err(self.corrupt(at, "the head of the segment is incomplete"));
        }
        Ok(Tail {
            end: at as u64,
            chain: Some(chain),
            torn,
        })
    }

    /// The frame at `at` if all its sums are right.
    fn next(&self, at: usize, salt: Option<Salt>, chain: &mut u32) -> Result<Frame<'_>, Fault> {
        let frame = Frame::parse(&self.bytes[at..])?;
        let sealed = match (frame.seal, salt) {
            (Some(seal), Some(salt)) => seal.fits(salt, at as u64),
            (None, None) => true,
            _ => false,
        };
        let sum = crc32c::crc32c_append(*chain, frame.data);
        if !sealed || sum != frame.crc {
            return Err(Fault::Malformed(frame.bytes));
        }
        *chain = sum;
        Ok(frame)
    }

    /// What the end of the readable part means: `None` a clean end, else a torn write, or an error.
    fn judge(&self, at: usize, fault: Fault, salt: Option<Salt>) -> Result<Option<Torn>> {
        let what = match fault {
            Fault::End => "a gap before the remains of a write",
            Fault::Short => "a record that reaches beyond the file",
            Fault::Malformed(_) => "a record that does not match its checksum",
        };
        if !self.last {
            return Err(self.corrupt(at, format!("{what}, and a later segment follows")));
        }
        let debris_end = match salt {
            Some(salt) => self.debris(at, what, salt)?,
            None => self.etcd_debris(at, what, fault)?,
        };
        if fault == Fault::End && debris_end == at {
            return Ok(None);
        }
        Ok(Some(Torn {
            what: what.to_owned(),
            debris_end: debris_end as u64,
        }))
    }

    /// Looks behind the bad place for frames of this segment. If one proves that the place had been durable, that is
    /// an error; else they are remains of the write that was torn, and this is where they end.
    fn debris(&self, at: usize, what: &str, salt: Salt) -> Result<usize> {
        let mut end = at;
        let mut offset = at + ALIGN;
        while offset + ALIGN <= self.bytes.len() {
            if self.bytes[offset..offset + ALIGN] != [0; ALIGN]
                && let Ok(frame) = Frame::parse(&self.bytes[offset..])
                && let Some(seal) = frame.seal
                && seal.fits(salt, offset as u64)
            {
                let was_durable = offset as u64 - seal.unsynced > at as u64;
                #[cfg(feature = "planted")]
                let was_durable = was_durable && !planted::is(planted::Bug::MiddleTruncated);
                if was_durable {
                    let what = format!("{what}, but the record at offset {offset} shows that it was durable");
                    return Err(self.corrupt(at, what));
                }
                end = end.max(offset + frame.bytes);
            }
            offset += ALIGN;
        }
        Ok(end)
    }

    /// etcd's rule, for a segment that it wrote: a sector of zeros in the record, or a record beyond the file, is a
    /// torn write. Zeros end its log whatever follows them.
    fn etcd_debris(&self, at: usize, what: &str, fault: Fault) -> Result<usize> {
        let end = match fault {
            Fault::End => return Ok(at),
            Fault::Short => self.bytes.len(),
            Fault::Malformed(bytes) => {
                let mut start = at + ALIGN;
                let mut torn = false;
                while start < at + bytes {
                    let sector_end = (start / SECTOR + 1) * SECTOR;
                    let end = sector_end.min(at + bytes);
                    torn |= self.bytes[start..end].iter().all(|byte| *byte == 0);
                    start = end;
                }
                if !torn {
                    return Err(self.corrupt(at, what));
                }
                at + bytes
            }
        };
        Ok(end)
    }

    fn corrupt(&self, at: usize, what: impl Into<String>) -> Error {
        Error::corrupt(self.name, at as u64, what)
    }
}
