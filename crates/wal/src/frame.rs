//! One record as bytes: etcd's frame, and two fields more.
//!
//! etcd's frame is a length and a protobuf message of type, sum and data; its sum runs over the data of all records
//! but covers neither length nor type, and alone it cannot tell a record from what an earlier life of the file left.
//! The fields added, which etcd's readers skip as unknown, close these gaps: a sum over everything but the data, salted
//! with the place the frame stands in, and how much before the frame was not yet durable when it was written.

/// Length field in front of each record; records are padded to a multiple of it, so that none is torn.
pub(crate) const ALIGN: usize = 8;

/// First bytes of each field, in the order in which they are written: protobuf's field number and wire type.
const TYPE: u8 = 1 << 3;
const CRC: u8 = 2 << 3;
const DATA: u8 = 3 << 3 | 2;
const UNSYNCED: u8 = 14 << 3;
const CHECK: u8 = 15 << 3 | 5;

/// What a record is about; the numbers are etcd's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Metadata = 1,
    Entry = 2,
    State = 3,
    /// First in each segment: carries the sum over all data before, so that the chain goes on.
    Crc = 4,
    Marker = 5,
}

impl Kind {
    fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Metadata,
            2 => Self::Entry,
            3 => Self::State,
            4 => Self::Crc,
            5 => Self::Marker,
            _ => return None,
        })
    }
}

/// Sum over the place of a segment: its number, and the chain at its start. A frame of another segment, or of what was
/// in a recycled file before, does not fit it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Salt(u32);

impl Salt {
    pub(crate) fn new(sequence: u64, chain: u32) -> Self {
        Self(crc32c::crc32c_append(chain, &sequence.to_le_bytes()))
    }

    /// `header` is the frame's length field and the record without data, check and padding.
    fn check(self, offset: u64, header: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &offset.to_le_bytes()), header)
    }
}

/// Appends frames to a buffer that is written at one place of a segment.
pub(crate) struct Encoder {
    pub(crate) buf: Vec<u8>,
    /// Running sum over the data of all records.
    pub(crate) chain: u32,
    pub(crate) salt: Salt,
    /// Where in the segment the buffer begins.
    pub(crate) start: u64,
    /// Up to where the segment is known to be durable.
    pub(crate) synced: u64,
}

impl Encoder {
    /// Where the next frame begins.
    pub(crate) fn offset(&self) -> u64 {
        self.start + self.buf.len() as u64
    }

    /// Adds one record. Its data is the concatenation of both parts, which saves joining them first.
    pub(crate) fn push(&mut self, kind: Kind, head: &[u8], body: &[u8]) {
        let offset = self.offset();
        let at = self.buf.len();
        self.chain = crc32c::crc32c_append(crc32c::crc32c_append(self.chain, head), body);

        self.buf.extend_from_slice(&[0; ALIGN]);
        self.buf.extend_from_slice(&[TYPE, kind as u8, CRC]);
        put_varint(&mut self.buf, self.chain.into());
        let bytes = head.len() + body.len();
        let with_data = kind != Kind::Crc;
        if with_data {
            self.buf.push(DATA);
            put_varint(&mut self.buf, bytes as u64);
        }
        let data_at = self.buf.len();
        self.buf.push(UNSYNCED);
        put_varint(&mut self.buf, offset - self.synced);
        let header_end = self.buf.len();

        // The sum is taken while all it covers lies in one piece; the data then goes in between.
        let record = header_end - at - ALIGN + bytes + 1 + 4;
        let padding = record.next_multiple_of(ALIGN) - record;
        let mut length = record as u64;
        if padding > 0 {
            length |= (0x80 | padding as u64) << 56;
        }
        self.buf[at..at + ALIGN].copy_from_slice(&length.to_le_bytes());
        let check = self.salt.check(offset, &self.buf[at..header_end]);

        let mut trailer = [0; 24];
        let trailer_bytes = header_end - data_at;
        trailer[..trailer_bytes].copy_from_slice(&self.buf[data_at..header_end]);
        trailer[trailer_bytes] = CHECK;
        trailer[trailer_bytes + 1..trailer_bytes + 5].copy_from_slice(&check.to_le_bytes());
        self.buf.truncate(data_at);
        self.buf.extend_from_slice(head);
        self.buf.extend_from_slice(body);
        // What follows the five bytes of the sum is still zero: the padding.
        self.buf
            .extend_from_slice(&trailer[..trailer_bytes + 5 + padding]);
    }
}

/// A frame that could be parsed; whether its sums are right is for the caller to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) crc: u32,
    pub(crate) data: &'a [u8],
    /// Bytes before the frame that were not durable when it was written, and the sum; `None` in a file made by etcd.
    pub(crate) seal: Option<Seal>,
    /// Length with length field and padding.
    pub(crate) bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seal {
    pub(crate) unsynced: u64,
    check: u32,
    /// The sum over the header, unsalted parts only; kept since data lies in between.
    header: HeaderBytes,
}

/// Length field, type, sum, data's length and `unsynced`: at most 8 + 2 + 6 + 11 + 11 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct HeaderBytes {
    bytes: [u8; 40],
    len: usize,
}

/// Why there is no frame at an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// A zero length, or exactly the end of the file.
    End,
    /// It would reach beyond the file.
    Short,
    /// It is no record. Gives the number of bytes that the frame takes, if its length is to be believed.
    Malformed(usize),
}

impl<'a> Frame<'a> {
    /// Reads the frame at the start of `bytes`, which reach to the end of the file.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let Some((length, rest)) = bytes.split_first_chunk::<ALIGN>() else {
            return Err(if bytes.iter().all(|byte| *byte == 0) {
                Fault::End
            } else {
                Fault::Short
            });
        };
        let length = u64::from_le_bytes(*length);
        if length == 0 {
            return Err(Fault::End);
        }
        let record = length & ((1 << 56) - 1);
        let top = (length >> 56) as usize;
        let padding = if top & 0x80 == 0 { 0 } else { top & 0x7 };
        if record > rest.len() as u64 || record as usize + padding > rest.len() {
            return Err(Fault::Short);
        }
        let (record, padded) = (record as usize, record as usize + padding);
        let total = ALIGN + padded;
        let top_is_sound = top == 0 || (top & !0x7 == 0x80 && padding != 0);
        if !top_is_sound || padded % ALIGN != 0 || rest[record..padded].iter().any(|byte| *byte != 0) {
            return Err(Fault::Malformed(total));
        }
        Self::parse_record(&bytes[..ALIGN + record], total).ok_or(Fault::Malformed(total))
    }

    /// Strict: each field once and in order, for then a flipped bit in a tag cannot pass for a field that is missing.
    fn parse_record(bytes: &'a [u8], total: usize) -> Option<Self> {
        let mut at = ALIGN;
        if *bytes.get(at)? != TYPE {
            return None;
        }
        at += 1;
        let kind = Kind::from_number(get_varint(bytes, &mut at)?)?;
        if *bytes.get(at)? != CRC {
            return None;
        }
        at += 1;
        let crc = u32::try_from(get_varint(bytes, &mut at)?).ok()?;
        let mut data: &[u8] = &[];
        let mut header_end = at;
        if bytes.get(at) == Some(&DATA) {
            at += 1;
            let length = usize::try_from(get_varint(bytes, &mut at)?).ok()?;
            header_end = at;
            data = bytes.get(at..at.checked_add(length)?)?;
            at += length;
        }
        if at == bytes.len() {
            return Some(Self {
                kind,
                crc,
                data,
                seal: None,
                bytes: total,
            });
        }
        let trailer = at;
        if bytes[at] != UNSYNCED {
            return None;
        }
        at += 1;
        let unsynced = get_varint(bytes, &mut at)?;
        let mut header = HeaderBytes {
            bytes: [0; 40],
            len: header_end + at - trailer,
        };
        header
            .bytes
            .get_mut(..header_end)?
            .copy_from_slice(&bytes[..header_end]);
        header
            .bytes
            .get_mut(header_end..header.len)?
            .copy_from_slice(&bytes[trailer..at]);
        if *bytes.get(at)? != CHECK {
            return None;
        }
        let check = u32::from_le_bytes(bytes.get(at + 1..)?.try_into().ok()?);
        Some(Self {
            kind,
            crc,
            data,
            seal: Some(Seal {
                unsynced,
                check,
                header,
            }),
            bytes: total,
        })
    }
}

impl Seal {
    /// Whether the frame was written at this place of this segment, and is as it was written but for its data.
    pub(crate) fn fits(&self, salt: Salt, offset: u64) -> bool {
        salt.check(offset, &self.header.bytes[..self.header.len]) == self.check && self.unsynced <= offset
    }
}

/// Appends a protobuf variable-length number.
pub(crate) fn put_varint(buf: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buf.push(value as u8 | 0x80);
        value >>= 7;
    }
    buf.push(value as u8);
}

/// Reads a protobuf variable-length number and moves `at` behind it.
pub(crate) fn get_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(records: &[(Kind, &[u8])]) -> (Vec<u8>, Salt) {
        let salt = Salt::new(7, 0);
        let mut encoder = Encoder {
            buf: Vec::new(),
            chain: 0,
            salt,
            start: 0,
            synced: 0,
        };
        for (kind, data) in records {
            encoder.push(*kind, &data[..data.len() / 2], &data[data.len() / 2..]);
        }
        (encoder.buf, salt)
    }

    #[test]
    fn a_frame_reads_back() {
        for bytes in [0, 1, 2, 7, 8, 100, 127, 128, 20_000] {
            let data = vec![b'x'; bytes];
            let (buf, salt) = encode(&[(Kind::Crc, b""), (Kind::Entry, &data)]);
            let first = Frame::parse(&buf).expect("crc");
            assert_eq!((first.kind, first.crc, first.data), (Kind::Crc, 0, &b""[..]));
            let frame = Frame::parse(&buf[first.bytes..]).expect("entry");
            assert_eq!((frame.kind, frame.data), (Kind::Entry, &data[..]));
            assert_eq!(frame.crc, crc32c::crc32c(&data));
            assert_eq!(first.bytes + frame.bytes, buf.len());
            assert_eq!(frame.bytes % ALIGN, 0);
            let seal = frame.seal.expect("seal");
            assert_eq!(seal.unsynced, first.bytes as u64);
            assert!(seal.fits(salt, first.bytes as u64));
            for elsewhere in [0, first.bytes as u64 + 8] {
                assert!(!seal.fits(salt, elsewhere), "elsewhere in the segment");
            }
            assert!(!seal.fits(Salt::new(8, 0), first.bytes as u64), "another segment");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (buf, salt) = encode(&[(Kind::Entry, b"some data of a record")]);
        for bit in 0..buf.len() * 8 {
            let mut damaged = buf.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(frame) = Frame::parse(&damaged) {
                let sound = frame.seal.is_some_and(|seal| seal.fits(salt, 0));
                assert!(!sound || crc32c::crc32c(frame.data) != frame.crc, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_frame_without_seal_is_etcds() {
        // 8 bytes length with 5 of padding, type 2, sum of "abc", data "abc".
        let crc = crc32c::crc32c(b"abc");
        let mut record = vec![TYPE, 2, CRC];
        put_varint(&mut record, crc.into());
        record.extend_from_slice(&[DATA, 3, b'a', b'b', b'c']);
        let padding = record.len().next_multiple_of(8) - record.len();
        let length = record.len() as u64 | (0x80 | padding as u64) << 56;
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(&record);
        bytes.extend_from_slice(&vec![0; padding]);
        let frame = Frame::parse(&bytes).expect("frame");
        assert_eq!(
            (frame.kind, frame.crc, frame.data, frame.seal),
            (Kind::Entry, crc, &b"abc"[..], None)
        );
    }

    #[test]
    fn no_input_panics() {
        let (buf, _) = encode(&[(Kind::Entry, b"some data of a record")]);
        for cut in 0..buf.len() {
            assert!(Frame::parse(&buf[..cut]).is_err());
        }
        for length in [u64::MAX, 1 << 55, 1, 0x80 << 56, 0x87 << 56 | 9] {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.extend_from_slice(&[0xff; 64]);
            assert!(Frame::parse(&bytes).is_err(), "{length:x}");
        }
    }
}
