//! Sending a snapshot.

use super::{CHUNK_BYTES_MAX, PART_BYTES_MAX};
use crate::link::{Link, chain, connect};
use crate::peers::Shared;
use crate::sum;
use api::quorate::peer::peer_client::PeerClient;
use api::quorate::peer::snapshot_chunk::Part;
use api::quorate::peer::{SnapshotBegin, SnapshotChunk, SnapshotData, SnapshotFile, SnapshotProgress};
use bytes::Bytes;
use raft_engine::Checkpoint;
use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

/// Attempts in a row that bring the snapshot no further.
const ATTEMPTS_MAX: u32 = 5;

/// Pause after the first of them; longer after each that follows.
const PAUSE: Duration = Duration::from_millis(200);

/// A receiver that takes nothing for so long has a problem that waiting does not solve.
const STALL: Duration = Duration::from_secs(30);

/// Sends a snapshot to a member, as often as it takes and makes sense, and reports to raft how it went.
pub(crate) async fn send(shared: Arc<Shared>, link: Arc<Link>, message: Bytes, checkpoint: Checkpoint) {
    let id = link.id;
    let Ok(_permit) = shared.sending.acquire().await else {
        return;
    };
    tracing::info!(peer = %id, index = checkpoint.index(), "sending database snapshot");
    failpoint::point!("snapshotBeforeSend");
    let metrics = shared.metrics.sending(id);
    match transfer(&shared, &link, message, checkpoint.path()).await {
        Ok(bytes) => {
            metrics.done();
            tracing::info!(peer = %id, index = checkpoint.index(), bytes, "sent database snapshot");
            failpoint::point!("snapshotAfterSend");
            shared.report_snapshot(id, true);
        }
        Err(reason) => {
            tracing::warn!(peer = %id, index = checkpoint.index(), reason, "failed to send database snapshot");
            shared.report_snapshot(id, false);
        }
    }
    // The files go when the last clone of `checkpoint` does: here.
}

async fn transfer(shared: &Shared, link: &Link, message: Bytes, dir: &Path) -> Result<u64, String> {
    let listed = dir.to_owned();
    let files = blocking(move || list(&listed))
        .await
        .map_err(|error| format!("cannot list the files: {error}"))?;
    let bytes = files.iter().map(|file| file.bytes).sum();
    // Not repeated by another sender, nor by this one after a restart.
    let id = RandomState::new().hash_one(shared.identity.member.0);
    let mut begin = SnapshotBegin {
        id,
        message,
        files,
        crc: 0,
    };
    begin.crc = sum::of_begin(&begin);
    let mut best = (0, 0);
    let mut attempts = 0;
    loop {
        let cut = match attempt(shared, link, &begin, dir).await {
            Ok(()) => return Ok(bytes),
            Err(End::Final(reason)) => return Err(reason),
            Err(End::Cut { held, reason }) => {
                if held > best {
                    best = held;
                    attempts = 0;
                }
                reason
            }
        };
        attempts += 1;
        if attempts == ATTEMPTS_MAX {
            return Err(cut);
        }
        tracing::debug!(peer = %link.id, reason = cut, "database snapshot was cut off");
        tokio::time::sleep(PAUSE * attempts).await;
    }
}

/// Why an attempt did not end well.
enum End {
    /// Trying again is worth it. `held`: file and offset up to which the receiver had it at the start of the attempt.
    Cut {
        held: (u32, u64),
        reason: String,
    },
    Final(String),
}

impl End {
    fn refused(held: (u32, u64), status: &Status) -> Self {
        let reason = chain(status);
        match status.code() {
            Code::FailedPrecondition | Code::InvalidArgument | Code::ResourceExhausted | Code::DataLoss => {
                Self::Final(reason)
            }
            _ => Self::Cut { held, reason },
        }
    }
}

async fn attempt(shared: &Shared, link: &Link, begin: &SnapshotBegin, dir: &Path) -> Result<(), End> {
    let none = (0, 0);
    let cut = |reason: String| End::Cut { held: none, reason };
    let mut channel = Err(cut("no URL is known".to_owned()));
    for url in link.urls() {
        channel = connect(&shared.connector, &url, shared.connect_timeout)
            .await
            .map_err(|e| cut(e.to_string()));
        if channel.is_ok() {
            break;
        }
    }
    let (chunks, stream) = mpsc::channel(2);
    let first = SnapshotChunk {
        part: Some(Part::Begin(begin.clone())),
    };
    let _ = chunks.try_send(first);
    let mut request = Request::new(ReceiverStream::new(stream));
    shared.identity.stamp(request.metadata_mut(), link.id);
    let mut client = PeerClient::new(channel?).max_encoding_message_size(CHUNK_BYTES_MAX);
    let answer = tokio::time::timeout(STALL, client.snapshot(request)).await;
    let answer = answer.map_err(|_| cut("no answer".to_owned()))?;
    let mut progress = answer.map_err(|status| End::refused(none, &status))?.into_inner();
    let start = tokio::time::timeout(STALL, next(&mut progress)).await;
    let start = start
        .map_err(|_| cut("no answer".to_owned()))?
        .map_err(|status| End::refused(none, &status))?;
    let held = (start.file, start.offset);
    if start.done {
        return Ok(());
    }

    let cut = |reason: String| End::Cut { held, reason };
    let mut reader = Reader::new(dir, &begin.files, start.file as usize);
    reader = {
        let offset = start.offset;
        blocking(move || reader.skip(offset))
            .await
            .map_err(|error| End::Final(error.to_string()))?
    };
    loop {
        let (back, part) = blocking(move || reader.next())
            .await
            .map_err(|error| End::Final(error.to_string()))?;
        reader = back;
        let Some(part) = part else { break };
        let bytes = part.data.len() as u64;
        let chunk = SnapshotChunk {
            part: Some(Part::Data(part)),
        };
        tokio::select! {
            sent = tokio::time::timeout(STALL, chunks.send(chunk)) => match sent {
                // The stream was closed; the answer says why.
                Ok(Err(_)) => break,
                Ok(Ok(())) => {}
                Err(_) => return Err(cut("the receiver takes nothing".to_owned())),
            },
            end = next(&mut progress) => {
                return match end {
                    Ok(_) => Err(End::Final("the receiver is done before the end".to_owned())),
                    Err(status) => Err(End::refused(held, &status)),
                };
            }
        }
        if shared.snapshot_rate > 0 {
            tokio::time::sleep(Duration::from_secs_f64(
                bytes as f64 / shared.snapshot_rate as f64,
            ))
            .await;
        }
    }
    drop(chunks);
    // The receiver makes everything durable now, which takes as long as it takes; a lost connection ends this.
    match next(&mut progress).await {
        Ok(end) if end.done => Ok(()),
        Ok(_) => Err(End::Final("the receiver wants more than there is".to_owned())),
        Err(status) => Err(End::refused(held, &status)),
    }
}

async fn next(progress: &mut Streaming<SnapshotProgress>) -> Result<SnapshotProgress, Status> {
    progress
        .message()
        .await?
        .ok_or_else(|| Status::unavailable("the receiver hung up"))
}

/// Runs file operations where they may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// All files below a directory, in order of their names.
fn list(dir: &Path) -> io::Result<Vec<SnapshotFile>> {
    let mut files = Vec::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(below) = dirs.pop() {
        for entry in fs::read_dir(dir.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                dirs.push(path);
            } else if kind.is_file() {
                let name = path.into_os_string().into_string();
                let name =
                    name.map_err(|name| io::Error::other(format!("{} is no UTF-8", name.display())))?;
                files.push(SnapshotFile {
                    name,
                    bytes: entry.metadata()?.len(),
                });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Reads files part by part.
struct Reader {
    dir: PathBuf,
    files: Vec<SnapshotFile>,
    file: usize,
    offset: u64,
    /// Of the current file up to `offset`.
    crc: u32,
    handle: Option<File>,
}

impl Reader {
    fn new(dir: &Path, files: &[SnapshotFile], file: usize) -> Self {
        Self {
            dir: dir.to_owned(),
            files: files.to_vec(),
            file,
            offset: 0,
            crc: 0,
            handle: None,
        }
    }

    /// Goes to an offset of the current file; what lies before it counts for the file's checksum.
    fn skip(mut self, offset: u64) -> io::Result<Self> {
        if offset > self.files.get(self.file).map_or(0, |file| file.bytes) {
            return Err(io::Error::other("the receiver holds more than there is"));
        }
        while self.offset < offset {
            let bytes = (offset - self.offset).min(PART_BYTES_MAX as u64) as usize;
            self.read(bytes)?;
        }
        Ok(self)
    }

    fn next(mut self) -> io::Result<(Self, Option<SnapshotData>)> {
        let Some(bytes) = self.files.get(self.file).map(|file| file.bytes) else {
            return Ok((self, None));
        };
        let (file, offset) = (self.file as u32, self.offset);
        let data = self.read((bytes - offset).min(PART_BYTES_MAX as u64) as usize)?;
        let last = self.offset == bytes;
        let part = SnapshotData {
            file,
            offset,
            crc: crc32c::crc32c(&data),
            file_crc: last.then_some(self.crc),
            data: data.into(),
        };
        if last {
            (self.file, self.offset, self.crc, self.handle) = (self.file + 1, 0, 0, None);
        }
        Ok((self, Some(part)))
    }

    fn read(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let path = self.dir.join(&self.files[self.file].name);
        let handle = match &mut self.handle {
            Some(handle) => handle,
            none => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(self.offset))?;
                none.insert(file)
            }
        };
        let mut data = vec![0; bytes];
        handle.read_exact(&mut data)?;
        self.offset += bytes as u64;
        self.crc = crc32c::crc32c_append(self.crc, &data);
        Ok(data)
    }
}
