//! Finds the header blocks in a client's bytes, and has their authorities mended.
//!
//! This is no second judge of HTTP/2. Whatever is odd or too long is passed on as it came, for the library to refuse
//! in its own way; the filter itself has no errors, and holds back one frame at most.

use super::block;

/// What a client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes before a frame's payload: length (3), type, flags, stream.
const HEAD: usize = 9;
/// Longest payload a client may send: HTTP/2's default, which the server does not raise.
const PAYLOAD_MAX: usize = 16 * 1024;

const HEADERS: u8 = 1;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
/// Bytes that [`PRIORITY`] puts before the block.
const PRIORITY_LEN: usize = 5;

/// Where in the client's bytes the filter is.
enum Place {
    /// In the preface, so many bytes of it seen.
    Preface(usize),
    /// In a frame that is held back: any up to its head, and then one of headers.
    Frame,
    /// In a payload that is passed on, so many bytes of it left.
    Payload(usize),
    /// In what is none of the filter's business, for good.
    Rest,
}

/// Takes a connection's bytes in pieces of any size, and gives them back with good authorities.
pub(super) struct Filter {
    place: Place,
    /// The first block had to be mended, so others will.
    mending: bool,
    held: Vec<u8>,
    output: Vec<u8>,
    consumed: usize,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter {
            place: Place::Preface(0),
            mending: false,
            held: Vec::new(),
            output: Vec::new(),
            consumed: 0,
        }
    }
}

impl Filter {
    /// Bytes to be handed over next.
    pub fn output(&self) -> &[u8] {
        &self.output[self.consumed..]
    }

    /// Says how many bytes of the output were handed over.
    pub fn consume(&mut self, len: usize) {
        self.consumed += len;
        if self.consumed == self.output.len() {
            self.output.clear();
            self.consumed = 0;
        }
    }

    /// True once all that was fed is handed over, and nothing that may follow would be changed.
    pub fn is_done(&self) -> bool {
        matches!(self.place, Place::Rest) && self.output.is_empty()
    }

    /// Takes the client's next bytes.
    pub fn feed(&mut self, mut input: &[u8]) {
        while !input.is_empty() {
            match &mut self.place {
                Place::Preface(seen) => {
                    let taken = (PREFACE.len() - *seen).min(input.len());
                    if input[..taken] != PREFACE[*seen..][..taken] {
                        self.place = Place::Rest;
                        continue;
                    }
                    *seen += taken;
                    if *seen == PREFACE.len() {
                        self.place = Place::Frame;
                    }
                    self.output.extend_from_slice(&input[..taken]);
                    input = &input[taken..];
                }
                Place::Frame => {
                    let wanted = match payload_len(&self.held) {
                        None => HEAD,
                        Some(len) => HEAD + len,
                    };
                    let taken = (wanted - self.held.len()).min(input.len());
                    self.held.extend_from_slice(&input[..taken]);
                    input = &input[taken..];
                    self.look_at_frame();
                }
                Place::Payload(left) => {
                    let taken = (*left).min(input.len());
                    *left -= taken;
                    if *left == 0 {
                        self.place = Place::Frame;
                    }
                    self.output.extend_from_slice(&input[..taken]);
                    input = &input[taken..];
                }
                Place::Rest => {
                    self.output.extend_from_slice(input);
                    return;
                }
            }
        }
    }

    /// Decides what becomes of the frame that is held back, once enough of it is there.
    fn look_at_frame(&mut self) {
        let Some(len) = payload_len(&self.held) else {
            return;
        };
        if self.held[3] != HEADERS {
            self.place = match len {
                0 => Place::Frame,
                len => Place::Payload(len),
            };
        } else if len > PAYLOAD_MAX {
            self.place = Place::Rest;
        } else if self.held.len() == HEAD + len {
            self.mending |= mend(&mut self.held);
            if !self.mending {
                self.place = Place::Rest;
            }
        } else {
            return;
        }
        self.output.append(&mut self.held);
    }
}

/// What the head of a frame says, if all of it is there.
fn payload_len(frame: &[u8]) -> Option<usize> {
    match frame {
        [a, b, c, ..] if frame.len() >= HEAD => Some(u32::from_be_bytes([0, *a, *b, *c]) as usize),
        _ => None,
    }
}

/// Mends the authority in a whole frame of headers, which never grows by it. False if there was nothing to do.
///
/// A block may go on in other frames. They are left alone: the pseudo-headers stand first in a block, and an
/// authority that 16 KiB have no room for is nothing that clients send.
fn mend(frame: &mut Vec<u8>) -> bool {
    let flags = frame[4];
    let (mut start, mut end) = (HEAD, frame.len());
    if flags & PADDED != 0 {
        let padding = frame.get(start).map_or(0, |len| usize::from(*len));
        start += 1;
        end = end.saturating_sub(padding);
    }
    if flags & PRIORITY != 0 {
        start += PRIORITY_LEN;
    }
    let Some((value, mended)) = frame.get(start..end).and_then(block::mend) else {
        return false;
    };
    frame.splice(start + value.start..start + value.end, mended);
    let [_, len @ ..] = ((frame.len() - HEAD) as u32).to_be_bytes();
    frame[..3].copy_from_slice(&len);
    true
}
