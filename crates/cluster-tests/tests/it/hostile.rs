//! Clients that mean harm, or are broken: the member's memory stays within bounds, others go on being served, nothing
//! panics, and whoever asks for too much is told so. The members are small: one RPC thread, as on a small machine.

use cluster_tests::wire::{self, END_HEADERS, END_STREAM, Wire, kind};
use cluster_tests::{Cluster, Setup, Witness, eventually, get};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const RANGE: &str = "/etcdserverpb.KV/Range";
const RANGE_STREAM: &str = "/etcdserverpb.KV/RangeStream";
const PUT: &str = "/etcdserverpb.KV/Put";
const TXN: &str = "/etcdserverpb.KV/Txn";
pub const WATCH: &str = "/etcdserverpb.Watch/Watch";
pub const WINDOW: u32 = 65_535;
/// Enough for a server that is under attack, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// A member under attack, and a client that only wants to be served.
pub struct Story {
    pub cluster: Cluster,
    witness: Witness,
    /// Memory before the attack, in MiB.
    before: u64,
}

impl Story {
    pub async fn begin(setup: Setup) -> Story {
        let cluster = setup.flag("--rpc-threads=1").start(1).await;
        let witness = Witness::start(cluster.members[0].endpoint()).await;
        let [before, _] = cluster.members[0].memory();
        Story {
            cluster,
            witness,
            before,
        }
    }

    pub fn port(&self) -> u16 {
        self.cluster.members[0].client_port
    }

    pub async fn wire(&self) -> Wire {
        Wire::open(self.port(), WINDOW).await.expect("the member listens")
    }

    /// What must hold after every attack, with the most memory that it may have cost, in MiB.
    pub async fn end(mut self, memory: u64) {
        let port = self.port();
        let report = self.witness.was_served().await;
        let member = &mut self.cluster.members[0];
        let [now, most] = member.memory();
        println!(
            "memory {} MiB, at most {most}, then {now}; served {} times, at worst within {:?}",
            self.before, report.served, report.slowest
        );
        assert!(member.is_running(), "it died");
        assert!(
            most <= self.before + memory,
            "{most} MiB of memory, {} before; {memory} more are allowed",
            self.before
        );
        assert!(!member.log().contains("panicked"), "{}", member.log_tail());
        put_some_time(&self.cluster, "after", b"all").await;
        let (status, _) = get(port, "/health").await.expect("HTTP as well");
        assert_eq!(status, 200);
    }
}

fn range_of_all() -> Vec<u8> {
    [wire::field(1, &[0]), wire::field(2, &[0])].concat()
}

fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    [wire::field(1, key), wire::field(2, value)].concat()
}

/// Puts so many megabytes below a prefix.
pub async fn store(cluster: &Cluster, prefix: &str, megabytes: usize) {
    let value = vec![b'v'; 1 << 20];
    for n in 0..megabytes {
        put_some_time(cluster, &format!("{prefix}/{n:04}"), &value).await;
    }
}

/// A put by a newcomer, who is served in the end, however busy the machine.
pub async fn put_some_time(cluster: &Cluster, key: &str, value: &[u8]) {
    eventually(PATIENCE, async || {
        cluster.client_of(0).await.put(key, value, None).await?;
        Ok(())
    })
    .await;
}

/// A thread, a buffer or a timer of some size for everybody who connects; nobody cleans up.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_connections_that_say_nothing_or_little() {
    let story = Story::begin(Setup::default()).await;
    let mut held = Vec::new();
    for n in 0..3000 {
        let mut stream = TcpStream::connect(("127.0.0.1", story.port())).await.unwrap();
        let word: &[u8] = match n % 4 {
            0 => b"",
            1 => b"PRI * HTTP/2.0\r\n",
            2 => b"GET /version HTTP/1.1\r\nHost: x\r\nX-Slow: ",
            _ => b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{",
        };
        stream.write_all(word).await.unwrap();
        held.push(stream);
    }
    let mut served = 0;
    for _ in 0..200 {
        served = story.cluster.members[0].open_files();
        if served > 3000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(served > 3000, "{served} files: they are not served at all");
    for stream in held.iter_mut().skip(2).step_by(4) {
        let _ = stream.write_all(b"y").await;
    }
    drop(held);
    let member = &story.cluster.members[0];
    for _ in 0..200 {
        if member.open_files() < 300 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        member.open_files() < 300,
        "{} files are still open after everybody left",
        member.open_files()
    );
    story.end(150).await;
}

/// Files for clients' sockets are files that the log and the store do not get: with none left a write fails, and the
/// member must stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_few_file_descriptors_keeps_some_for_itself() {
    let mut cluster = Setup::default()
        .flag("--rpc-threads=1")
        .flag("--snapshot-count=100")
        .prepare(1);
    cluster.members[0].set_prefix(&["prlimit", "--nofile=256:256"]);
    cluster.start_all();
    cluster.wait_ready().await;
    let endpoint = cluster.members[0].endpoint();
    let witness = Witness::start(endpoint.clone()).await;
    let port = cluster.members[0].client_port;
    let mut held = Vec::new();
    for _ in 0..1000 {
        // Beyond what the kernel keeps waiting there may be no more answer.
        let connect = TcpStream::connect(("127.0.0.1", port));
        match tokio::time::timeout(Duration::from_millis(50), connect).await {
            Ok(Ok(stream)) => held.push(stream),
            _ => break,
        }
    }
    println!(
        "{} connections, {} files",
        held.len(),
        cluster.members[0].open_files()
    );
    // More than a segment of the log, and more than one file of the store.
    let value = vec![b'v'; 1 << 20];
    assert!(cluster.members[0].open_files() < 256);
    drop(held);
    let mut newcomer = cluster.client_of(0).await;
    cluster_tests::eventually(PATIENCE, async || {
        newcomer.clone().put("newcomer", "served", None).await?;
        Ok(())
    })
    .await;
    for n in 0..150 {
        newcomer
            .put(format!("large/{}", n % 10), value.clone(), None)
            .await
            .expect("room for files");
    }
    let report = witness.was_served().await;
    println!("{report:?}");
    assert!(cluster.members[0].is_running());
    assert!(!cluster.members[0].log().contains("panicked"));
}

/// Parts of requests that are kept for as long as their clients like, without being counted.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_never_end_share_a_bounded_memory() {
    let story = Story::begin(Setup::default()).await;
    let part = wire::announced(60_000, &vec![0; 16_000]);
    let more = vec![0; 14_000];
    let mut wires = Vec::new();
    'connections: for _ in 0..100 {
        let mut wire = story.wire().await;
        // What fits into the window of a connection.
        for stream in 0..150u32 {
            let id = stream * 2 + 1;
            // A server may say no at any time.
            let sent = async {
                wire.call(id, PUT, &[]).await?;
                wire.frame(kind::DATA, 0, id, &part).await?;
                wire.frame(kind::DATA, 0, id, &more).await?;
                wire.frame(kind::DATA, 0, id, &more).await?;
                wire.flush().await
            };
            match tokio::time::timeout(Duration::from_secs(2), sent).await {
                Ok(Ok(())) => {}
                // Flow control, or the door: this connection does not get further.
                _ => {
                    wires.push(wire);
                    continue 'connections;
                }
            }
        }
        wires.push(wire);
    }
    let mut refused = 0;
    for _ in 0..200 {
        refused = wires.iter().map(Wire::answers).sum();
        if refused > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{refused} requests were refused");
    assert!(refused > 0, "all of them are kept");
    // 100 x 150 x 44 kB are 660 MB.
    story.end(420).await;
}

/// Some bytes of each of many large requests, and nobody else may send a large one any more.
#[tokio::test(flavor = "multi_thread")]
async fn announcing_large_requests_takes_nothing_from_others() {
    let story = Story::begin(Setup::default()).await;
    let mut wire = story.wire().await;
    for stream in 0..1000u32 {
        let id = stream * 2 + 1;
        wire.call(id, PUT, &[]).await.unwrap();
        wire.frame(kind::DATA, 0, id, &wire::announced(1_400_000, b"x"))
            .await
            .unwrap();
    }
    wire.flush().await.unwrap();
    store(&story.cluster, "large", 5).await;
    story.end(150).await;
}

/// One call whose request never ends: message after message where one is expected.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_one_request_takes_no_second() {
    let story = Story::begin(Setup::default()).await;
    let mut wire = story.wire().await;
    wire.call(1, PUT, &[]).await.unwrap();
    let message = wire::framed(&put(b"key", &[b'v'; 16_000]));
    for _ in 0..3 {
        wire.data(1, &message, false).await.unwrap();
    }
    wire.flush().await.unwrap();
    assert!(wire.wait(PATIENCE, |wire| wire.answers() > 0).await, "it is told");
    story.end(60).await;
}

/// A length of four gigabytes, believed.
#[tokio::test(flavor = "multi_thread")]
async fn lengths_that_cannot_be_are_refused_at_once() {
    let story = Story::begin(Setup::default()).await;
    let mut wire = story.wire().await;
    for (n, length) in [u32::MAX, 1 << 31, 64 << 20, (2 << 20) + 1]
        .into_iter()
        .enumerate()
    {
        let paths = [PUT, WATCH, RANGE_STREAM];
        for (m, path) in paths.iter().enumerate() {
            let id = ((n * paths.len() + m) * 2 + 1) as u32;
            wire.call(id, path, &[]).await.unwrap();
            wire.frame(kind::DATA, 0, id, &wire::announced(length, b"xyz"))
                .await
                .unwrap();
        }
    }
    wire.flush().await.unwrap();
    assert!(
        wire.wait(PATIENCE, |wire| wire.answers() >= 12).await,
        "{} answers",
        wire.answers()
    );
    // Within a message: a key that is longer than all of it.
    let lie = [&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f][..], b"key"].concat();
    wire.request(101, PUT, &lie, true).await.unwrap();
    assert!(wire.wait(PATIENCE, |wire| wire.answers() >= 13).await);
    story.end(60).await;
}

/// Recursion as deep as the input says.
#[tokio::test(flavor = "multi_thread")]
async fn nesting_is_refused_before_the_stack_is_full() {
    let story = Story::begin(Setup::default()).await;
    let mut wire = story.wire().await;
    let mut nested = Vec::new();
    // TxnRequest.success, RequestOp.request_txn, some thousand levels of them.
    while nested.len() < 8192 {
        nested = wire::field(2, &wire::field(4, &nested));
    }
    wire.request(1, TXN, &nested, true).await.unwrap();
    assert!(wire.wait(PATIENCE, |wire| wire.answers() >= 1).await);
    // Groups within groups, which protobuf skips.
    wire.request(3, TXN, &[0x0b; 1_000_000], true).await.unwrap();
    assert!(wire.wait(PATIENCE, |wire| wire.answers() >= 2).await);

    for body in [
        "[".repeat(500_000),
        r#"{"success":["#.repeat(40_000),
        r#"{"success":[{"requestTxn":"#.repeat(30_000),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", story.port())).await.unwrap();
        let head = format!(
            "POST /v3/kv/txn HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("an answer")
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    story.end(60).await;
}

/// Streams that are begun and reset without end (CVE-2023-44487): work without an open stream that would be counted.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_as_soon_as_they_begin() {
    let story = Story::begin(Setup::default()).await;
    let mut total = 0u64;
    for _ in 0..20 {
        let mut wire = story.wire().await;
        let block = wire::call(RANGE, &[]);
        let request = wire::framed(&range_of_all());
        for stream in 0..5000u32 {
            let id = stream * 2 + 1;
            let sent = async {
                wire.frame(kind::HEADERS, END_HEADERS, id, &block).await?;
                wire.frame(kind::DATA, END_STREAM, id, &request).await?;
                wire.frame(kind::RST_STREAM, 0, id, &8u32.to_be_bytes()).await
            };
            if sent.await.is_err() || wire.is_closed() || wire.goaway().is_some() {
                break;
            }
            total += 1;
        }
        let _ = wire.flush().await;
    }
    println!("{total} streams were begun and reset");
    story.end(120).await;
}

/// Headers that go on for ever (CVE-2024-27316 and its kin): collected, or decoded, without a limit.
#[tokio::test(flavor = "multi_thread")]
async fn headers_without_end() {
    let story = Story::begin(Setup::default()).await;
    let mut wire = story.wire().await;
    let block = wire::call(RANGE, &[]);
    wire.frame(kind::HEADERS, 0, 1, &block).await.unwrap();
    let filler = wire::call(RANGE, &[("x-filler", &[b'f'; 15_000])]);
    let mut sent = 0;
    for _ in 0..10_000 {
        let write = async {
            wire.frame(kind::CONTINUATION, 0, 1, &filler).await?;
            wire.flush().await
        };
        if write.await.is_err() || wire.is_closed() {
            break;
        }
        sent += 1;
    }
    println!("closed after {sent} continuations, GOAWAY {:?}", wire.goaway());
    assert!(
        wire.wait(PATIENCE, Wire::is_closed).await,
        "it goes on for {sent} frames"
    );

    // Large and many ones that do end.
    let big = vec![b'h'; 200_000];
    let many: Vec<(String, Vec<u8>)> = (0..20_000).map(|n| (format!("x-{n}"), b"v".to_vec())).collect();
    let many: Vec<wire::Header<'_>> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
        .collect();
    for headers in [vec![("x-big", big.as_slice()), ("x-big2", big.as_slice())], many] {
        let mut wire = story.wire().await;
        let block = wire::call(RANGE, &headers);
        let chunks: Vec<&[u8]> = block.chunks(16_000).collect();
        for (n, chunk) in chunks.iter().enumerate() {
            let flags = if n + 1 == chunks.len() { END_HEADERS } else { 0 };
            let kind = if n == 0 { kind::HEADERS } else { kind::CONTINUATION };
            if wire.frame(kind, flags, 1, chunk).await.is_err() {
                break;
            }
        }
        let _ = wire.flush().await;
        let refused = wire
            .wait(PATIENCE, |wire| {
                wire.answers() > 0 || wire.resets() > 0 || wire.is_closed()
            })
            .await;
        assert!(refused, "nothing is said to {} bytes of headers", block.len());
    }
    story.end(100).await;
}

/// Frames that each want an answer, to a client that does not read.
#[tokio::test(flavor = "multi_thread")]
async fn pings_and_settings_for_whoever_does_not_read_the_answers() {
    let story = Story::begin(Setup::default()).await;
    let endless: [(u8, &[u8], u32); 4] = [
        (kind::PING, &[7; 8], 0),
        (kind::SETTINGS, &[], 0),
        (kind::SETTINGS, &[0, 3, 0, 0, 0, 9, 0, 4, 0, 1, 0, 0], 0),
        (kind::WINDOW_UPDATE, &[0, 0, 0, 1], 0),
    ];
    for (kind, payload, stream) in endless {
        let mut wire = Wire::deaf(story.port(), WINDOW).await.unwrap();
        let flood = async {
            for _ in 0..2_000_000 {
                if wire.frame(kind, 0, stream, payload).await.is_err() {
                    break;
                }
            }
            let _ = wire.flush().await;
        };
        let ended = tokio::time::timeout(Duration::from_secs(3), flood).await;
        println!(
            "kind {kind}: {}",
            if ended.is_ok() {
                "taken or cut"
            } else {
                "held back"
            }
        );
    }
    // Nothing in each of endless frames of data.
    let mut wire = story.wire().await;
    wire.call(1, PUT, &[]).await.unwrap();
    let flood = async { while wire.frame(kind::DATA, 0, 1, &[]).await.is_ok() && !wire.is_closed() {} };
    let _ = tokio::time::timeout(Duration::from_secs(3), flood).await;
    story.end(100).await;
}

/// HTTP/1 in every wrong form.
#[tokio::test(flavor = "multi_thread")]
async fn http1_that_makes_no_sense() {
    let story = Story::begin(Setup::default()).await;
    let long = "x".repeat(1 << 20);
    let many: String = (0..5000).map(|n| format!("X-{n}: v\r\n")).collect();
    let requests = [
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "\0\u{1}\u{2}\u{16}\u{3}\u{1}garbage\r\n\r\n".to_owned(),
        "POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{".to_owned(),
        "POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx".to_owned(),
        "POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_owned(),
    ];
    for request in &requests {
        let mut stream = TcpStream::connect(("127.0.0.1", story.port())).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let ended = tokio::time::timeout(PATIENCE, read).await;
        assert!(ended.is_ok(), "no end of {:?}", &request[..40.min(request.len())]);
        assert!(
            !answer.starts_with(b"HTTP/1.1 200"),
            "{:?} is taken",
            &request[..40.min(request.len())]
        );
    }
    // A body that never ends, and requests without waiting for answers.
    let mut stream = TcpStream::connect(("127.0.0.1", story.port())).await.unwrap();
    let head = b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let chunk = [b"10000\r\n", vec![b' '; 65_536].as_slice(), b"\r\n"].concat();
    for _ in 0..5000 {
        let write = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&chunk)).await;
        if !matches!(write, Ok(Ok(()))) {
            break;
        }
    }
    let mut stream = TcpStream::connect(("127.0.0.1", story.port())).await.unwrap();
    for _ in 0..20_000 {
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        let write = tokio::time::timeout(Duration::from_millis(300), stream.write_all(request)).await;
        if !matches!(write, Ok(Ok(()))) {
            break;
        }
    }
    story.end(100).await;
}
