//! Header compression (RFC 7541), as much of it as a gRPC client needs.
//!
//! Requests are sent as ordinary clients send them: headers enter the server's table with the first request of a method,
//! later requests name them by index. Responses are decoded with the dynamic table, but only what says how a call ended
//! is kept.

use super::Failure;
use super::huffman;
use std::collections::VecDeque;

const STATIC_ENTRIES: usize = 61;

/// The least an entry weighs is 32 bytes, and the table is never allowed more than 4096.
const MOST_ENTRIES: usize = 4096 / 32;

/// Writes request headers; one per connection.
pub struct RequestHeaders {
    authority: String,
    /// Paths, and as which entry they were added to the server's table.
    paths: Vec<(&'static str, usize)>,
    /// Entries added.
    added: usize,
}

/// (index in the static table of the name or 0, name, value): what every request says besides its path.
const COMMON: &[(u8, &str, &str)] = &[
    (31, "content-type", "application/grpc"),
    (0, "te", "trailers"),
    (
        58,
        "user-agent",
        concat!("quorate-bench/", env!("CARGO_PKG_VERSION")),
    ),
];

/// Which entries the first request adds: the authority, its path, the common ones.
const AUTHORITY: usize = 0;
const FIRST_COMMON: usize = 2;

impl RequestHeaders {
    pub fn new(authority: &str) -> Self {
        RequestHeaders {
            authority: authority.to_owned(),
            paths: Vec::new(),
            added: 0,
        }
    }

    /// Appends the header block of a request. What begins with a colon has to come first.
    pub fn write(&mut self, path: &'static str, out: &mut Vec<u8>) {
        // :method POST, :scheme http.
        out.extend_from_slice(&[0x83, 0x86]);
        let first = self.added == 0;
        if first {
            literal(1, "", &self.authority, out);
            self.added += 1;
        } else {
            self.indexed(AUTHORITY, out);
        }
        match self.paths.iter().find(|(known, _)| *known == path) {
            Some((_, entry)) => self.indexed(*entry, out),
            None => {
                literal(4, "", path, out);
                self.paths.push((path, self.added));
                self.added += 1;
            }
        }
        for (at, (index, name, value)) in COMMON.iter().enumerate() {
            if first {
                literal(*index, name, value, out);
                self.added += 1;
            } else {
                self.indexed(FIRST_COMMON + at, out);
            }
        }
    }

    /// Refers to an entry by when it was added: the newest has the lowest index.
    fn indexed(&self, entry: usize, out: &mut Vec<u8>) {
        integer(0x80, 7, STATIC_ENTRIES + self.added - entry, out);
    }
}

/// A header that enters the table.
fn literal(static_name: u8, name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(0x40 | static_name);
    if static_name == 0 {
        text(name, out);
    }
    text(value, out);
}

fn text(text: &str, out: &mut Vec<u8>) {
    integer(0, 7, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn integer(pattern: u8, bits: u32, mut value: usize, out: &mut Vec<u8>) {
    let most = (1 << bits) - 1;
    if value < most {
        return out.push(pattern | value as u8);
    }
    out.push(pattern | most as u8);
    value -= most;
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

/// What a header means for a call.
#[derive(Clone, PartialEq, Debug)]
enum Meaning {
    Http(u16),
    Status(u32),
    Message(String),
    Nothing,
}

/// Reads response headers; one per connection.
#[derive(Default)]
pub struct ResponseHeaders {
    /// Newest first. Sizes are not counted: what the server has evicted it does not name, and an entry too many at the
    /// old end moves no index.
    table: VecDeque<(Name, Meaning)>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Name {
    Http,
    Status,
    Message,
    Other,
}

/// How a call ended, as far as one header block says.
#[derive(Default)]
pub struct Ending {
    http: Option<u16>,
    status: Option<u32>,
    message: String,
}

impl Ending {
    /// The result of a call whose last headers these are.
    pub fn result(self) -> Result<(), Failure> {
        match (self.status, self.http) {
            (Some(0), _) => Ok(()),
            (Some(code), _) => Err(Failure {
                code,
                message: self.message,
            }),
            (None, http) => Err(Failure {
                code: 2,
                message: format!("no grpc-status; HTTP status {}", http.unwrap_or_default()),
            }),
        }
    }
}

impl ResponseHeaders {
    /// Reads a whole block; `None` where it breaks the rules.
    pub fn read(&mut self, mut block: &[u8]) -> Option<Ending> {
        let mut ending = Ending::default();
        while let Some(&first) = block.first() {
            let meaning = if first & 0x80 != 0 {
                let index = read_integer(&mut block, 7)?;
                self.entry(index)?.1
            } else if first & 0xe0 == 0x20 {
                read_integer(&mut block, 5)?;
                continue;
            } else {
                let enters = first & 0x40 != 0;
                let index = read_integer(&mut block, if enters { 6 } else { 4 })?;
                let name = match index {
                    0 => match read_text(&mut block)?.as_str() {
                        "grpc-status" => Name::Status,
                        "grpc-message" => Name::Message,
                        ":status" => Name::Http,
                        _ => Name::Other,
                    },
                    _ => self.entry(index)?.0,
                };
                let meaning = meaning(name, read_text(&mut block)?);
                if enters {
                    self.table.push_front((name, meaning.clone()));
                    self.table.truncate(MOST_ENTRIES);
                }
                meaning
            };
            match meaning {
                Meaning::Http(status) => ending.http = Some(status),
                Meaning::Status(code) => ending.status = Some(code),
                Meaning::Message(message) => ending.message = message,
                Meaning::Nothing => {}
            }
        }
        Some(ending)
    }

    fn entry(&self, index: usize) -> Option<(Name, Meaning)> {
        const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        match index {
            0 => None,
            8..=14 => Some((Name::Http, Meaning::Http(STATUSES[index - 8]))),
            1..=STATIC_ENTRIES => Some((Name::Other, Meaning::Nothing)),
            _ => self.table.get(index - STATIC_ENTRIES - 1).cloned(),
        }
    }
}

fn meaning(name: Name, value: String) -> Meaning {
    match name {
        Name::Http => Meaning::Http(value.parse().unwrap_or_default()),
        Name::Status => Meaning::Status(value.parse().unwrap_or(2)),
        Name::Message => Meaning::Message(value.replace("%20", " ")),
        Name::Other => Meaning::Nothing,
    }
}

fn read_integer(block: &mut &[u8], bits: u32) -> Option<usize> {
    let most = (1usize << bits) - 1;
    let (&first, mut rest) = block.split_first()?;
    let mut value = first as usize & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            value += (byte as usize & 127) << shift;
            shift += 7;
            if byte & 128 == 0 {
                break;
            }
            if shift > 28 {
                return None;
            }
        }
    }
    *block = rest;
    Some(value)
}

fn read_text(block: &mut &[u8]) -> Option<String> {
    let compressed = block.first()? & 0x80 != 0;
    let length = read_integer(block, 7)?;
    let (text, rest) = block.split_at_checked(length)?;
    *block = rest;
    Some(match compressed {
        true => huffman::decode(text),
        false => String::from_utf8_lossy(text).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_request_of_a_method_is_a_few_indexes() {
        let mut headers = RequestHeaders::new("localhost:2379");
        let mut out = Vec::new();
        headers.write("/etcdserverpb.KV/Put", &mut out);
        headers.write("/etcdserverpb.KV/Range", &mut out);
        out.clear();
        headers.write("/etcdserverpb.KV/Put", &mut out);
        // Six entries: authority, three common ones, Put, Range; the newest has index 62.
        assert_eq!(
            out,
            [0x83, 0x86, 0x80 | 67, 0x80 | 66, 0x80 | 65, 0x80 | 64, 0x80 | 63]
        );
    }

    #[test]
    fn an_ending_is_found_again_by_its_index() {
        let mut block = vec![0x88];
        literal(0, "grpc-status", "0", &mut block);
        literal(0, "grpc-message", "", &mut block);
        let mut headers = ResponseHeaders::default();
        assert_eq!(headers.read(&block).unwrap().result(), Ok(()));
        assert_eq!(headers.read(&[0x80 | 63, 0x80 | 62]).unwrap().result(), Ok(()));
    }

    #[test]
    fn a_refusal_keeps_its_text() {
        let mut block = Vec::new();
        literal(0, "grpc-status", "11", &mut block);
        literal(0, "grpc-message", "etcdserver:%20mvcc", &mut block);
        let refusal = ResponseHeaders::default().read(&block).unwrap().result();
        assert_eq!(
            refusal.unwrap_err(),
            Failure {
                code: 11,
                message: "etcdserver: mvcc".into()
            }
        );
    }

    #[test]
    fn long_integers_take_several_bytes() {
        let mut out = Vec::new();
        integer(0, 5, 1337, &mut out);
        // RFC 7541, C.1.2.
        assert_eq!(out, [31, 154, 10]);
        assert_eq!(read_integer(&mut &out[..], 5), Some(1337));
    }
}
