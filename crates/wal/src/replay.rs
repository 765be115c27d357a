//! What the records of a log come to, one after another.

use crate::frame::{Frame, Kind};
use crate::record::EntryView;
use crate::segment::{Index, Segment};
use crate::{Entry, Marker};
use bytes::Bytes;
use std::sync::Arc;

/// The log as far as it was read.
pub(crate) struct Log {
    pub(crate) metadata: Option<Bytes>,
    pub(crate) marker: Option<Marker>,
    pub(crate) state: Bytes,
    /// Those after the marker.
    pub(crate) entries: Vec<Entry>,
    pub(crate) index: Index,
    /// A marker was seen in this segment.
    pub(crate) head_complete: bool,
    /// This segment is one of ours: its head ends with a marker.
    ours: bool,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            metadata: None,
            marker: None,
            state: Bytes::new(),
            entries: Vec::new(),
            index: Index::new(1),
            head_complete: false,
            ours: false,
        }
    }

    pub(crate) fn begin_segment(&mut self, segment: Arc<Segment>) {
        self.ours = segment.salt.is_some();
        self.index.push_segment(segment);
        self.head_complete = false;
    }

    pub(crate) fn record(&mut self, frame: &Frame<'_>, offset: u64) -> Result<(), String> {
        match frame.kind {
            Kind::Metadata => match &self.metadata {
                Some(metadata) if metadata != frame.data => {
                    return Err("the metadata is not that of the segments before".to_owned());
                }
                Some(_) => {}
                None => self.metadata = Some(Bytes::copy_from_slice(frame.data)),
            },
            Kind::State => self.state = Bytes::copy_from_slice(frame.data),
            Kind::Marker => {
                let marker = Marker::decode(frame.data).ok_or("a snapshot marker cannot be decoded")?;
                self.marker(marker)?;
                self.head_complete = true;
            }
            Kind::Entry => {
                let entry = EntryView::decode(frame.data).ok_or("an entry cannot be decoded")?;
                self.entry(entry, offset)?;
            }
            Kind::Crc => return Err("a checksum record within a segment".to_owned()),
        }
        Ok(())
    }

    fn entry(&mut self, entry: EntryView<'_>, offset: u64) -> Result<(), String> {
        let marked = self.marker.as_ref().map_or(0, |marker| marker.index);
        if entry.index <= marked {
            return Err(format!(
                "entry {} comes after a snapshot marker at {marked}",
                entry.index
            ));
        }
        // The oldest segments may be gone; whether all that is needed is there shows at the end.
        if let Some(first) = self.entries.first().map(|first| first.index) {
            let next = first + self.entries.len() as u64;
            if entry.index > next {
                return Err(format!("entry {} comes where {next} was expected", entry.index));
            }
            self.entries.truncate(entry.index.saturating_sub(first) as usize);
        } else if self.index.first() < self.index.end() && entry.index > self.index.end() {
            return Err(format!(
                "entry {} comes where {} was expected",
                entry.index,
                self.index.end()
            ));
        }
        self.index.push_entry(entry.index, offset);
        self.entries.push(entry.to_entry());
        Ok(())
    }

    /// A marker at an entry that is there says how far the state is durable, and the log goes on. Any other beyond the
    /// one before replaces the log: a snapshot was installed. So does each new one in the head of a segment, for an
    /// ordinary segment repeats the last; what it replaces need not be whole any more, since it is being removed.
    fn marker(&mut self, marker: Marker) -> Result<(), String> {
        if let Some(before) = &self.marker {
            if marker.index < before.index || (marker.index == before.index && marker.term != before.term) {
                return Err(format!(
                    "a snapshot marker at {} comes after one at {}",
                    marker.index, before.index
                ));
            }
            if marker.index == before.index {
                return Ok(());
            }
        }
        let replaces = self.ours && !self.head_complete && self.marker.is_some();
        match self.entries.first().map(|first| first.index) {
            _ if replaces => {
                self.entries.clear();
                self.index.forget_entries(marker.index + 1);
            }
            Some(first) if marker.index < first => {}
            Some(first)
                if self
                    .entries
                    .get((marker.index - first) as usize)
                    .is_some_and(|e| e.term == marker.term) =>
            {
                self.entries.drain(..=(marker.index - first) as usize);
            }
            _ => {
                self.entries.clear();
                self.index.forget_entries(marker.index + 1);
            }
        }
        self.marker = Some(marker);
        Ok(())
    }
}
