//! Follows gRPC's length-prefixed framing through the chunks of a body, so that messages are counted, and too large
//! ones refused before memory is spent on them, in one place for all calls.

use std::fmt;

/// Bytes before each message: compression flag and length.
const HEADER: usize = 5;

/// Where in the framing a body is.
#[derive(Default)]
pub(crate) struct Frames {
    header: [u8; HEADER],
    header_len: usize,
    message_len: usize,
    message_left: usize,
}

/// What began in a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Seen {
    /// Messages that began.
    pub messages: u64,
    /// Their lengths, without headers.
    pub bytes: u64,
}

/// A message longer than the limit was announced. Its text is grpc-go's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooLarge {
    len: usize,
    max: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "grpc: received message larger than max ({} vs. {})",
            self.len, self.max
        )
    }
}

impl Frames {
    /// Bytes that are there of a message whose end is not; zero between messages.
    pub fn begun(&self) -> usize {
        match self.message_left {
            0 => self.header_len,
            left => HEADER + self.message_len - left,
        }
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, mut chunk: &[u8], bytes_max: usize) -> Result<Seen, TooLarge> {
        let mut seen = Seen::default();
        loop {
            let skipped = self.message_left.min(chunk.len());
            self.message_left -= skipped;
            chunk = &chunk[skipped..];
            if chunk.is_empty() {
                return Ok(seen);
            }
            let taken = (HEADER - self.header_len).min(chunk.len());
            self.header[self.header_len..][..taken].copy_from_slice(&chunk[..taken]);
            self.header_len += taken;
            chunk = &chunk[taken..];
            if self.header_len == HEADER {
                let [_, len @ ..] = self.header;
                let len = u32::from_be_bytes(len) as usize;
                if len > bytes_max {
                    return Err(TooLarge { len, max: bytes_max });
                }
                self.header_len = 0;
                self.message_len = len;
                self.message_left = len;
                seen.messages += 1;
                seen.bytes += len as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(lens: &[usize]) -> Vec<u8> {
        let mut body = Vec::new();
        for len in lens {
            body.push(0);
            body.extend_from_slice(&(*len as u32).to_be_bytes());
            body.resize(body.len() + len, 7);
        }
        body
    }

    #[test]
    fn messages_are_counted_however_the_body_is_cut() {
        let body = body(&[3, 0, 300, 1]);
        for size in 1..=body.len() {
            let mut frames = Frames::default();
            let mut all = Seen::default();
            for chunk in body.chunks(size) {
                let seen = frames.feed(chunk, 300).unwrap();
                all.messages += seen.messages;
                all.bytes += seen.bytes;
            }
            assert_eq!(
                all,
                Seen {
                    messages: 4,
                    bytes: 304
                },
                "chunks of {size}"
            );
        }
    }

    #[test]
    fn what_has_begun_and_not_ended_is_known() {
        let body = body(&[3, 0, 300]);
        let mut frames = Frames::default();
        let begun: Vec<usize> = body
            .chunks(1)
            .map(|byte| {
                frames.feed(byte, 300).unwrap();
                frames.begun()
            })
            .collect();
        let expected = (1..8).chain([0]).chain(1..5).chain([0]).chain(1..305).chain([0]);
        assert_eq!(begun, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_large_message_is_refused_as_soon_as_it_is_announced() {
        let error = Frames::default().feed(&[0, 0, 32, 0, 1], 2_097_152).unwrap_err();
        assert_eq!(
            error.to_string(),
            "grpc: received message larger than max (2097153 vs. 2097152)"
        );
        assert!(Frames::default().feed(&[0, 0, 32, 0, 0], 2_097_152).is_ok());
    }
}
