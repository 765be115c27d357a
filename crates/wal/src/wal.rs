//! The log that is written to.

use crate::dir::{Dir, Disk, NoSync};
use crate::frame::{Encoder, Kind, Salt};
use crate::head::{END_MARK, Head, pad, sync_dir, sync_file};
use crate::reader::Reader;
use crate::record::encode_entry_head;
use crate::recovery::replay;
use crate::segment::{self, Index, Segment};
use crate::spares::{SHORT_BYTES, Spares, is_spare};
use crate::{Error, Marker, Options, Record, Recovered, Result, Stats};
use parking_lot::RwLock;
use std::path::Path;
use std::sync::Arc;

/// More than the frame around an entry takes.
const FRAME_BYTES_MAX: u64 = 96;

/// A log open for writing; on disk, its directory is locked against other processes as long as it lives.
///
/// One group commit is one [`Wal::append`] and one [`Wal::sync`]. After any error other than [`Error::OutOfOrder`]
/// what reached the disk is unknown, and all further calls that write give [`Error::Poisoned`].
pub struct Wal {
    dir: Arc<dyn Dir>,
    segment_bytes: u64,
    metadata: Vec<u8>,
    hard_state: Vec<u8>,
    marker: Marker,
    last_index: u64,
    tail: Arc<Segment>,
    tail_bytes: u64,
    /// Where the records of the tail begin, after its head.
    body: u64,
    encoder: Encoder,
    /// Head of the entry being encoded.
    scratch: Vec<u8>,
    /// Index and offset of the entries of the group being written.
    placed: Vec<(u64, u64)>,
    index: Arc<RwLock<Index>>,
    spares: Spares,
    poisoned: bool,
    stats: Stats,
}

impl Wal {
    /// Whether the directory holds a log. A creation that a crash cut short leaves none.
    pub fn exists(path: &Path) -> Result<bool> {
        let failed = |source| Error::io("list", path.display().to_string(), source);
        let entries = match std::fs::read_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            if entry
                .map_err(failed)?
                .file_name()
                .to_str()
                .and_then(segment::parse_name)
                .is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// [`Wal::exists`] in any directory.
    pub fn exists_in(dir: &dyn Dir) -> Result<bool> {
        let names = dir
            .list()
            .map_err(|source| Error::io("list", dir.path(), source))?;
        Ok(names.iter().any(|name| segment::parse_name(name).is_some()))
    }

    /// Makes a new log on disk, with its directory. `metadata` is kept in every segment.
    pub fn create(path: &Path, metadata: &[u8], options: Options) -> Result<Wal> {
        Self::create_in(Arc::new(Disk::create(path)?), metadata, options)
    }

    /// Opens a log on disk and reads it back. A torn tail is cut (and reported); damage before it is
    /// [`Error::Corrupt`], and nothing is changed then.
    pub fn open(path: &Path, options: Options) -> Result<(Wal, Recovered)> {
        Self::open_in(Arc::new(Disk::open(path)?), options)
    }

    /// [`Wal::create`] in any directory.
    pub fn create_in(dir: Arc<dyn Dir>, metadata: &[u8], options: Options) -> Result<Wal> {
        let dir = with_fsync(dir, &options);
        let names = dir
            .list()
            .map_err(|source| Error::io("list", dir.path(), source))?;
        if names.iter().any(|name| segment::parse_name(name).is_some()) {
            return Err(Error::Exists { path: dir.path() });
        }
        remove(&*dir, names.iter().filter(|name| is_spare(name)))?;
        let segment_bytes = options.segment_bytes();
        let spares = Spares::start(dir.clone(), segment_bytes, options.background)?;
        // Each segment after the first is twice as long, up to the full length: a small log stays small.
        let spare = spares.take(SHORT_BYTES.min(segment_bytes))?;
        let head = Head {
            sequence: 0,
            index: 0,
            chain: 0,
            metadata,
            hard_state: &[],
            marker: &Marker::default(),
        };
        let (tail, encoder) = head.begin(&*dir, &spare)?;
        let mut index = Index::new(1);
        index.push_segment(tail.clone());
        Ok(Wal {
            dir,
            segment_bytes,
            metadata: metadata.to_vec(),
            hard_state: Vec::new(),
            marker: Marker::default(),
            last_index: 0,
            tail,
            tail_bytes: spare.bytes,
            body: encoder.start,
            encoder,
            scratch: Vec::new(),
            placed: Vec::new(),
            index: Arc::new(RwLock::new(index)),
            spares,
            poisoned: false,
            stats: Stats::default(),
        })
    }

    /// [`Wal::open`] in any directory.
    pub fn open_in(dir: Arc<dyn Dir>, options: Options) -> Result<(Wal, Recovered)> {
        let dir = with_fsync(dir, &options);
        let missing = || {
            Error::io(
                "find segments in",
                dir.path(),
                std::io::ErrorKind::NotFound.into(),
            )
        };
        let replay = replay(&*dir)?.ok_or_else(missing)?;
        let recovered = replay.recovered;
        let tail = replay.index.tail().ok_or_else(missing)?.clone();

        // What was read may be in the page cache only, if the process died and not the machine; so may the name of
        // the newest segment. Before anything is built on them they are made durable.
        if recovered.repaired.is_some() {
            wipe(&tail, replay.end, replay.debris_end)?;
        }
        sync_file(&tail)?;
        let names = dir
            .list()
            .map_err(|source| Error::io("list", dir.path(), source))?;
        remove(
            &*dir,
            replay
                .outdated
                .iter()
                .chain(names.iter().filter(|name| is_spare(name))),
        )?;
        sync_dir(&*dir)?;

        let segment_bytes = options.segment_bytes();
        let tail_bytes = tail
            .file
            .size()
            .map_err(|source| Error::io("measure", &tail.name, source))?;
        let encoder = Encoder {
            buf: Vec::new(),
            chain: replay.chain,
            salt: tail.salt.unwrap_or(Salt::new(0, 0)),
            start: replay.end,
            synced: replay.end,
        };
        let made_by_etcd = tail.salt.is_none();
        let mut wal = Wal {
            spares: Spares::start(dir.clone(), segment_bytes, options.background)?,
            dir,
            segment_bytes,
            metadata: recovered.metadata.to_vec(),
            hard_state: recovered.hard_state.to_vec(),
            marker: recovered.marker.clone(),
            last_index: recovered
                .entries
                .last()
                .map_or(recovered.marker.index, |entry| entry.index),
            tail,
            tail_bytes,
            body: 0,
            encoder,
            scratch: Vec::new(),
            placed: Vec::new(),
            index: Arc::new(RwLock::new(replay.index)),
            poisoned: false,
            stats: Stats::default(),
        };
        if made_by_etcd {
            // Its frames lack what ours carry, and a segment has one kind.
            wal.rotate(0)?;
        }
        Ok((wal, recovered))
    }

    /// Writes a group with one write; it is durable after the next [`Wal::sync`]. Begins a new segment first if the
    /// group does not fit into this one.
    pub fn append(&mut self, group: &[Record<'_>]) -> Result<()> {
        let last_index = self.check_order(group)?;
        self.guard(|wal| wal.write_group(group))?;
        self.last_index = last_index;
        Ok(())
    }

    /// Makes all that was appended durable: one fdatasync, or none if nothing was appended since the last.
    pub fn sync(&mut self) -> Result<()> {
        self.guard(Self::sync_tail)
    }

    /// Notes, durably, that the state up to `marker.index` is durable elsewhere. Recovery then returns only the entries
    /// after it. [`Error::OutOfOrder`] if it is below an earlier marker, above the newest entry, or not of its term.
    pub fn save_snapshot_marker(&mut self, marker: Marker) -> Result<()> {
        if marker.index == self.marker.index && marker.term == self.marker.term {
            return Ok(());
        }
        if marker.index <= self.marker.index || marker.index > self.last_index {
            let (from, to) = (self.marker.index, self.last_index);
            return Err(Error::OutOfOrder(format!(
                "a marker at {} is not in {from}..={to}",
                marker.index
            )));
        }
        // A marker of another term would make recovery believe that the log was replaced.
        let entry = self.reader().entries(marker.index, marker.index + 1, 0)?;
        if let Some(entry) = entry.first()
            && entry.term != marker.term
        {
            let what = format!(
                "entry {} is of term {}, not {}",
                marker.index, entry.term, marker.term
            );
            return Err(Error::OutOfOrder(what));
        }
        self.guard(|wal| {
            let encoded = marker.encode();
            wal.make_room(encoded.len() as u64 + FRAME_BYTES_MAX)?;
            failpoint::point!("walBeforeMarker");
            wal.encoder.push(Kind::Marker, &encoded, &[]);
            wal.write_out()?;
            wal.sync_tail()
        })?;
        failpoint::point!("walAfterMarker");
        self.marker = marker;
        Ok(())
    }

    /// Replaces the whole log by an installed snapshot, atomically and durably: a new segment begins with marker and
    /// hard state, and all entries before it are gone. The snapshot itself must be durable before.
    pub fn reset_to_snapshot(&mut self, marker: Marker, hard_state: &[u8]) -> Result<()> {
        if marker.index <= self.marker.index {
            let what = format!(
                "a snapshot at {} comes after a marker at {}",
                marker.index, self.marker.index
            );
            return Err(Error::OutOfOrder(what));
        }
        self.guard(|wal| {
            failpoint::point!("walBeforeReset");
            wal.hard_state = hard_state.to_vec();
            wal.last_index = marker.index;
            wal.marker = marker;
            wal.rotate(0)?;
            failpoint::point!("walAfterReset");
            let mut index = wal.index.write();
            index.forget_entries(wal.marker.index + 1);
            let released = index.release(u64::MAX);
            drop(index);
            wal.spares.retire(released)
        })
    }

    /// Gives back segments that hold only entries up to `index` and up to the newest marker.
    pub fn release(&mut self, index: u64) -> Result<()> {
        self.guard(|wal| {
            failpoint::point!("walBeforeRelease");
            let released = wal.index.write().release(index.min(wal.marker.index));
            wal.spares.retire(released)
        })
    }

    /// Index of the oldest entry that a [`Reader`] can still read; one past the newest if there is none.
    pub fn first_index(&self) -> u64 {
        self.index.read().first()
    }

    /// Index of the newest entry, or of the marker if there is none after it.
    pub fn last_index(&self) -> u64 {
        self.last_index
    }

    /// The newest marker.
    pub fn marker(&self) -> &Marker {
        &self.marker
    }

    /// Counters since opening.
    pub fn stats(&self) -> Stats {
        Stats {
            segments: self.index.read().segments() as u64,
            ..self.stats
        }
    }

    /// Reads entries back from other threads, e.g. for a follower that is behind what is held in memory.
    pub fn reader(&self) -> Reader {
        Reader::new(self.index.clone())
    }

    /// Runs what writes, unless something failed before.
    fn guard(&mut self, write: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.poisoned || self.spares.broken() {
            self.poisoned = true;
            return Err(Error::Poisoned);
        }
        let result = write(self);
        self.poisoned = result.is_err();
        result
    }

    /// The index of the newest entry after this group.
    fn check_order(&self, group: &[Record<'_>]) -> Result<u64> {
        let mut last = self.last_index;
        for record in group {
            if let Record::Entry { index, .. } = *record {
                if index <= self.marker.index || index > last + 1 {
                    let what = format!(
                        "entry {index} after {last}, with a marker at {}",
                        self.marker.index
                    );
                    return Err(Error::OutOfOrder(what));
                }
                last = index;
            }
        }
        Ok(last)
    }

    fn write_group(&mut self, group: &[Record<'_>]) -> Result<()> {
        if group.is_empty() {
            return Ok(());
        }
        let bytes = |record: &Record<'_>| match record {
            Record::Entry { data, .. } | Record::State(data) => data.len() as u64 + FRAME_BYTES_MAX,
        };
        self.make_room(group.iter().map(bytes).sum())?;
        self.placed.clear();
        for record in group {
            match *record {
                Record::Entry {
                    kind,
                    index,
                    term,
                    data,
                } => {
                    self.placed.push((index, self.encoder.offset()));
                    encode_entry_head(&mut self.scratch, kind, index, term, data.len());
                    self.encoder.push(Kind::Entry, &self.scratch, data);
                }
                Record::State(state) => {
                    self.encoder.push(Kind::State, state, &[]);
                    state.clone_into(&mut self.hard_state);
                }
            }
        }
        self.write_out()?;
        let mut index = self.index.write();
        for (entry, offset) in &self.placed {
            index.push_entry(*entry, *offset);
        }
        Ok(())
    }

    /// Begins a new segment if `bytes` more do not fit, unless this one is still empty: then it grows.
    fn make_room(&mut self, bytes: u64) -> Result<()> {
        let fits = self.encoder.start + bytes + END_MARK <= self.tail_bytes;
        if fits || self.encoder.start == self.body {
            return Ok(());
        }
        self.rotate(bytes)
    }

    /// Writes the buffer behind what was written before, with an end mark.
    fn write_out(&mut self) -> Result<()> {
        let encoder = &mut self.encoder;
        let frames = encoder.buf.len();
        pad(encoder, self.tail_bytes);
        failpoint::point!("walBeforeWrite");
        let written = self.tail.file.write_at(&encoder.buf, encoder.start);
        written.map_err(|source| Error::io("write to", &self.tail.name, source))?;
        failpoint::point!("walAfterWrite");
        encoder.start += frames as u64;
        encoder.buf.clear();
        // One group of very large values must not hold its memory for ever.
        encoder.buf.shrink_to(1 << 20);
        self.stats.written_bytes += frames as u64;
        if encoder.start > self.tail_bytes / 4 {
            self.spares.want(self.next_bytes());
        }
        Ok(())
    }

    fn sync_tail(&mut self) -> Result<()> {
        if self.encoder.synced != self.encoder.start {
            failpoint::point!("walBeforeSync");
            let synced = sync_file(&self.tail);
            #[cfg(feature = "planted")]
            let synced = synced.or_else(|error| match planted::is(planted::Bug::SyncErrorIgnored) {
                true => Ok(()),
                false => Err(error),
            });
            synced?;
            self.encoder.synced = self.encoder.start;
            self.stats.syncs += 1;
            failpoint::point!("walAfterSync");
        }
        Ok(())
    }

    fn next_bytes(&self) -> u64 {
        (self.tail_bytes * 2).min(self.segment_bytes)
    }

    /// Ends the tail, durably, and goes on in a new segment that has room for `bytes` if it can be had.
    fn rotate(&mut self, bytes: u64) -> Result<()> {
        self.sync_tail()?;
        failpoint::point!("walBeforeRotate");
        let spare = self
            .spares
            .take(self.next_bytes().max(bytes.min(self.segment_bytes)))?;
        let head = Head {
            sequence: self.tail.sequence + 1,
            index: self.last_index + 1,
            chain: self.encoder.chain,
            metadata: &self.metadata,
            hard_state: &self.hard_state,
            marker: &self.marker,
        };
        let (tail, mut encoder) = head.begin(&*self.dir, &spare)?;
        std::mem::swap(&mut encoder.buf, &mut self.encoder.buf);
        encoder.buf.clear();
        self.index.write().push_segment(tail.clone());
        self.tail = tail;
        self.tail_bytes = spare.bytes;
        self.body = encoder.start;
        self.encoder = encoder;
        self.stats.rotations += 1;
        self.stats.recycled += u64::from(spare.used);
        failpoint::point!("walAfterRotate");
        Ok(())
    }
}

/// Overwrites the remains of a torn write with zeros, at least an end mark.
fn wipe(segment: &Segment, from: u64, to: u64) -> Result<()> {
    let zeros = vec![0; (to - from).max(END_MARK) as usize];
    segment
        .file
        .write_at(&zeros, from)
        .map_err(|source| Error::io("write to", &segment.name, source))
}

fn with_fsync(dir: Arc<dyn Dir>, options: &Options) -> Arc<dyn Dir> {
    if options.fsync { dir } else { Arc::new(NoSync(dir)) }
}

fn remove<'a>(dir: &dyn Dir, names: impl Iterator<Item = &'a String>) -> Result<()> {
    for name in names {
        dir.remove(name)
            .map_err(|source| Error::io("remove", name, source))?;
    }
    Ok(())
}
