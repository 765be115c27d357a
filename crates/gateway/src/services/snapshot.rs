//! A backup as a stream: the file in blobs, then the SHA-256 of all of it.

use super::Responses;
use crate::options::SnapshotWriter;
use bytes::Bytes;
use futures::stream;
use model::pb::etcdserverpb as pb;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek};
use tokio::task::spawn_blocking;
use tonic::Status;

/// Bytes of a blob: etcd's, small enough for any client's limit.
const BLOB_BYTES: usize = 32 * 1024;
/// Blobs read from the file at once, so that a change of threads is paid once for all of them.
const BATCH_BLOBS: usize = 16;

struct Backup {
    file: File,
    remaining: u64,
    hash: Sha256,
    version: String,
    ended: bool,
}

/// Writes the backup to a file, then answers with its contents. No thread is held while the client takes its time.
pub(super) async fn blobs(
    source: node::SnapshotSource,
    writer: SnapshotWriter,
) -> Result<Responses<pb::SnapshotResponse>, Status> {
    let backup = blocking(move || {
        let version = source.version.clone();
        let mut file = writer(source)?;
        let remaining = file.metadata()?.len();
        file.rewind()?;
        Ok(Backup {
            file,
            remaining,
            hash: Sha256::new(),
            version,
            ended: false,
        })
    })
    .await?;
    let batches = stream::try_unfold(backup, |mut backup| async move {
        if backup.ended {
            return Ok::<_, Status>(None);
        }
        let (backup, batch) = blocking(move || {
            let batch = backup.next_batch()?;
            Ok((backup, batch))
        })
        .await?;
        Ok(Some((stream::iter(batch.into_iter().map(Ok)), backup)))
    });
    Ok(Box::pin(futures::TryStreamExt::try_flatten(batches)))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Status> {
    let result = spawn_blocking(work)
        .await
        .map_err(|error| Status::unknown(error.to_string()))?;
    result.map_err(|error| Status::unknown(error.to_string()))
}

impl Backup {
    fn next_batch(&mut self) -> io::Result<Vec<pb::SnapshotResponse>> {
        let mut batch = Vec::with_capacity(BATCH_BLOBS + 1);
        while self.remaining > 0 && batch.len() < BATCH_BLOBS {
            let len = self.remaining.min(BLOB_BYTES as u64);
            let mut blob = vec![0; len as usize];
            self.file.read_exact(&mut blob)?;
            self.hash.update(&blob);
            self.remaining -= len;
            batch.push(self.response(blob.into()));
        }
        if self.remaining == 0 {
            self.ended = true;
            let sum = Bytes::copy_from_slice(&self.hash.finalize_reset());
            batch.push(self.response(sum));
        }
        Ok(batch)
    }

    fn response(&self, blob: Bytes) -> pb::SnapshotResponse {
        pb::SnapshotResponse {
            header: None,
            remaining_bytes: self.remaining,
            blob,
            version: self.version.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn backup(len: usize) -> Vec<pb::SnapshotResponse> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; len]).unwrap();
        file.rewind().unwrap();
        let mut backup = Backup {
            file,
            remaining: len as u64,
            hash: Sha256::new(),
            version: "3.7.0".into(),
            ended: false,
        };
        let mut responses = Vec::new();
        while !backup.ended {
            responses.extend(backup.next_batch().unwrap());
        }
        responses
    }

    #[test]
    fn blobs_count_down_and_the_sum_comes_last() {
        for len in [0, 1, BLOB_BYTES, 40 * BLOB_BYTES, 40 * BLOB_BYTES + 512] {
            let responses = backup(len);
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
}
