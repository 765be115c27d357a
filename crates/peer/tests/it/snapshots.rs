//! Snapshots from member to member.

use crate::util::{Node, message, sum};
use api::quorate::peer::peer_client::PeerClient;
use api::quorate::peer::snapshot_chunk::Part;
use api::quorate::peer::{SnapshotBegin, SnapshotChunk, SnapshotData, SnapshotFile, SnapshotProgress};
use bytes::Bytes;
use raft_engine::{Checkpoint, Transport};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

type Files = BTreeMap<String, Vec<u8>>;

fn files() -> Files {
    let bytes = |count: usize, seed: usize| (0..count).map(|at| (at * 31 + at / 256 + seed) as u8).collect();
    BTreeMap::from([
        ("CURRENT".to_owned(), bytes(16, 1)),
        ("000001.sst".to_owned(), bytes(3_000_000, 2)),
        ("000002.sst".to_owned(), bytes(512 << 10, 3)),
        ("empty".to_owned(), vec![]),
        ("sub/dir/000003.sst".to_owned(), bytes(1_200_000, 4)),
    ])
}

fn checkpoint(dir: &Path, files: &Files) -> Checkpoint {
    for (name, content) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("create");
        fs::write(path, content).expect("write");
    }
    Checkpoint::new(dir.to_owned(), 100, 3)
}

fn read(dir: &Path) -> Files {
    let mut files = Files::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(below) = dirs.pop() {
        for entry in fs::read_dir(below).expect("read") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path
                    .strip_prefix(dir)
                    .expect("below")
                    .to_str()
                    .expect("name")
                    .to_owned();
                files.insert(name, fs::read(path).expect("read"));
            }
        }
    }
    files
}

#[tokio::test]
async fn a_snapshot_of_several_files_arrives() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    let source = a.dir.path().join("checkpoint");
    let sent = checkpoint(&source, &files());
    a.peers.send_snapshot(b.id.0, message(a.id, "snapshot"), sent);
    let received = a
        .raft
        .until("the report", |received| !received.reports.is_empty())
        .await;
    assert_eq!(received.reports, [(b.id, true)]);
    let (with, dir) = b.raft.now().snapshots.remove(0);
    assert_eq!(with, message(a.id, "snapshot"));
    assert!(read(&dir) == files());
    assert!(!source.exists(), "the checkpoint is no longer needed");

    // Another one right after it does not disturb the first.
    let again = checkpoint(
        &a.dir.path().join("again"),
        &Files::from([("x".to_owned(), vec![1])]),
    );
    a.peers.send_snapshot(b.id.0, message(a.id, "snapshot"), again);
    a.raft
        .until("the second report", |received| received.reports.len() == 2)
        .await;
    assert!(read(&dir) == files());
    assert_eq!(read(&b.raft.now().snapshots[1].1).len(), 1);
}

#[tokio::test]
async fn a_cut_connection_does_not_start_it_over() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.knows(&b);
    a.connected(&b).await;
    let sent = checkpoint(&a.dir.path().join("checkpoint"), &files());
    let bytes: usize = files().values().map(Vec::len).sum();
    a.wire.cut_after(bytes as i64 * 3 / 4);
    let before = a.wire.written.load(Ordering::SeqCst);
    a.peers.send_snapshot(b.id.0, message(a.id, "snapshot"), sent);
    let received = a
        .raft
        .until("the report", |received| !received.reports.is_empty())
        .await;
    assert_eq!(received.reports, [(b.id, true)]);
    assert!(received.unreachable.contains(&b.id), "it was cut");
    assert!(read(&b.raft.now().snapshots[0].1) == files());
    // What was under way when the cut came was lost; all of it again would be three quarters more.
    let written = (a.wire.written.load(Ordering::SeqCst) - before) as usize;
    assert!(written < bytes * 3 / 2, "{written} bytes for {bytes}");
}

#[tokio::test]
async fn a_member_that_cannot_be_reached_fails_the_snapshot() {
    let a = Node::start(1).await;
    let b = model::MemberId(2);
    let sent = |name: &str| checkpoint(&a.dir.path().join(name), &files());
    a.peers
        .send_snapshot(b.0, message(a.id, "snapshot"), sent("unknown"));
    a.raft
        .until("the report", |received| received.reports == [(b, false)])
        .await;
    a.peers.add(b, vec!["http://127.0.0.1:1".to_owned()]);
    a.peers
        .send_snapshot(b.0, message(a.id, "snapshot"), sent("unreachable"));
    a.raft
        .until("the second report", |received| received.reports.len() == 2)
        .await;
}

fn begin(id: u64, files: &[(&str, u64)]) -> SnapshotBegin {
    let message = message(model::MemberId(9), "s");
    let mut summed = vec![id.to_le_bytes().to_vec(), message.to_vec()];
    for (name, bytes) in files {
        summed.extend([name.as_bytes().to_vec(), bytes.to_le_bytes().to_vec()]);
    }
    let files = files.iter().map(|(name, bytes)| SnapshotFile {
        name: (*name).to_owned(),
        bytes: *bytes,
    });
    SnapshotBegin {
        id,
        message,
        files: files.collect(),
        crc: sum(summed.iter().map(|part| &part[..])),
    }
}

/// A sender that does as the test says.
struct Sender {
    chunks: mpsc::Sender<SnapshotChunk>,
    progress: Streaming<SnapshotProgress>,
}

impl Sender {
    async fn begin(to: &Node, id: u64, files: &[(&str, u64)]) -> Result<(Self, SnapshotProgress), Status> {
        Self::begin_with(to, begin(id, files)).await
    }

    async fn begin_with(to: &Node, begin: SnapshotBegin) -> Result<(Self, SnapshotProgress), Status> {
        let mut client = PeerClient::connect(to.url.clone()).await.expect("connect");
        let (chunks, stream) = mpsc::channel(16);
        chunks
            .send(SnapshotChunk {
                part: Some(Part::Begin(begin)),
            })
            .await
            .expect("send");
        let mut request = Request::new(ReceiverStream::new(stream));
        for (name, value) in [
            ("quorate-cluster-id", "c1"),
            ("quorate-member-id", "9"),
            ("quorate-to", "1"),
        ] {
            request.metadata_mut().insert(name, value.parse().expect("value"));
        }
        let mut progress = client.snapshot(request).await?.into_inner();
        let first = progress.message().await?.expect("progress");
        Ok((Self { chunks, progress }, first))
    }

    async fn part(&self, part: SnapshotData) {
        let _ = self
            .chunks
            .send(SnapshotChunk {
                part: Some(Part::Data(part)),
            })
            .await;
    }

    async fn end(mut self) -> Result<SnapshotProgress, Status> {
        drop(self.chunks);
        self.progress
            .message()
            .await
            .map(|progress| progress.expect("progress"))
    }
}

fn part(file: u32, offset: u64, data: &'static [u8]) -> SnapshotData {
    SnapshotData {
        file,
        offset,
        data: Bytes::from_static(data),
        crc: crc32c::crc32c(data),
        file_crc: None,
    }
}

fn last(part: SnapshotData, whole: &[u8]) -> SnapshotData {
    SnapshotData {
        file_crc: Some(crc32c::crc32c(whole)),
        ..part
    }
}

#[tokio::test]
async fn a_corrupted_part_is_refused_and_the_rest_kept() {
    let a = Node::start(1).await;
    let list = [("f", 6), ("g", 0)];
    let (sender, first) = Sender::begin(&a, 7, &list).await.expect("begin");
    assert_eq!((first.file, first.offset, first.done), (0, 0, false));
    sender.part(part(0, 0, b"abc")).await;
    sender
        .part(SnapshotData {
            data: Bytes::from_static(b"dXf"),
            ..part(0, 3, b"def")
        })
        .await;
    let status = sender.end().await.expect_err("refused");
    assert!(status.message().contains("checksum mismatch"), "{status}");

    let (sender, first) = Sender::begin(&a, 7, &list).await.expect("begin again");
    assert_eq!((first.file, first.offset), (0, 3));
    sender.part(last(part(0, 3, b"def"), b"abcdef")).await;
    sender.part(last(part(1, 0, b""), b"")).await;
    assert!(sender.end().await.expect("progress").done);
    let files = read(&a.raft.now().snapshots[0].1);
    assert_eq!(
        files,
        Files::from([("f".to_owned(), b"abcdef".to_vec()), ("g".to_owned(), vec![])])
    );
}

/// The raft message of a snapshot says what it is a snapshot of; the names, what the store finds.
#[tokio::test]
async fn a_list_that_is_damaged_is_refused() {
    let a = Node::start(1).await;
    let sound = begin(7, &[("f", 1)]);
    let mut message = sound.message.to_vec();
    *message.last_mut().expect("a message") ^= 1;
    let name = SnapshotFile {
        name: "g".to_owned(),
        bytes: 1,
    };
    let damaged = [
        SnapshotBegin {
            message: message.into(),
            ..sound.clone()
        },
        SnapshotBegin {
            files: vec![name],
            ..sound.clone()
        },
        SnapshotBegin {
            id: 6,
            ..sound.clone()
        },
        SnapshotBegin { crc: 0, ..sound },
    ];
    for begin in damaged {
        let refused = Sender::begin_with(&a, begin.clone()).await;
        let status = refused.err().unwrap_or_else(|| panic!("{begin:?} is taken"));
        // The sender may try again.
        assert_eq!(status.code(), Code::Unavailable);
    }
    assert!(a.raft.now().snapshots.is_empty());
}

#[tokio::test]
async fn a_file_that_is_wrong_as_a_whole_leaves_nothing() {
    let a = Node::start(1).await;
    let (sender, _) = Sender::begin(&a, 7, &[("f", 6)]).await.expect("begin");
    sender.part(part(0, 0, b"abc")).await;
    sender.part(last(part(0, 3, b"def"), b"abcdeX")).await;
    assert_eq!(sender.end().await.expect_err("refused").code(), Code::DataLoss);
    let (_, first) = Sender::begin(&a, 7, &[("f", 6)]).await.expect("begin again");
    assert_eq!((first.file, first.offset), (0, 0));
}

#[tokio::test]
async fn another_snapshot_does_not_go_on_from_the_one_before() {
    let a = Node::start(1).await;
    let (sender, _) = Sender::begin(&a, 7, &[("f", 6)]).await.expect("begin");
    sender.part(part(0, 0, b"abc")).await;
    sender.end().await.expect_err("incomplete");
    for (id, bytes) in [(8, 6), (7, 7)] {
        let (sender, first) = Sender::begin(&a, id, &[("f", bytes)])
            .await
            .expect("begin another");
        assert_eq!((first.file, first.offset), (0, 0));
        sender.end().await.expect_err("incomplete");
    }
    let left = fs::read_dir(a.dir.path().join("incoming")).expect("read").count();
    assert!(left <= 1, "{left} directories are left");
}

#[tokio::test]
async fn parts_that_do_not_fit_are_refused() {
    let a = Node::start(1).await;
    for bad in [
        part(0, 3, b"def"),
        part(1, 0, b"abc"),
        part(0, 0, b"abcdefg"),
        part(0, 0, b""),
        part(9, 0, b"abc"),
        part(0, 0, b"abcdef"),
        last(part(0, 0, &[0; (1 << 20) + 1]), b""),
    ] {
        let (sender, _) = Sender::begin(&a, 7, &[("f", 6), ("g", 3)]).await.expect("begin");
        sender.part(bad).await;
        sender.end().await.expect_err("refused");
    }
    assert!(a.raft.now().snapshots.is_empty());
}

#[tokio::test]
async fn names_outside_the_directory_are_refused() {
    let a = Node::start(1).await;
    for name in ["../escape", "/etc/escape", "a/../../escape", "", ".", "a//b"] {
        let refused = Sender::begin(&a, 7, &[(name, 1)]).await;
        assert_eq!(
            refused.err().expect("refused").code(),
            Code::InvalidArgument,
            "{name:?}"
        );
    }
    Sender::begin(&a, 7, &[("a", 1), ("a", 1)])
        .await
        .err()
        .expect("refused");
    assert_eq!(
        fs::read_dir(a.dir.path().join("incoming")).expect("read").count(),
        0
    );
}

#[tokio::test]
async fn a_file_in_place_of_a_directory_is_an_error_and_no_more() {
    let a = Node::start(1).await;
    let (sender, _) = Sender::begin(&a, 7, &[("a", 1), ("a/b", 1)])
        .await
        .expect("begin");
    sender.part(last(part(0, 0, b"x"), b"x")).await;
    sender.part(last(part(1, 0, b"y"), b"y")).await;
    assert_eq!(
        sender.end().await.expect_err("refused").code(),
        Code::ResourceExhausted
    );
}
