//! Cuts a body that comes in pieces into the JSON objects in it.

use bytes::{Bytes, BytesMut};
use std::fmt;

/// Where in the objects a body is. Each byte is looked at once, however it arrives.
pub(super) struct Splitter {
    buffer: BytesMut,
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    bytes_max: usize,
}

/// Why there is no further object in a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Error {
    /// Something between objects that is neither blank nor an object.
    NoObject,
    /// An object of more bytes than this.
    TooLarge(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoObject => f.write_str("the body must be a sequence of JSON objects"),
            Error::TooLarge(max) => write!(f, "an object of the body is larger than {max} bytes"),
        }
    }
}

impl Splitter {
    /// For objects of at most this many bytes.
    pub fn new(bytes_max: usize) -> Splitter {
        Splitter {
            buffer: BytesMut::new(),
            scanned: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            bytes_max,
        }
    }

    /// Takes the next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next object that is complete. Whether it is valid inside is for others to find out.
    pub fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(byte) = self.buffer.get(self.scanned).copied() {
            self.scanned += 1;
            if self.scanned > self.bytes_max {
                return Err(Error::TooLarge(self.bytes_max));
            }
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' if self.depth > 0 => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' => self.depth += 1,
                b'}' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let object = self.buffer.split_to(self.scanned).freeze();
                        self.scanned = 0;
                        return Ok(Some(object));
                    }
                }
                _ if self.depth > 0 => {}
                _ if byte.is_ascii_whitespace() => {
                    let _ = self.buffer.split_to(self.scanned);
                    self.scanned = 0;
                }
                _ => return Err(Error::NoObject),
            }
        }
        Ok(None)
    }

    /// Whether an object has begun that has not ended.
    pub fn is_inside(&self) -> bool {
        self.depth > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &str, size: usize) -> Result<Vec<String>, Error> {
        let mut splitter = Splitter::new(100);
        let mut objects = Vec::new();
        for piece in body.as_bytes().chunks(size) {
            splitter.push(piece);
            while let Some(object) = splitter.next()? {
                objects.push(String::from_utf8(object.to_vec()).unwrap());
            }
        }
        assert!(!splitter.is_inside());
        Ok(objects)
    }

    #[test]
    fn objects_are_found_however_the_body_arrives() {
        let body = "\n{\"a\":{\"b\":\"}\\\"{\\\\\"}} {}\r\n{\"c\":[{}]}{\"d\":1}\n";
        for size in 1..=body.len() {
            assert_eq!(
                split(body, size).unwrap(),
                [
                    "{\"a\":{\"b\":\"}\\\"{\\\\\"}}",
                    "{}",
                    "{\"c\":[{}]}",
                    "{\"d\":1}"
                ]
            );
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert_eq!(split("[]", 1), Err(Error::NoObject));
        assert_eq!(split("{} 5", 1), Err(Error::NoObject));
        assert_eq!(split("}", 1), Err(Error::NoObject));
        assert_eq!(
            split(&format!("{{\"a\":\"{}\"}}", "x".repeat(200)), 7),
            Err(Error::TooLarge(100))
        );
    }
}
