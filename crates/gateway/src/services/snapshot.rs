//! A backup as a stream: the file in blobs, then the SHA-256 of all of it.

use super::Responses;
use crate::options::SnapshotWriter;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use model::pb::etcdserverpb as pb;
use rustix::process::setpriority_process;
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tonic::Status;

/// Bytes of a blob: etcd's, small enough for any client's limit.
const BLOB_BYTES: usize = 32 * 1024;
/// Blobs handed over at once, so that a change of threads is paid once for all of them.
const BATCH_BLOBS: usize = 8;
/// Batches that the writer may be ahead of the client.
const BATCHES_AHEAD: usize = 2;
/// Backups at once. Each holds a thread and a view of the store for as long as its client takes.
pub(crate) const SNAPSHOTS_MAX: usize = 16;

/// As of `nice`.
const BACKGROUND_PRIORITY: i32 = 10;

type Batch = Result<Vec<pb::SnapshotResponse>, Status>;

/// Answers with the backup while it is written; it is never whole, neither in memory nor on disk.
pub(super) async fn blobs(
    source: node::SnapshotSource,
    writer: SnapshotWriter,
    places: Arc<Semaphore>,
) -> Result<Responses<pb::SnapshotResponse>, Status> {
    let Ok(place) = places.try_acquire_owned() else {
        return Err(Status::resource_exhausted(format!(
            "{SNAPSHOTS_MAX} snapshots are being taken from this member: try again when one has ended"
        )));
    };
    let version = source.version.clone();
    let backup = spawn_blocking(move || writer(source))
        .await
        .map_err(|error| Status::unknown(error.to_string()))?
        .map_err(|error| Status::unknown(error.to_string()))?;
    let (sender, mut receiver) = mpsc::channel::<Batch>(BATCHES_AHEAD);
    let write = move || {
        let _place = place;
        // Puts are waited for, the backup is not. Where it is not allowed, the backup only disturbs more.
        let _ = setpriority_process(Some(rustix::thread::gettid()), BACKGROUND_PRIORITY);
        let mut out = Blobs::new(backup.bytes, version, sender.clone());
        let written = (backup.write)(&mut out);
        if let Err(error) = written.and_then(|()| out.end()) {
            // Nobody hears it if the error is that the client has gone.
            let _ = sender.blocking_send(Err(Status::unknown(error.to_string())));
        }
    };
    // A thread of its own, since priority once given away does not come back without privileges. The runtime waits for it
    // at its end: the store must not be closed beneath it.
    let thread = std::thread::Builder::new()
        .name("snapshot".into())
        .spawn(write)
        .map_err(|error| Status::unknown(format!("cannot start a thread: {error}")))?;
    spawn_blocking(move || thread.join());
    let batches = stream::poll_fn(move |context| receiver.poll_recv(context));
    let responses = batches.map(|batch| batch.map(|batch| stream::iter(batch.into_iter().map(Ok))));
    Ok(Box::pin(responses.try_flatten()))
}

/// Cuts what is written into blobs. Waits while the client is behind, and fails once it has gone.
struct Blobs {
    /// Filled up to [`BLOB_BYTES`].
    blob: Vec<u8>,
    batch: Vec<pb::SnapshotResponse>,
    /// Bytes that follow those in `batch`.
    remaining: u64,
    hash: Sha256,
    version: String,
    sender: mpsc::Sender<Batch>,
}

impl Blobs {
    fn new(bytes: u64, version: String, sender: mpsc::Sender<Batch>) -> Blobs {
        Blobs {
            blob: Vec::with_capacity(BLOB_BYTES),
            batch: Vec::with_capacity(BATCH_BLOBS),
            remaining: bytes,
            hash: Sha256::new(),
            version,
            sender,
        }
    }

    /// Sends what is left, and the sum.
    fn end(mut self) -> io::Result<()> {
        if !self.blob.is_empty() {
            self.close()?;
        }
        if self.remaining > 0 {
            return Err(io::Error::other(format!(
                "the backup is {} bytes shorter than announced",
                self.remaining
            )));
        }
        let sum = Bytes::copy_from_slice(&self.hash.finalize_reset());
        self.push(sum);
        self.send()
    }

    /// Ends the current blob.
    fn close(&mut self) -> io::Result<()> {
        let blob = mem::replace(&mut self.blob, Vec::with_capacity(BLOB_BYTES));
        self.hash.update(&blob);
        let Some(remaining) = self.remaining.checked_sub(blob.len() as u64) else {
            return Err(io::Error::other("the backup is longer than announced"));
        };
        self.remaining = remaining;
        self.push(blob.into());
        if self.batch.len() == BATCH_BLOBS {
            self.send()?;
        }
        Ok(())
    }

    fn push(&mut self, blob: Bytes) {
        self.batch.push(pb::SnapshotResponse {
            header: None,
            remaining_bytes: self.remaining,
            blob,
            version: self.version.clone(),
        });
    }

    fn send(&mut self) -> io::Result<()> {
        let batch = mem::replace(&mut self.batch, Vec::with_capacity(BATCH_BLOBS));
        let sent = self.sender.blocking_send(Ok(batch));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client has gone"))
    }
}

impl Write for Blobs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(BLOB_BYTES - self.blob.len());
        self.blob.extend_from_slice(&bytes[..len]);
        if self.blob.len() == BLOB_BYTES {
            self.close()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes that many bytes, announced as `bytes`, in parts of odd sizes.
    fn sent(bytes: u64, len: usize) -> (io::Result<()>, Vec<pb::SnapshotResponse>) {
        let (sender, mut receiver) = mpsc::channel(BATCHES_AHEAD);
        let writer = std::thread::spawn(move || {
            let mut out = Blobs::new(bytes, "3.7.0".into(), sender);
            for part in vec![7; len].chunks(5001) {
                out.write_all(part)?;
            }
            out.end()
        });
        let mut responses = Vec::new();
        while let Some(batch) = receiver.blocking_recv() {
            responses.extend(batch.unwrap());
        }
        (writer.join().unwrap(), responses)
    }

    #[test]
    fn blobs_count_down_and_the_sum_comes_last() {
        for len in [0, 1, BLOB_BYTES, 40 * BLOB_BYTES, 40 * BLOB_BYTES + 512] {
            let (result, responses) = sent(len as u64, len);
            result.unwrap();
            let (sum, blobs) = responses.split_last().unwrap();
            let bytes: Vec<u8> = blobs.iter().flat_map(|blob| blob.blob.to_vec()).collect();
            assert_eq!(bytes, vec![7; len]);
            assert_eq!(sum.blob[..], Sha256::digest(&bytes)[..]);
            let mut left = len as u64;
            for blob in blobs {
                left -= blob.blob.len() as u64;
                assert_eq!(blob.remaining_bytes, left);
            }
        }
    }

    /// Without the check, etcdctl would save a file whose sum is right and whose contents are cut off.
    #[test]
    fn another_length_than_announced_gets_no_sum() {
        for (announced, len) in [(10 << 20, 9 << 20), (1 << 20, (1 << 20) + 1)] {
            let (result, responses) = sent(announced, len);
            result.unwrap_err();
            assert!(responses.iter().all(|response| response.blob.len() == BLOB_BYTES));
        }
    }

    #[test]
    fn a_client_that_goes_ends_the_writing() {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        drop(receiver);
        let mut out = Blobs::new(1 << 30, String::new(), sender);
        let error = out.write_all(&vec![0; 1 << 20]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
