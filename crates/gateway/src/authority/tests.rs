//! Streams of bytes as clients send them, through the filter and into the library that refused them.

use super::*;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::collections::VecDeque;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

const END_STREAM: u8 = 0x01;
const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;

/// The header block of `etcdctl endpoint hashkv`, recorded from version 3.4.23 of Debian. Its authority is
/// `http://127.0.0.1:17999`. Enters seven fields into the table, the path as the first and the authority as the next.
const OLD: &str = "8386459760a924882d9dcb6571afa066a925a87510ac631a27cdc741909d29aee30c044eae05c0b86e05d7df7f5f8b\
                   1d75d0620d263d4c4d65647a8b9acac8b4c7602bb2caecff40027465864d833505b11f40899acac8b24d494f6a7f860b\
                   efbccb42b7408d25062d495875996ee5b1063d5f03332e34";
const OLD_PATH: &str = "/etcdserverpb.Maintenance/HashKV";
/// The same call again, as the client's table allows it: nothing but indices.
const OLD_AGAIN: &str = "8386c4c3c2c1c0bfbe";
/// `etcdctl get` of the same version, with a good authority.
const GOOD: &str = "8386459060a924882d9dcb6571af9b8b1b4754c5418b089d5c0b8170dc0bafbeff5f8b1d75d0620d263d4c4d65647a8b\
                    9acac8b4c7602bb2caecff40027465864d833505b11f40899acac8b24d494f6a7f860bee04210dbf408d25062d495875\
                    996ee5b1063d5f03332e34";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| (digit as char).to_digit(16).unwrap() as u8;
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, len @ ..] = (payload.len() as u32).to_be_bytes();
    [&len[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
}

/// A connection's first bytes, and then these frames.
fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    [&preface[..], &frame(SETTINGS, 0, 0, &[]), &frames.concat()].concat()
}

/// What comes out of a filter, and whether it is out of the way then. Pieces as they might arrive.
fn through(sent: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let mut filter = Filter::default();
    let mut received = Vec::new();
    for piece in sent.chunks(piece) {
        filter.feed(piece);
        // Handed over in two steps, as to a reader with little room.
        let half = filter.output().len() / 2;
        received.extend_from_slice(&filter.output()[..half]);
        filter.consume(half);
        received.extend_from_slice(filter.output());
        filter.consume(filter.output().len());
    }
    (received, filter.is_done())
}

/// Authorities and paths of the requests that a server sees.
async fn requests(sent: Vec<u8>, count: usize) -> Vec<(String, String)> {
    let (mut client, server) = tokio::io::duplex(100);
    let (sender, mut seen) = mpsc::channel(count);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let sender = sender.clone();
        async move {
            let uri = request.uri();
            let authority = uri.authority().map(|authority| authority.to_string());
            let _ = sender
                .send((authority.unwrap_or_default(), uri.path().to_owned()))
                .await;
            Ok::<_, Infallible>(hyper::Response::new(Empty::<Bytes>::new()))
        }
    });
    let server = tokio::spawn(
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(Mended::new(server)), service),
    );
    let client = tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(&mut client);
        let answers = async { while reader.read(&mut [0; 1000]).await.is_ok_and(|len| len > 0) {} };
        let requests = async {
            writer.write_all(&sent).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::join!(answers, requests);
    });
    let mut requests = Vec::new();
    while requests.len() < count {
        requests.push(seen.recv().await.expect("the connection broke"));
    }
    client.abort();
    server.abort();
    requests
}

fn request(authority: &str, path: &str) -> (String, String) {
    (authority.to_owned(), path.to_owned())
}

#[tokio::test]
async fn an_old_client_is_served_again_and_again_on_one_connection() {
    // Another path and an authority without Huffman's code, both for the table: all indices move on by two.
    let other = b"\x83\x86\x44\x01/\x41\x10http://other:123";
    let sent = connection(&[
        headers(1, &bytes(OLD)),
        headers(3, &bytes(OLD_AGAIN)),
        headers(5, other),
        headers(7, &bytes("8386c6c5c4c3c2c1c0")),
        headers(9, &bytes("8386bfbe")),
    ]);
    assert_eq!(
        requests(sent, 5).await,
        [
            request("127.0.0.1:17999", OLD_PATH),
            request("127.0.0.1:17999", OLD_PATH),
            request("other:123", "/"),
            request("127.0.0.1:17999", OLD_PATH),
            request("other:123", "/"),
        ]
    );
}

/// A mended entry takes less room in the server's table than the client counts for its own, so the server drops old
/// ones later. All that the client still counts on is there, up to the oldest.
#[tokio::test]
async fn entries_that_push_each_other_out_keep_their_places() {
    const TABLE: usize = 4096;
    const FIRST_INDEX: usize = 62;
    let authority = |number: usize| format!("host-{number}:2379");
    let mut client_table = VecDeque::new();
    let (mut frames, mut expected) = (Vec::new(), Vec::new());
    for number in 0..200 {
        let url = format!("http://{}", authority(number));
        let entry = ":authority".len() + url.len() + 32;
        client_table.push_back((number, entry));
        while client_table.iter().map(|(_, len)| len).sum::<usize>() > TABLE {
            client_table.pop_front();
        }
        let (oldest, _) = client_table[0];
        let index = FIRST_INDEX + client_table.len() - 1;
        let index = match index {
            0..127 => vec![0x80 | index as u8],
            _ => vec![0xff, (index - 127) as u8],
        };
        let stream = 1 + 4 * number as u32;
        let new = [b"\x83\x86\x84\x41", &[url.len() as u8][..], url.as_bytes()].concat();
        frames.push(headers(stream, &new));
        frames.push(headers(stream + 2, &[b"\x83\x86\x84", &index[..]].concat()));
        expected.push(request(&authority(number), "/"));
        expected.push(request(&authority(oldest), "/"));
    }
    assert_eq!(requests(connection(&frames), 400).await, expected);
}

#[tokio::test]
async fn padding_and_priority_stay_around_the_block() {
    let mut payload = vec![7, 0, 0, 0, 0, 16];
    payload.extend(bytes(OLD));
    payload.extend([0; 7]);
    let flags = END_HEADERS | END_STREAM | PADDED | PRIORITY;
    let sent = connection(&[frame(HEADERS, flags, 1, &payload), headers(3, &bytes(OLD_AGAIN))]);
    let expected = request("127.0.0.1:17999", OLD_PATH);
    assert_eq!(requests(sent, 2).await, [expected.clone(), expected]);
}

#[tokio::test]
async fn a_block_of_several_frames_is_mended_in_the_first() {
    let block = bytes(OLD);
    let sent = connection(&[
        frame(HEADERS, END_STREAM, 1, &block[..60]),
        frame(CONTINUATION, 0, 1, &block[60..61]),
        frame(CONTINUATION, END_HEADERS, 1, &block[61..]),
        headers(3, &bytes(OLD_AGAIN)),
    ]);
    let expected = request("127.0.0.1:17999", OLD_PATH);
    assert_eq!(requests(sent, 2).await, [expected.clone(), expected]);
}

#[tokio::test]
async fn a_good_client_is_served_and_left_alone() {
    let sent = connection(&[headers(1, &bytes(GOOD))]);
    assert_eq!(
        requests(sent.clone(), 1).await,
        [request("127.0.0.1:17999", "/etcdserverpb.KV/Range")]
    );
    // From its first block on, whatever follows.
    let sent = [sent, headers(3, &bytes(OLD)), b"anything".to_vec()].concat();
    for piece in [1, 2, 7, 64, sent.len()] {
        assert_eq!(through(&sent, piece), (sent.clone(), true));
    }
}

#[test]
fn http1_is_left_alone_at_once() {
    for sent in [
        &b"GET /health HTTP/1.1\r\n\r\n"[..],
        b"PRI * HTTP/1.1\r\n\r\n",
        b"P\0",
    ] {
        for piece in [1, 3, sent.len()] {
            assert_eq!(through(sent, piece), (sent.to_vec(), true));
        }
    }
}

#[test]
fn it_does_not_matter_in_what_pieces_bytes_arrive() {
    let sent = connection(&[
        headers(1, &bytes(OLD)),
        frame(DATA, 0, 1, &[1; 300]),
        frame(DATA, END_STREAM, 1, &[]),
        headers(3, &bytes(OLD)),
    ]);
    let (at_once, done) = through(&sent, sent.len());
    assert!(!done);
    // Five bytes of Huffman code less for `http://`, twice.
    assert_eq!(at_once.len(), sent.len() - 2 * 5);
    for piece in 1..sent.len() {
        assert_eq!(through(&sent, piece).0, at_once);
    }
}

#[test]
fn what_is_too_long_or_damaged_is_passed_on_as_it_came() {
    let long = vec![0; 16 * 1024 + 1];
    let cut = &bytes(OLD)[..40];
    for frames in [
        vec![headers(1, &long)],
        vec![headers(1, cut)],
        vec![headers(1, &[])],
        // More padding than payload, and flags for bytes that are not there.
        vec![frame(HEADERS, END_HEADERS | PADDED, 1, &[200, 0x41, 0x01, b'/'])],
        vec![frame(HEADERS, END_HEADERS | PADDED, 1, &[])],
        vec![frame(HEADERS, END_HEADERS | PRIORITY, 1, &[0; 4])],
        // Not even the authority fits in its frame.
        vec![
            frame(HEADERS, 0, 1, cut),
            frame(CONTINUATION, END_HEADERS, 1, &bytes(OLD)[40..]),
        ],
    ] {
        let sent = connection(&frames);
        for piece in [1, 100, sent.len()] {
            assert_eq!(through(&sent, piece), (sent.clone(), true));
        }
    }
}

/// A frame may announce 16 MiB. No more is held back than one frame of headers that is allowed.
#[test]
fn little_is_held_back() {
    let mut head = frame(HEADERS, 0, 1, &[]);
    head[..3].copy_from_slice(&[0xff; 3]);
    let sent = connection(&[head]);
    assert_eq!(through(&sent, 1), (sent.clone(), true));

    let mut head = frame(DATA, 0, 1, &[]);
    head[..3].copy_from_slice(&[0xff; 3]);
    let sent = [connection(&[head]), vec![0; 1 << 20]].concat();
    assert_eq!(through(&sent, 1000).0, sent);
}

/// Each byte of what follows the preface as each other byte: nothing panics, nothing grows.
#[test]
fn no_damage_to_a_frame_does_any_harm() {
    let sent = connection(&[headers(1, &bytes(OLD)), headers(3, &bytes(OLD_AGAIN))]);
    for place in 24..sent.len() {
        let mut sent = sent.clone();
        for byte in 0..=255 {
            sent[place] = byte;
            let (received, _) = through(&sent, sent.len());
            assert!(received.len() <= sent.len(), "byte {place} as {byte}");
        }
        let (received, _) = through(&sent[..place], 5);
        assert!(received.len() <= place);
    }
}

#[tokio::test]
async fn a_reader_with_little_room_gets_all_of_it_and_then_the_end() {
    let sent = connection(&[headers(1, &bytes(OLD)), frame(DATA, END_STREAM, 1, &[1; 300])]);
    let (mut client, server) = tokio::io::duplex(sent.len());
    client.write_all(&sent).await.unwrap();
    drop(client);
    let mut server: Mended<DuplexStream> = Mended::new(server);
    let mut received = Vec::new();
    let mut room = [0; 3];
    loop {
        match server.read(&mut room).await.unwrap() {
            0 => break,
            len => received.extend_from_slice(&room[..len]),
        }
    }
    assert_eq!(received, through(&sent, sent.len()).0);
}

#[tokio::test]
async fn a_good_connection_ends_up_without_a_filter() {
    let sent = connection(&[headers(1, &bytes(GOOD))]);
    let (mut client, server) = tokio::io::duplex(sent.len());
    client.write_all(&sent).await.unwrap();
    let mut server = Mended::new(server);
    let mut received = vec![0; sent.len()];
    server.read_exact(&mut received).await.unwrap();
    assert!(server.filter.is_none());
    assert_eq!(received, sent);
}
