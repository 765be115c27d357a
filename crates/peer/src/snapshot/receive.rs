//! Receiving a snapshot.

use super::{check_files, place};
use crate::identity::Sender;
use crate::peers::Shared;
use crate::sum;
use api::quorate::peer::snapshot_chunk::Part;
use api::quorate::peer::{SnapshotBegin, SnapshotChunk, SnapshotData, SnapshotProgress};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::MemberId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Largest part taken, in bytes.
const PART_BYTES_MAX: usize = 1 << 20;

/// Senders at a time. Only a leader sends, so there are more only while leaders change.
const SENDERS_MAX: usize = 3;

/// What a sender left unfinished is kept as long: it comes back at once or not at all.
const KEPT: Duration = Duration::from_secs(120);

/// A sender that sends nothing for so long is gone.
const STALL: Duration = Duration::from_secs(60);

/// The snapshots that are being received, at most one from each sender.
pub(crate) struct Receiver {
    dir: PathBuf,
    slots: Mutex<HashMap<MemberId, Slot>>,
    /// Directories made so far: none has the name of one that raft may still hold.
    made: AtomicU64,
}

enum Slot {
    /// A call is at it; the notification ends the call.
    Busy(Arc<Notify>),
    /// The call was cut off.
    Left(Partial),
}

impl Receiver {
    /// Empties `dir`: what an earlier process received there is of no use.
    pub(crate) fn new(dir: PathBuf) -> io::Result<Self> {
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&dir)?,
        }
        Ok(Self {
            dir,
            slots: Mutex::default(),
            made: AtomicU64::new(0),
        })
    }

    /// Takes up what the sender had begun, or begins anew.
    fn claim(&self, sender: MemberId, begin: SnapshotBegin, end: &Arc<Notify>) -> Result<Partial, Status> {
        let mut slots = self.slots.lock();
        let before = match slots.remove(&sender) {
            Some(Slot::Busy(other)) => {
                // The sender knows better than we whether its other connection still lives. It will try again.
                other.notify_one();
                slots.insert(sender, Slot::Busy(other));
                return Err(Status::unavailable("this snapshot is still being received"));
            }
            Some(Slot::Left(partial)) => Some(partial),
            None if slots.len() >= SENDERS_MAX => {
                return Err(Status::unavailable("too many snapshots are being received"));
            }
            None => None,
        };
        slots.insert(sender, Slot::Busy(end.clone()));
        drop(slots);
        match before {
            Some(partial) if partial.begin == begin => Ok(partial),
            before => {
                drop(before);
                let number = self.made.fetch_add(1, Ordering::Relaxed);
                let dir = self.dir.join(format!("{sender}-{number}"));
                Ok(Partial {
                    begin,
                    dir: Scratch(Some(dir)),
                    file: 0,
                    offset: 0,
                    crc: 0,
                    handle: None,
                })
            }
        }
    }

    /// Ends a call; what is left may be taken up again.
    fn release(&self, sender: MemberId, left: Option<Partial>) {
        let mut slots = self.slots.lock();
        slots.remove(&sender);
        if let Some(partial) = left {
            slots.insert(sender, Slot::Left(partial));
        }
    }

    /// Forgets what a sender left unless it came back meanwhile.
    fn expire(&self, sender: MemberId, id: u64) {
        let mut slots = self.slots.lock();
        if matches!(slots.get(&sender), Some(Slot::Left(partial)) if partial.begin.id == id) {
            let expired = slots.remove(&sender);
            drop(slots);
            drop(expired);
        }
    }
}

/// Receives one snapshot, or the rest of it.
pub(crate) fn receive(
    shared: Arc<Shared>,
    sender: Sender,
    chunks: Streaming<SnapshotChunk>,
) -> BoxStream<'static, Result<SnapshotProgress, Status>> {
    let (progress, answers) = mpsc::channel(2);
    tokio::spawn(async move {
        let member = sender.member;
        let metrics = shared.metrics.receiving(member);
        let result = run(&shared, &sender, chunks, &progress).await;
        let answer = match result {
            Ok(()) => {
                metrics.done();
                tracing::info!(peer = %member, "received and saved database snapshot");
                Ok(SnapshotProgress {
                    file: 0,
                    offset: 0,
                    done: true,
                })
            }
            Err(status) => {
                tracing::warn!(peer = %member, reason = status.message(), "failed to receive database snapshot");
                Err(status)
            }
        };
        let _ = progress.send(answer).await;
    });
    ReceiverStream::new(answers).boxed()
}

type Answers = mpsc::Sender<Result<SnapshotProgress, Status>>;

async fn run(
    shared: &Arc<Shared>,
    sender: &Sender,
    mut chunks: Streaming<SnapshotChunk>,
    answers: &Answers,
) -> Result<(), Status> {
    let Some(Part::Begin(begin)) = next(&mut chunks).await?.and_then(|chunk| chunk.part) else {
        return Err(Status::invalid_argument("a snapshot begins with its files"));
    };
    if begin.crc != sum::of_begin(&begin) {
        return Err(Status::unavailable("the list of files was damaged on its way"));
    }
    check_files(&begin.files).map_err(Status::invalid_argument)?;
    if !sender.signed(&begin.message) {
        return Err(Status::invalid_argument("a snapshot in another member's name"));
    }
    let end = Arc::new(Notify::new());
    let (id, total) = (begin.id, begin.files.len());
    tracing::info!(peer = %sender.member, files = total, "receiving database snapshot");
    let mut claim = Claim {
        shared: shared.clone(),
        sender: sender.member,
        id,
        partial: Some(shared.receiver.claim(sender.member, begin, &end)?),
    };
    if let Some(partial) = &claim.partial {
        let held = SnapshotProgress {
            file: partial.file as u32,
            offset: partial.offset,
            done: false,
        };
        let _ = answers.send(Ok(held)).await;
    }
    while claim.partial.as_ref().is_some_and(|partial| partial.file < total) {
        let chunk = tokio::select! {
            chunk = next(&mut chunks) => chunk?,
            () = end.notified() => return Err(Status::aborted("the sender began again")),
        };
        let Some(Part::Data(data)) = chunk.and_then(|chunk| chunk.part) else {
            return Err(Status::invalid_argument("the snapshot ends before its files do"));
        };
        let Some(partial) = claim.partial.take() else {
            break;
        };
        let written = tokio::task::spawn_blocking(move || partial.write(&data)).await;
        match written.map_err(io::Error::other).map_err(Fault::Io) {
            Ok((partial, Ok(()))) => claim.partial = Some(partial),
            Ok((partial, Err(Fault::Part(what)))) => {
                // What came before is good: the sender may go on from there.
                claim.partial = Some(partial);
                return Err(Status::aborted(what));
            }
            Ok((_, Err(fault))) | Err(fault) => return Err(fault.into_status()),
        }
    }
    let Some(partial) = claim.partial.take() else {
        return Err(Status::internal("no snapshot"));
    };
    let inbox = shared.inbox().ok_or_else(|| Status::unavailable("not started"))?;
    failpoint::point!("snapshotBeforeFinish");
    let finished = tokio::task::spawn_blocking(move || partial.finish()).await;
    let finished = finished.map_err(io::Error::other).flatten();
    let (message, dir) = finished.map_err(|error| Fault::Io(error).into_status())?;
    failpoint::point!("snapshotAfterReceive");
    inbox
        .install_snapshot(message, dir)
        .map_err(|error| Status::unavailable(error.to_string()))
}

async fn next(chunks: &mut Streaming<SnapshotChunk>) -> Result<Option<SnapshotChunk>, Status> {
    let chunk = tokio::time::timeout(STALL, chunks.message()).await;
    chunk.map_err(|_| Status::deadline_exceeded("the sender sends nothing"))?
}

/// The right of one call to a sender's slot; gives it back in every case.
struct Claim {
    shared: Arc<Shared>,
    sender: MemberId,
    id: u64,
    /// What may be taken up again when the call ends.
    partial: Option<Partial>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let left = self.partial.take();
        let keep = left.is_some();
        self.shared.receiver.release(self.sender, left);
        if keep {
            let (shared, sender, id) = (self.shared.clone(), self.sender, self.id);
            self.shared.runtime.spawn(async move {
                tokio::time::sleep(KEPT).await;
                shared.receiver.expire(sender, id);
            });
        }
    }
}

/// Why a part was not taken.
#[derive(Debug)]
enum Fault {
    /// It is wrong in itself; nothing was written.
    Part(String),
    /// The file it completes is wrong, and with it all.
    File(String),
    Io(io::Error),
}

impl Fault {
    fn into_status(self) -> Status {
        match self {
            Self::Part(what) | Self::File(what) => Status::data_loss(what),
            Self::Io(error) => Status::resource_exhausted(format!("cannot save the snapshot: {error}")),
        }
    }
}

/// A snapshot of which a part is there.
struct Partial {
    begin: SnapshotBegin,
    dir: Scratch,
    /// The file being written, and how much of it is there.
    file: usize,
    offset: u64,
    crc: u32,
    handle: Option<File>,
}

impl Partial {
    fn write(mut self, data: &SnapshotData) -> (Self, Result<(), Fault>) {
        let result = self.try_write(data);
        (self, result)
    }

    fn try_write(&mut self, data: &SnapshotData) -> Result<(), Fault> {
        let part = |what: &str| Fault::Part(format!("part at {} of file {}: {what}", data.offset, data.file));
        let file = self
            .begin
            .files
            .get(self.file)
            .ok_or_else(|| part("there is no such file"))?;
        let bytes = data.data.len() as u64;
        if (data.file as usize, data.offset) != (self.file, self.offset) {
            return Err(part("out of order"));
        }
        // Parts without data would make no progress, except for files without any.
        if data.data.len() > PART_BYTES_MAX
            || bytes > file.bytes - self.offset
            || (bytes == 0 && file.bytes > 0)
        {
            return Err(part("of a wrong length"));
        }
        if crc32c::crc32c(&data.data) != data.crc {
            return Err(part("checksum mismatch"));
        }
        let handle = match &mut self.handle {
            Some(handle) => handle,
            none => none.insert(self.dir.create(&file.name).map_err(Fault::Io)?),
        };
        failpoint::point!("snapshotBeforePart");
        handle.write_all(&data.data).map_err(Fault::Io)?;
        self.offset += bytes;
        self.crc = crc32c::crc32c_append(self.crc, &data.data);
        if self.offset == file.bytes {
            if data.file_crc != Some(self.crc) {
                return Err(Fault::File(format!("checksum mismatch of file {}", file.name)));
            }
            failpoint::point!("snapshotBeforeFileSync");
            handle.sync_all().map_err(Fault::Io)?;
            (self.file, self.offset, self.crc, self.handle) = (self.file + 1, 0, 0, None);
        }
        Ok(())
    }

    /// Makes the names durable, as the content is already, and hands the directory over.
    fn finish(mut self) -> io::Result<(Bytes, PathBuf)> {
        let Some(dir) = self.dir.0.clone() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        fs::create_dir_all(&dir)?;
        sync_dirs(&dir)?;
        if let Some(parent) = dir.parent() {
            File::open(parent)?.sync_all()?;
        }
        self.dir.0 = None;
        Ok((self.begin.message, dir))
    }
}

fn sync_dirs(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_dirs(&entry.path())?;
        }
    }
    File::open(dir)?.sync_all()
}

/// A directory that is removed unless it is handed over.
struct Scratch(Option<PathBuf>);

impl Scratch {
    fn create(&self, name: &str) -> io::Result<File> {
        let path = self
            .0
            .as_deref()
            .and_then(|dir| place(dir, name))
            .ok_or(io::ErrorKind::InvalidInput)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        OpenOptions::new().write(true).create_new(true).open(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(dir) = &self.0
            && let Err(error) = fs::remove_dir_all(dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %dir.display(), %error, "cannot remove an incomplete snapshot");
        }
    }
}
