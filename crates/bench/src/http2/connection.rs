//! One connection: calls out, messages in.

use super::Failure;
use super::hpack::{RequestHeaders, ResponseHeaders};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
const LARGEST_FRAME: usize = 16_384;
const DEFAULT_WINDOW: i64 = 65_535;
const UNAVAILABLE: u32 = 14;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// How much the server may send before we have taken it: bytes per stream and per connection.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Of each stream.
    pub stream: u32,
    /// Of the connection.
    pub connection: u32,
}

impl Windows {
    /// Never in the way.
    pub const WIDE: Windows = Windows {
        stream: 16 << 20,
        connection: 64 << 20,
    };
    /// HTTP/2's defaults.
    pub const NARROW: Windows = Windows {
        stream: 65_535,
        connection: 65_535,
    };
}

/// Something that came for a call.
#[derive(Debug)]
pub struct Event {
    /// What the caller gave to know its call by.
    pub tag: u64,
    /// The stream of the call.
    pub stream: u32,
    /// What came.
    pub what: What,
}

/// See [`Event`].
#[derive(Debug)]
pub enum What {
    /// A message of the server; [`Connection::bytes`] shows it.
    Message(Body),
    /// The call is over.
    End(Result<(), Failure>),
}

/// Where a message lies.
#[derive(Debug)]
pub enum Body {
    /// In the connection's buffer, until more is received.
    Inline(Range<usize>),
    /// It came in pieces.
    Owned(Vec<u8>),
}

struct Stream {
    tag: u64,
    /// A message of which not all is here, with its five bytes of prefix.
    partial: Vec<u8>,
    send_window: i64,
    /// Received and not yet given back to the server's window.
    taken: u32,
}

/// The state of one connection.
pub struct Connection {
    input: Vec<u8>,
    parsed: usize,
    output: Vec<u8>,
    request_headers: RequestHeaders,
    response_headers: ResponseHeaders,
    streams: HashMap<u32, Stream>,
    next_stream: u32,
    send_window: i64,
    initial_send_window: i64,
    /// Bodies that did not fit the windows.
    waiting: VecDeque<(u32, Vec<u8>, bool)>,
    windows: Windows,
    taken: u32,
    /// Rest of a DATA frame: stream, bytes, whether it ends the stream.
    data: Option<(u32, Range<usize>, bool)>,
    /// A header block that goes on in CONTINUATION frames: stream, flags, bytes.
    headers: Option<(u32, u8, Vec<u8>)>,
    closing: VecDeque<(u32, Failure)>,
}

impl Connection {
    /// A connection whose first bytes wait to be sent.
    pub fn new(authority: &str, windows: Windows) -> Self {
        let mut output = PREFACE.to_vec();
        frame(SETTINGS, 0, 0, 12, &mut output);
        // No server push; our window per stream.
        output.extend_from_slice(&[0, 2, 0, 0, 0, 0, 0, 4]);
        output.extend_from_slice(&windows.stream.to_be_bytes());
        let more = windows.connection.saturating_sub(DEFAULT_WINDOW as u32);
        if more > 0 {
            window_update(0, more, &mut output);
        }
        Connection {
            input: Vec::new(),
            parsed: 0,
            output,
            request_headers: RequestHeaders::new(authority),
            response_headers: ResponseHeaders::default(),
            streams: HashMap::new(),
            next_stream: 1,
            send_window: DEFAULT_WINDOW,
            initial_send_window: DEFAULT_WINDOW,
            waiting: VecDeque::new(),
            windows,
            taken: 0,
            data: None,
            headers: None,
            closing: VecDeque::new(),
        }
    }

    /// Begins a call with its first message; with `last`, its only one. Returns the stream.
    pub fn call(&mut self, path: &'static str, tag: u64, message: &[u8], last: bool) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let start = self.output.len();
        frame(HEADERS, END_HEADERS, stream, 0, &mut self.output);
        self.request_headers.write(path, &mut self.output);
        let length = self.output.len() - start - FRAME_HEADER;
        self.output[start..start + 3].copy_from_slice(&(length as u32).to_be_bytes()[1..]);
        self.streams.insert(
            stream,
            Stream {
                tag,
                partial: Vec::new(),
                send_window: self.initial_send_window,
                taken: 0,
            },
        );
        self.send(stream, message, last);
        stream
    }

    /// Sends a further message of a call.
    pub fn send(&mut self, stream: u32, message: &[u8], last: bool) {
        let mut prefix = [0; 5];
        prefix[1..].copy_from_slice(&(message.len() as u32).to_be_bytes());
        let length = message.len() + prefix.len();
        let Some(state) = self.streams.get_mut(&stream) else {
            return;
        };
        let room = self.send_window.min(state.send_window).min(LARGEST_FRAME as i64);
        if self.waiting.is_empty() && length as i64 <= room {
            self.send_window -= length as i64;
            state.send_window -= length as i64;
            frame(
                DATA,
                if last { END_STREAM } else { 0 },
                stream,
                length,
                &mut self.output,
            );
            self.output.extend_from_slice(&prefix);
            self.output.extend_from_slice(message);
        } else {
            self.waiting
                .push_back((stream, [&prefix, message].concat(), last));
            self.send_waiting();
        }
    }

    /// Sends what waits for room, in order; a stream without room holds up those behind it, which keeps this simple and
    /// happens only with requests of more than 64 KiB.
    fn send_waiting(&mut self) {
        while let Some((stream, body, last)) = self.waiting.front_mut() {
            let Some(state) = self.streams.get_mut(stream) else {
                self.waiting.pop_front();
                continue;
            };
            let room = self.send_window.min(state.send_window).min(LARGEST_FRAME as i64);
            if room <= 0 {
                return;
            }
            let length = body.len().min(room as usize);
            let whole = length == body.len();
            let flags = if whole && *last { END_STREAM } else { 0 };
            self.send_window -= length as i64;
            state.send_window -= length as i64;
            frame(DATA, flags, *stream, length, &mut self.output);
            self.output.extend(body.drain(..length));
            if whole {
                self.waiting.pop_front();
            }
        }
    }

    /// Ends a call from our side, without waiting for its answer.
    pub fn cancel(&mut self, stream: u32) {
        if self.streams.remove(&stream).is_some() {
            frame(RST_STREAM, 0, stream, 4, &mut self.output);
            self.output.extend_from_slice(&8u32.to_be_bytes());
        }
    }

    /// What is to be sent; whoever sends it removes it.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Takes bytes from the server. Bodies of earlier events are gone afterwards.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.parsed == self.input.len() && self.data.is_none() {
            self.input.clear();
            self.parsed = 0;
        } else if self.parsed > 0 && self.data.is_none() {
            self.input.drain(..self.parsed);
            self.parsed = 0;
        }
        self.input.extend_from_slice(bytes);
    }

    /// The connection is lost: every call ends.
    pub fn lost(&mut self, reason: &str) {
        let failure = Failure {
            code: UNAVAILABLE,
            message: reason.to_owned(),
        };
        self.closing
            .extend(self.streams.keys().map(|stream| (*stream, failure.clone())));
    }

    /// Bytes of a message.
    pub fn bytes<'a>(&'a self, body: &'a Body) -> &'a [u8] {
        match body {
            Body::Inline(range) => &self.input[range.clone()],
            Body::Owned(bytes) => bytes,
        }
    }

    /// The next event, if what was received holds one.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some((stream, failure)) = self.closing.pop_front() {
                if let Some(event) = self.end(stream, Err(failure)) {
                    return Some(event);
                }
                continue;
            }
            if let Some((stream, range, ends)) = self.data.take() {
                if let Some(event) = self.take_data(stream, range, ends) {
                    return Some(event);
                }
                continue;
            }
            let rest = &self.input[self.parsed..];
            let header = rest.first_chunk::<FRAME_HEADER>()?;
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            if rest.len() < FRAME_HEADER + length {
                return None;
            }
            let (kind, flags) = (header[3], header[4]);
            let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) & 0x7fff_ffff;
            let payload = self.parsed + FRAME_HEADER..self.parsed + FRAME_HEADER + length;
            self.parsed = payload.end;
            if let Some(event) = self.take_frame(kind, flags, stream, payload) {
                return Some(event);
            }
        }
    }

    fn take_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: Range<usize>) -> Option<Event> {
        match kind {
            DATA => {
                self.taken += payload.len() as u32;
                if self.taken >= self.windows.connection / 2 {
                    window_update(0, self.taken, &mut self.output);
                    self.taken = 0;
                }
                if let Some(state) = self.streams.get_mut(&stream) {
                    state.taken += payload.len() as u32;
                    if state.taken >= self.windows.stream / 2 {
                        window_update(stream, state.taken, &mut self.output);
                        state.taken = 0;
                    }
                }
                let payload = self.unpadded(flags & PADDED, payload);
                self.data = Some((stream, payload, flags & END_STREAM != 0));
                None
            }
            HEADERS => {
                let mut payload = self.unpadded(flags, payload);
                if flags & PRIORITY != 0 {
                    payload.start = (payload.start + 5).min(payload.end);
                }
                let block = self.input[payload].to_vec();
                self.take_headers(stream, flags, block, flags & END_HEADERS != 0)
            }
            CONTINUATION => {
                let (stream, flags_before, mut block) = self.headers.take()?;
                block.extend_from_slice(&self.input[payload]);
                self.take_headers(stream, flags_before, block, flags & END_HEADERS != 0)
            }
            RST_STREAM => {
                let code = self.input[payload]
                    .first_chunk()
                    .map_or(0, |bytes| u32::from_be_bytes(*bytes));
                let failure = Failure {
                    code: UNAVAILABLE,
                    message: format!("the server reset the stream, HTTP/2 error {code}"),
                };
                self.end(stream, Err(failure))
            }
            SETTINGS if flags & ACK == 0 => {
                self.take_settings(payload);
                None
            }
            PING if flags & ACK == 0 => {
                frame(PING, ACK, 0, payload.len(), &mut self.output);
                self.output.extend_from_slice(&self.input[payload]);
                None
            }
            GOAWAY => {
                self.lost("the server closes the connection");
                None
            }
            WINDOW_UPDATE => {
                let more = self.input[payload]
                    .first_chunk()
                    .map_or(0, |bytes| u32::from_be_bytes(*bytes));
                match stream {
                    0 => self.send_window += i64::from(more),
                    _ => {
                        if let Some(state) = self.streams.get_mut(&stream) {
                            state.send_window += i64::from(more);
                        }
                    }
                }
                self.send_waiting();
                None
            }
            _ => None,
        }
    }

    fn unpadded(&self, flags: u8, mut payload: Range<usize>) -> Range<usize> {
        if flags & PADDED != 0 && !payload.is_empty() {
            let padding = self.input[payload.start] as usize;
            payload.start += 1;
            payload.end = payload.end.saturating_sub(padding).max(payload.start);
        }
        payload
    }

    fn take_settings(&mut self, payload: Range<usize>) {
        for setting in self.input[payload].chunks_exact(6) {
            let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
            if setting[..2] == [0, 4] {
                let change = i64::from(value) - self.initial_send_window;
                self.initial_send_window = i64::from(value);
                for state in self.streams.values_mut() {
                    state.send_window += change;
                }
            }
        }
        frame(SETTINGS, ACK, 0, 0, &mut self.output);
        self.send_waiting();
    }

    fn take_headers(&mut self, stream: u32, flags: u8, block: Vec<u8>, whole: bool) -> Option<Event> {
        if !whole {
            self.headers = Some((stream, flags, block));
            return None;
        }
        // Also where nobody waits: the table must follow the server's.
        let ending = self.response_headers.read(&block);
        if flags & END_STREAM == 0 {
            return None;
        }
        let result = match ending {
            Some(ending) => ending.result(),
            None => Err(Failure {
                code: 13,
                message: "headers that break the rules of HPACK".into(),
            }),
        };
        self.end(stream, result)
    }

    fn end(&mut self, stream: u32, result: Result<(), Failure>) -> Option<Event> {
        let state = self.streams.remove(&stream)?;
        Some(Event {
            tag: state.tag,
            stream,
            what: What::End(result),
        })
    }

    /// Takes one message out of a DATA frame and keeps the rest of the frame for the next call.
    fn take_data(&mut self, stream: u32, mut range: Range<usize>, ends: bool) -> Option<Event> {
        if range.is_empty() {
            let failure = Failure {
                code: 2,
                message: "the call ended without trailers".into(),
            };
            return if ends {
                self.end(stream, Err(failure))
            } else {
                None
            };
        }
        let state = self.streams.get_mut(&stream)?;
        let bytes = &self.input[range.clone()];
        if state.partial.is_empty()
            && let Some(length) = message_length(bytes)
            && bytes.len() >= length
        {
            let body = Body::Inline(range.start + 5..range.start + length);
            range.start += length;
            self.data = Some((stream, range, ends));
            return Some(Event {
                tag: state.tag,
                stream,
                what: What::Message(body),
            });
        }
        let missing = match message_length(&state.partial) {
            Some(length) => length - state.partial.len(),
            None => 5 - state.partial.len(),
        };
        let taken = missing.min(bytes.len());
        state.partial.extend_from_slice(&bytes[..taken]);
        range.start += taken;
        self.data = Some((stream, range, ends));
        if message_length(&state.partial) != Some(state.partial.len()) {
            return None;
        }
        let mut message = std::mem::take(&mut state.partial);
        message.drain(..5);
        Some(Event {
            tag: state.tag,
            stream,
            what: What::Message(Body::Owned(message)),
        })
    }
}

/// Length of a gRPC message with its prefix, once the prefix is there.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let prefix = bytes.first_chunk::<5>()?;
    Some(5 + u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize)
}

fn frame(kind: u8, flags: u8, stream: u32, length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    out.push(kind);
    out.push(flags);
    out.extend_from_slice(&stream.to_be_bytes());
}

fn window_update(stream: u32, more: u32, out: &mut Vec<u8>) {
    frame(WINDOW_UPDATE, 0, stream, 4, out);
    out.extend_from_slice(&more.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(stream: u32, ends: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame(DATA, u8::from(ends), stream, payload.len(), &mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn messages(connection: &mut Connection) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some(event) = connection.next_event() {
            if let What::Message(body) = event.what {
                found.push(connection.bytes(&body).to_vec());
            }
        }
        found
    }

    #[test]
    fn messages_are_found_wherever_frames_and_reads_cut_them() {
        let three = [
            &[0, 0, 0, 0, 2][..],
            b"ab",
            &[0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 3],
            b"cde",
        ]
        .concat();
        for frame_cut in 0..three.len() {
            let wire = [
                data(1, false, &three[..frame_cut]),
                data(1, false, &three[frame_cut..]),
            ]
            .concat();
            for read_cut in 0..wire.len() {
                let mut connection = Connection::new("a", Windows::WIDE);
                connection.call("/a", 7, b"", true);
                connection.receive(&wire[..read_cut]);
                let mut found = messages(&mut connection);
                connection.receive(&wire[read_cut..]);
                found.extend(messages(&mut connection));
                assert_eq!(
                    found,
                    [&b"ab"[..], b"", b"cde"],
                    "cut at {frame_cut} and {read_cut}"
                );
            }
        }
    }

    #[test]
    fn a_large_request_waits_for_the_window() {
        let mut connection = Connection::new("a", Windows::WIDE);
        connection.output().clear();
        connection.call("/a", 1, &vec![1; 100_000], true);
        let sent = connection.output().len();
        assert!((65_535..66_000).contains(&sent), "{sent}");
        let mut more = Vec::new();
        window_update(0, 100_000, &mut more);
        window_update(1, 100_000, &mut more);
        connection.receive(&more);
        assert!(connection.next_event().is_none());
        assert!(connection.output().len() > 100_000);
        assert!(connection.waiting.is_empty());
    }

    #[test]
    fn a_lost_connection_ends_every_call() {
        let mut connection = Connection::new("a", Windows::WIDE);
        connection.call("/a", 1, b"", true);
        connection.call("/a", 2, b"", true);
        connection.lost("gone");
        let mut tags: Vec<u64> = std::iter::from_fn(|| connection.next_event())
            .map(|event| event.tag)
            .collect();
        tags.sort_unstable();
        assert_eq!(tags, [1, 2]);
        assert!(connection.streams.is_empty());
    }
}
