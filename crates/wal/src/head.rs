//! How segments begin, and how writes to them end.

use crate::dir::Dir;
use crate::frame::{Encoder, Kind, Salt};
use crate::segment::{self, Segment};
use crate::spares::Spare;
use crate::{Error, Marker, Result};
use std::sync::Arc;

/// Writes end at a page's end where they can: the kernel would else have to read the rest of the page first.
pub(crate) const PAGE: u64 = 4096;

/// A zero length after the last record ends the segment, whatever a recycled file holds behind it.
pub(crate) const END_MARK: u64 = 8;

/// What each segment begins with: enough to need none of those before it.
pub(crate) struct Head<'a> {
    pub(crate) sequence: u64,
    pub(crate) index: u64,
    pub(crate) chain: u32,
    pub(crate) metadata: &'a [u8],
    pub(crate) hard_state: &'a [u8],
    pub(crate) marker: &'a Marker,
}

impl Head<'_> {
    /// Makes the spare a segment. It gets its name only when the head is durable, so that there is never a segment
    /// without one.
    pub(crate) fn begin(&self, dir: &dyn Dir, spare: &Spare) -> Result<(Arc<Segment>, Encoder)> {
        let salt = Salt::new(self.sequence, self.chain);
        let mut encoder = Encoder {
            buf: Vec::new(),
            chain: self.chain,
            salt,
            start: 0,
            synced: 0,
        };
        encoder.push(Kind::Crc, &[], &[]);
        encoder.push(Kind::Metadata, self.metadata, &[]);
        if !self.hard_state.is_empty() {
            encoder.push(Kind::State, self.hard_state, &[]);
        }
        // Last, for reading takes it as the sign that the head is complete.
        encoder.push(Kind::Marker, &self.marker.encode(), &[]);
        let frames = encoder.buf.len() as u64;
        pad(&mut encoder, spare.bytes);

        let name = segment::name(self.sequence, self.index);
        failpoint::point!("walBeforeHead");
        spare
            .file
            .write_at(&encoder.buf, 0)
            .map_err(|source| Error::io("write to", &name, source))?;
        let segment = Segment {
            sequence: self.sequence,
            name,
            salt: Some(salt),
            file: spare.file.clone(),
        };
        sync_file(&segment)?;
        failpoint::point!("walAfterHead");
        dir.rename(&spare.name, &segment.name)
            .map_err(|source| Error::io("rename", &spare.name, source))?;
        failpoint::point!("walAfterHeadNamed");
        sync_dir(dir)?;
        encoder.buf.clear();
        encoder.start = frames;
        encoder.synced = frames;
        Ok((Arc::new(segment), encoder))
    }
}

/// Zeros up to the end of the page, at least an end mark; beyond the file's end only as far as needed.
pub(crate) fn pad(encoder: &mut Encoder, file_bytes: u64) {
    let end = encoder.offset() + END_MARK;
    let padded = end.next_multiple_of(PAGE).min(file_bytes.max(end));
    encoder.buf.resize((padded - encoder.start) as usize, 0);
}

pub(crate) fn sync_file(segment: &Segment) -> Result<()> {
    segment
        .file
        .sync()
        .map_err(|source| Error::io("sync", &segment.name, source))
}

pub(crate) fn sync_dir(dir: &dyn Dir) -> Result<()> {
    dir.sync().map_err(|source| Error::io("sync", dir.path(), source))
}
