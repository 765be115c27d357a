//! HTTP/2 frame by frame, for what no client library would ever send.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The largest frame that a server must take.
const FRAME_BYTES: usize = 16_384;
/// GOAWAY has not come.
const NONE: u32 = u32::MAX;

/// Kinds of frames, by their names in RFC 9113.
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// No more frames of this side will follow on the stream.
pub const END_STREAM: u8 = 1;
/// The block of headers is complete.
pub const END_HEADERS: u8 = 4;

/// A connection whose client may do anything.
pub struct Wire {
    out: BufWriter<OwnedWriteHalf>,
    seen: Arc<Seen>,
    /// Held, and not read, where nothing shall be read.
    unread: Option<OwnedReadHalf>,
}

/// What the server has sent so far.
#[derive(Default)]
struct Seen {
    goaway: AtomicU32,
    resets: AtomicU64,
    answers: AtomicU64,
    settings: AtomicBool,
    closed: AtomicBool,
}

/// One header: name and value.
pub type Header<'a> = (&'a str, &'a [u8]);

impl Wire {
    /// Connects and says hello, with a setting for the window of each stream; reads and forgets what comes back.
    pub async fn open(port: u16, window: u32) -> std::io::Result<Wire> {
        let mut wire = Wire::deaf(port, window).await?;
        if let Some(read) = wire.unread.take() {
            tokio::spawn(follow(read, wire.seen.clone()));
        }
        // The server's windows hold from when it knows that we know them.
        wire.wait(Duration::from_secs(10), |wire| {
            wire.seen.settings.load(Relaxed) || wire.is_closed()
        })
        .await;
        wire.frame(kind::SETTINGS, 1, 0, &[]).await?;
        wire.flush().await?;
        Ok(wire)
    }

    /// The same, without reading: what the server sends stays in its buffers.
    pub async fn deaf(port: u16, window: u32) -> std::io::Result<Wire> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let seen = Seen {
            goaway: AtomicU32::new(NONE),
            ..Seen::default()
        };
        let mut wire = Wire {
            out: BufWriter::with_capacity(64 * 1024, write),
            seen: Arc::new(seen),
            unread: Some(read),
        };
        wire.out.write_all(PREFACE).await?;
        let setting = [&4u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
        wire.frame(kind::SETTINGS, 0, 0, &setting).await?;
        wire.flush().await?;
        Ok(wire)
    }

    /// Writes a frame, sooner or later.
    pub async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
        self.out.write_all(&length).await?;
        self.out.write_all(&[kind, flags]).await?;
        self.out.write_all(&stream.to_be_bytes()).await?;
        self.out.write_all(payload).await
    }

    /// Writes what was not written yet.
    pub async fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush().await
    }

    /// Begins a call of gRPC.
    pub async fn call(&mut self, stream: u32, path: &str, more: &[Header<'_>]) -> std::io::Result<()> {
        let block = call(path, more);
        self.frame(kind::HEADERS, END_HEADERS, stream, &block).await
    }

    /// Begins a call of gRPC and sends its only message; the call is complete if `ended`.
    pub async fn request(
        &mut self,
        stream: u32,
        path: &str,
        message: &[u8],
        ended: bool,
    ) -> std::io::Result<()> {
        self.call(stream, path, &[]).await?;
        self.data(stream, &framed(message), ended).await?;
        self.flush().await
    }

    /// Writes data in frames of the size that is allowed. Windows are not looked at: the caller must stay within them.
    pub async fn data(&mut self, stream: u32, bytes: &[u8], ended: bool) -> std::io::Result<()> {
        let frames = bytes.chunks(FRAME_BYTES);
        let last = frames.len().saturating_sub(1);
        for (number, frame) in frames.enumerate() {
            let flags = if ended && number == last { END_STREAM } else { 0 };
            self.frame(kind::DATA, flags, stream, frame).await?;
        }
        Ok(())
    }

    /// The code of GOAWAY, if the server has sent one.
    pub fn goaway(&self) -> Option<u32> {
        Some(self.seen.goaway.load(Relaxed)).filter(|code| *code != NONE)
    }

    /// Streams that the server has reset.
    pub fn resets(&self) -> u64 {
        self.seen.resets.load(Relaxed)
    }

    /// Blocks of headers that the server has sent: answers begun and ended.
    pub fn answers(&self) -> u64 {
        self.seen.answers.load(Relaxed)
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.seen.closed.load(Relaxed)
    }

    /// Waits for something that is seen; `false` after `within`.
    pub async fn wait(&self, within: Duration, what: impl Fn(&Wire) -> bool) -> bool {
        let deadline = tokio::time::Instant::now() + within;
        while !what(self) {
            if tokio::time::Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }
}

async fn follow(mut read: OwnedReadHalf, seen: Arc<Seen>) {
    let mut payload = Vec::new();
    loop {
        let mut head = [0; 9];
        if read.read_exact(&mut head).await.is_err() {
            break;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        payload.resize(length, 0);
        if read.read_exact(&mut payload).await.is_err() {
            break;
        }
        match head[3] {
            kind::GOAWAY if length >= 8 => {
                let code = u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]);
                seen.goaway.store(code, Relaxed);
            }
            kind::SETTINGS => seen.settings.store(true, Relaxed),
            kind::RST_STREAM => {
                seen.resets.fetch_add(1, Relaxed);
            }
            kind::HEADERS => {
                seen.answers.fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }
    seen.closed.store(true, Relaxed);
}

/// A message with gRPC's five bytes before it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    announced(message.len() as u32, message)
}

/// A part of a message that says how long it will be.
pub fn announced(length: u32, part: &[u8]) -> Vec<u8> {
    [&[0], &length.to_be_bytes()[..], part].concat()
}

/// The block of headers of a call of gRPC.
pub fn call(path: &str, more: &[Header<'_>]) -> Vec<u8> {
    let usual: [Header<'_>; 6] = [
        (":method", b"POST"),
        (":scheme", b"http"),
        (":path", path.as_bytes()),
        (":authority", b"localhost"),
        ("content-type", b"application/grpc"),
        ("te", b"trailers"),
    ];
    usual.iter().chain(more).flat_map(header).collect()
}

/// One header as HPACK has it: a literal, without compression, never to be remembered.
fn header((name, value): &Header<'_>) -> Vec<u8> {
    let mut bytes = vec![0x10];
    for text in [name.as_bytes(), value] {
        integer(&mut bytes, text.len());
        bytes.extend_from_slice(text);
    }
    bytes
}

/// A length as HPACK has it, with a prefix of seven bits.
fn integer(bytes: &mut Vec<u8>, mut number: usize) {
    if number < 127 {
        return bytes.push(number as u8);
    }
    bytes.push(127);
    number -= 127;
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A field of a protobuf message that holds bytes.
pub fn field(number: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = varint(u64::from(number << 3 | 2));
    bytes.extend(varint(value.len() as u64));
    bytes.extend_from_slice(value);
    bytes
}

/// A field of a protobuf message that holds a number.
pub fn number(number: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(number << 3)), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 128 {
        bytes.push(value as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field with the checksum over parts that members send each other, each part after its length.
pub fn sum(number: u32, parts: &[&[u8]]) -> Vec<u8> {
    let framed = parts
        .iter()
        .flat_map(|part| [&(part.len() as u64).to_le_bytes(), *part].concat());
    let mut out = vec![(number << 3 | 5) as u8];
    out.extend(crc32c::crc32c(&framed.collect::<Vec<u8>>()).to_le_bytes());
    out
}
