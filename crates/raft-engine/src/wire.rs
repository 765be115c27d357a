//! Protobuf wire format, as far as raft's messages need it.
//!
//! Bytes from peers and from the log are read here and not with the protobuf 2 library that the `raft` crate links:
//! its decoder recurses without bound on nested groups of unknown fields (RUSTSEC-2024-0437), and copies payloads.

use bytes::{Buf, Bytes};

/// Why bytes are not the message they should be.
pub(crate) type Malformed = &'static str;

/// A field as it stands on the wire.
pub(crate) enum Value {
    Varint(u64),
    Bytes(Bytes),
    /// A fixed-width field; none of ours are.
    Other,
}

impl Value {
    pub(crate) fn number(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err("number field of another wire type"),
        }
    }

    pub(crate) fn flag(self) -> Result<bool, Malformed> {
        Ok(self.number()? != 0)
    }

    pub(crate) fn bytes(self) -> Result<Bytes, Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err("bytes field of another wire type"),
        }
    }
}

/// Reads the fields of one message. Payloads are slices of the input, not copies.
pub(crate) struct Fields {
    rest: Bytes,
}

impl Fields {
    pub(crate) fn new(message: Bytes) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = u32::try_from(tag >> 3).map_err(|_| "field number out of range")?;
        if field == 0 {
            return Err("field number 0");
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| "length out of range")?;
                if length > self.rest.len() {
                    return Err("length beyond the end");
                }
                Value::Bytes(self.rest.split_to(length))
            }
            5 => self.skip(4)?,
            _ => return Err("group or unknown wire type"),
        };
        Ok(Some((field, value)))
    }

    fn skip(&mut self, count: usize) -> Result<Value, Malformed> {
        if count > self.rest.len() {
            return Err("fixed field beyond the end");
        }
        self.rest.advance(count);
        Ok(Value::Other)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (position, &byte) in self.rest.iter().take(10).enumerate() {
            if position == 9 && byte > 1 {
                return Err("varint out of range");
            }
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                self.rest.advance(position + 1);
                return Ok(value);
            }
        }
        Err("varint does not end")
    }
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a number field, also when it is 0.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field << 3));
    put_varint(out, value);
}

/// Appends a bytes field.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    put_varint(out, u64::from(field << 3 | 2));
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_were_put() {
        let mut out = Vec::new();
        put_number(&mut out, 1, u64::MAX);
        put_bytes(&mut out, 15, b"abc");
        put_number(&mut out, 16, 0);
        let mut fields = Fields::new(out.into());
        let (field, value) = fields.next().unwrap().unwrap();
        assert_eq!((field, value.number()), (1, Ok(u64::MAX)));
        let (field, value) = fields.next().unwrap().unwrap();
        assert_eq!((field, value.bytes().unwrap()), (15, Bytes::from_static(b"abc")));
        let (field, value) = fields.next().unwrap().unwrap();
        assert_eq!((field, value.flag()), (16, Ok(false)));
        assert!(fields.next().unwrap().is_none());
    }

    #[test]
    fn groups_and_lengths_beyond_the_end_are_refused() {
        for bytes in [
            &[0x0b][..],
            &[0x0c],
            &[0x0a, 5, 1],
            &[0x80],
            &[0x09, 1],
            &[0x00],
            &[0xff; 11],
        ] {
            assert!(
                Fields::new(Bytes::copy_from_slice(bytes)).next().is_err(),
                "{bytes:?}"
            );
        }
    }
}
