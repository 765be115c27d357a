//! Reading entries of a log that is being written.

use crate::frame::{ALIGN, Frame, Kind};
use crate::record::EntryView;
use crate::segment::{Index, Segment};
use crate::{Entry, Error, Result};
use parking_lot::RwLock;
use std::sync::Arc;

/// At most returned by one call: a bound on what is looked up under the lock.
const ENTRIES_MAX: u64 = 16 << 10;

/// Read at once, where there are that many.
const WINDOW_BYTES: usize = 128 << 10;

/// Reads appended entries back, from any thread. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    index: Arc<RwLock<Index>>,
}

impl Reader {
    pub(crate) fn new(index: Arc<RwLock<Index>>) -> Self {
        Self { index }
    }

    /// Entries `from..to`: at least one, then as many as have at most `bytes_max` bytes of data together. Fewer may be
    /// returned, e.g. where a segment ends.
    ///
    /// [`Error::Released`] if `from` is not, or no longer, there.
    pub fn entries(&self, from: u64, to: u64, bytes_max: u64) -> Result<Vec<Entry>> {
        let Some((segment, start, offsets)) = self.places(from, to) else {
            return Err(Error::Released(from));
        };
        let result = read(&segment, start, &offsets, from, bytes_max);
        match result {
            // The file may have been given to another segment meanwhile; then its content proves nothing.
            Err(Error::Corrupt { .. }) if !self.is_at(from, &segment, offsets[0]) => {
                Err(Error::Released(from))
            }
            result => result,
        }
    }

    /// The segment of entry `from`, where to begin reading in it, and where in it `from..to` lie, as far as they do.
    fn places(&self, from: u64, to: u64) -> Option<(Arc<Segment>, u64, Vec<u64>)> {
        let index = self.index.read();
        let (segment, offset) = index.find(from)?;
        // The sum of an entry builds on that of the record before it, so reading begins at the entry before.
        let start = match from.checked_sub(1).and_then(|before| index.find(before)) {
            Some((before, start)) if before.sequence == segment.sequence => start,
            _ => 0,
        };
        let mut offsets = vec![offset];
        for entry in from + 1..to.min(index.end()).min(from + ENTRIES_MAX) {
            match index.find(entry) {
                Some((next, offset)) if next.sequence == segment.sequence => offsets.push(offset),
                _ => break,
            }
        }
        Some((segment, start, offsets))
    }

    fn is_at(&self, entry: u64, segment: &Segment, offset: u64) -> bool {
        let index = self.index.read();
        index
            .find(entry)
            .is_some_and(|(now, at)| now.sequence == segment.sequence && at == offset)
    }
}

fn read(segment: &Segment, start: u64, offsets: &[u64], first: u64, bytes_max: u64) -> Result<Vec<Entry>> {
    let file_bytes = segment
        .file
        .size()
        .map_err(|source| Error::io("measure", &segment.name, source))?;
    let mut window = Window {
        segment,
        file_bytes,
        start,
        bytes: Vec::new(),
    };
    let mut entries = Vec::new();
    let mut bytes = 0;
    let mut at = start;
    let mut chain = None;
    while entries.len() < offsets.len() {
        let frame = window.frame(at)?;
        let sealed = match (frame.seal, segment.salt) {
            (Some(seal), Some(salt)) => seal.fits(salt, at),
            (None, None) => true,
            _ => false,
        };
        if !sealed || chain.is_some_and(|chain| crc32c::crc32c_append(chain, frame.data) != frame.crc) {
            return Err(Error::corrupt(
                &segment.name,
                at,
                "a record does not match its checksum",
            ));
        }
        chain = Some(frame.crc);
        // Records in between are states, markers, or entries that were overwritten later.
        if at == offsets[entries.len()] {
            let entry = (frame.kind == Kind::Entry)
                .then(|| EntryView::decode(frame.data))
                .flatten();
            let Some(entry) = entry.filter(|entry| entry.index == first + entries.len() as u64) else {
                return Err(Error::corrupt(
                    &segment.name,
                    at,
                    "this is not the entry that was written here",
                ));
            };
            bytes += entry.data.len() as u64;
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(entry.to_entry());
        }
        at += frame.bytes as u64;
    }
    Ok(entries)
}

/// A part of the file in memory.
struct Window<'a> {
    segment: &'a Segment,
    file_bytes: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    fn frame(&mut self, at: u64) -> Result<Frame<'_>> {
        let length = self.slice(at, ALIGN)?.try_into().map_or(0, u64::from_le_bytes);
        // The low seven bytes are the length of the record; the padding after it is shorter than the length field.
        let record = length & ((1 << 56) - 1);
        let bytes = record
            .saturating_add(2 * ALIGN as u64)
            .min(self.file_bytes.saturating_sub(at));
        let name = &self.segment.name;
        Frame::parse(self.slice(at, bytes as usize)?)
            .map_err(|_| Error::corrupt(name, at, "there is no record where one was written"))
    }

    /// `bytes` from `at` on; fewer at the end of the file.
    fn slice(&mut self, at: u64, bytes: usize) -> Result<&[u8]> {
        let within = at >= self.start && at + bytes as u64 <= self.start + self.bytes.len() as u64;
        if !within {
            self.start = at;
            self.bytes.resize(bytes.max(WINDOW_BYTES), 0);
            let read = self.segment.file.read_at(&mut self.bytes, at);
            let read = read.map_err(|source| Error::io("read", &self.segment.name, source))?;
            self.bytes.truncate(read);
        }
        let from = (at - self.start) as usize;
        let to = (from + bytes).min(self.bytes.len());
        Ok(&self.bytes[from.min(to)..to])
    }
}
