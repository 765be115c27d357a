//! How a target divides its bytes, and how seeds are put together.

use bytes::Bytes;

/// Takes an input apart.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// The next byte, as a small number of either sign.
    pub(crate) fn offset(&mut self) -> Option<i64> {
        self.byte().map(|byte| i64::from(byte as i8))
    }

    /// Bytes behind their length in two bytes; fewer where the input ends.
    pub(crate) fn piece(&mut self) -> Option<&'a [u8]> {
        let low = self.byte()?;
        let length = usize::from(u16::from_le_bytes([low, self.byte().unwrap_or(0)]));
        let (piece, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(piece)
    }

    /// As [`Input::piece`].
    pub(crate) fn bytes(&mut self) -> Option<Bytes> {
        self.piece().map(Bytes::copy_from_slice)
    }
}

/// Adds a number in protobuf's form.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Adds a field with a number.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u8, number: u64) {
    if number != 0 {
        out.push(field << 3);
        put_varint(out, number);
    }
}

/// Adds a field with bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
