//! What goes over connections.

use super::requests::{put, watch};
use super::{put_piece, with};
use crate::wire::{put_bytes, put_number};
use model::pb::etcdserverpb as pb;
use prost::Message;
use raft_engine::Configuration;
use raft_engine::consensus::HardState;

type Seeds = Vec<(&'static str, Vec<u8>)>;

pub(super) fn answers() -> Seeds {
    let http = |headers: &str, body: &str| {
        let head = format!(
            "HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        head + body
    };
    let members = http(
        "X-Etcd-Cluster-ID: cdf818194e3a8c32\r\n",
        r#"[{"id":9372538179322589801,"peerURLs":["http://10.0.0.1:2380"],"name":"one","clientURLs":["http://a:1"]}]"#,
    );
    let version = http(
        "",
        r#"{"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"}"#,
    );
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        2a\r\n{\"etcdserver\":\"3.7.1\",\"etcdcluster\":\"3.7\"}\r\n0\r\n\r\n";
    let registered = r#"{"action":"get","node":{"key":"/t","dir":true,"nodes":[{"key":"/t/2","value":"b=http://b:1",
        "createdIndex":7},{"key":"/t/_config","dir":true,"createdIndex":5}],"createdIndex":3}}"#;
    vec![
        ("members", with(0, members)),
        ("version", with(1, version)),
        ("chunked", with(1, chunked)),
        ("registered", with(2, registered)),
    ]
}

/// Flags and numbers of records (the question is put in between), then SRV records.
pub(super) fn dns() -> Seeds {
    let mut one = vec![0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
    for (priority, target) in [(1u16, &b"\x09localhost\x00"[..]), (2, b"\x03etc\x07example\x00")] {
        one.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60]);
        one.extend((6 + target.len() as u16).to_be_bytes());
        for number in [priority, 10, 2379] {
            one.extend(number.to_be_bytes());
        }
        one.extend_from_slice(target);
    }
    vec![("two", one)]
}

/// One frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Fields in HPACK, none of them indexed.
fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for text in fields
        .iter()
        .flat_map(|(name, value)| [(true, name), (false, value)])
    {
        let (is_name, text) = text;
        if is_name {
            out.push(0);
        }
        // A length of 127 or more is continued in the next byte.
        match text.len() {
            length @ 0..127 => out.push(length as u8),
            length => out.extend([127, (length - 127) as u8]),
        }
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Calls on one connection, each with its messages.
fn calls(metadata: &[(&str, &str)], calls: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    out.extend(frame(4, 0, 0, &[]));
    for (number, (path, message)) in calls.iter().enumerate() {
        let stream = 2 * number as u32 + 1;
        let mut fields = vec![
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "member:2379"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        fields.extend_from_slice(metadata);
        out.extend(frame(1, 4, stream, &headers(&fields)));
        let mut body = vec![0];
        body.extend((message.len() as u32).to_be_bytes());
        body.extend_from_slice(message);
        out.extend(frame(0, 1, stream, &body));
    }
    out
}

pub(super) fn gateway() -> Seeds {
    let range = pb::RangeRequest {
        key: "a".into(),
        range_end: "z".into(),
        ..Default::default()
    };
    let body = r#"{"key":"YQ==","value":"Yg=="}"#;
    let json = format!(
        "POST /v3/kv/put HTTP/1.1\r\nHost: member\r\nContent-Length: {}\r\n\r\n{body}GET /health HTTP/1.1\r\nHost: a\r\n\r\n",
        body.len()
    );
    let websocket = "GET /v3/watch HTTP/1.1\r\nHost: member\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let message = br#"{"create_request":{"key":"YQ=="}}"#;
    let mut socket = websocket.as_bytes().to_vec();
    // A text message, masked with zeros.
    socket.extend([0x81, 0x80 | message.len() as u8, 0, 0, 0, 0]);
    socket.extend_from_slice(message);
    vec![
        ("json", json.into_bytes()),
        ("websocket", socket),
        (
            "other",
            b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n".to_vec(),
        ),
        (
            "calls",
            calls(
                &[("token", "abcdefghijklmnop.12"), ("grpc-timeout", "1S")],
                &[
                    ("/etcdserverpb.KV/Put", put("a", "b", 0).encode_to_vec()),
                    ("/etcdserverpb.KV/Range", range.encode_to_vec()),
                    ("/etcdserverpb.Watch/Watch", watch().encode_to_vec()),
                ],
            ),
        ),
    ]
}

pub(super) fn link() -> Seeds {
    let mut batch = Vec::new();
    put_bytes(&mut batch, 1, &heartbeat());
    put_sum(&mut batch, 2, &[&heartbeat()]);
    let mut begin = Vec::new();
    put_number(&mut begin, 1, 5);
    put_bytes(&mut begin, 2, &heartbeat());
    put_sum(&mut begin, 4, &[&5u64.to_le_bytes(), &heartbeat()]);
    let mut chunk = Vec::new();
    put_bytes(&mut chunk, 1, &begin);
    let identity = [
        ("quorate-cluster-id", "1"),
        ("quorate-member-id", "2"),
        ("quorate-to", "1"),
        ("quorate-version", "3.7.1"),
        ("quorate-peer-urls", "http://10.0.0.2:2380"),
    ];
    let calls = calls(
        &identity,
        &[
            ("/quorate.peer.Peer/Probe", Vec::new()),
            ("/quorate.peer.Peer/Raft", batch),
            ("/quorate.peer.Peer/Snapshot", chunk),
            (
                "/quorate.peer.Peer/HashKV",
                pb::HashKvRequest { revision: 5 }.encode_to_vec(),
            ),
        ],
    );
    let http = "GET /members HTTP/1.1\r\nHost: member\r\n\r\nGET /version HTTP/1.1\r\nHost: member\r\n\r\n";
    vec![("calls", calls), ("http", http.into())]
}

/// Field of a checksum over parts, each after its length.
fn put_sum(out: &mut Vec<u8>, field: u8, parts: &[&[u8]]) {
    let framed = parts
        .iter()
        .flat_map(|part| [&(part.len() as u64).to_le_bytes(), *part].concat());
    out.push(field << 3 | 5);
    out.extend(crc32c::crc32c(&framed.collect::<Vec<u8>>()).to_le_bytes());
}

/// From member 2, of the first term.
fn heartbeat() -> Vec<u8> {
    let mut out = Vec::new();
    for (field, number) in [(1, 8), (2, 1), (3, 2), (4, 1), (8, 3)] {
        put_number(&mut out, field, number);
    }
    out
}

pub(super) fn peer() -> Seeds {
    let mut append = Vec::new();
    for (field, number) in [(1, 3), (2, 1), (3, 2), (4, 2), (5, 1), (6, 3), (8, 3)] {
        put_number(&mut append, field, number);
    }
    for index in 4..6 {
        let mut entry = Vec::new();
        put_number(&mut entry, 2, 2);
        put_number(&mut entry, 3, index);
        put_bytes(&mut entry, 4, b"data");
        put_bytes(&mut append, 7, &entry);
    }
    let state = HardState {
        term: 3,
        vote: 2,
        commit: 5,
    };
    let configuration = Configuration {
        voters: vec![1, 3],
        learners: vec![4],
        voters_outgoing: vec![1, 2],
        learners_next: vec![2],
        auto_leave: true,
    };
    let mut change = Vec::new();
    for (field, number) in [(1, 7), (2, 3), (3, 4)] {
        put_number(&mut change, field, number);
    }
    put_bytes(&mut change, 4, b"{}");
    vec![
        ("heartbeat", with(0, heartbeat())),
        ("append", with(1, append)),
        ("state", with(4, state.encode())),
        ("configuration", with(5, configuration.encode())),
        ("change", with(6, change)),
    ]
}

/// Steps of [`crate::raft`].
pub(super) fn raft() -> Seeds {
    let crafted = |flags: u8, kind: u8, from: u8, offsets: [i8; 4]| {
        let mut out = vec![0x60 + flags, kind, from];
        out.extend(offsets.map(|offset| offset as u8));
        out
    };
    // Told of a new leader, it takes entries, commits and applies them.
    let mut follower = crafted(2, 3, 1, [1, 0, 0, 0]);
    follower.push(3);
    put_piece(&mut follower, b"data");
    follower.extend([0, 0xe0, 0xe8]);
    follower.extend(crafted(0, 8, 1, [0, 0, 0, 3]));
    follower.extend([0, 0xe0, 0xe8, 0xd0]);
    // It stands for election, is voted for, leads, and is acknowledged.
    let mut leader = vec![0xf4, 0xe0];
    leader.extend(crafted(0, 18, 1, [1, 0, 0, 0]));
    leader.extend([0, 0xe0]);
    leader.extend(crafted(0, 6, 1, [0, 0, 0, 0]));
    leader.extend([0, 0xe0, 0xe8, 0xf0, 0xe0]);
    leader.extend(crafted(0, 4, 1, [0, 0, 0, 0]));
    leader.extend([0, 0xe8, 0xf6, 0xfd, 0xe0, 0xd0]);
    leader.extend(crafted(0, 4, 2, [0, 0, 0, 0]));
    leader.extend([0, 0xe8, 0xf5]);
    // A leader has a snapshot for it.
    let mut snapshot = crafted(8 | 1, 7, 1, [1, 20, 0, 20]);
    put_piece(&mut snapshot, b"token");
    snapshot.extend([0, 0xe0, 0xff, 0xe8]);
    let mut raw = vec![heartbeat().len() as u8];
    raw.extend(heartbeat());
    vec![
        ("follower", follower),
        ("leader", leader),
        ("snapshot", snapshot),
        ("raw", raw),
    ]
}
