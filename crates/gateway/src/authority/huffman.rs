//! The Huffman code of HTTP/2's headers (RFC 7541, appendix B).
//!
//! The code is canonical: codes of one length follow each other in the order of their bytes, after those that are
//! shorter. So the lengths say all.

/// Length of each byte's code in bits.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
const LENGTH_MAX: usize = 30;

static CODE: Code = Code::new();

struct Code {
    /// Each byte's code.
    codes: [u32; 256],
    /// The bytes in the order of their codes.
    bytes: [u8; 256],
    /// How many codes there are of each length.
    counts: [u32; LENGTH_MAX + 1],
}

impl Code {
    const fn new() -> Code {
        let mut code = Code {
            codes: [0; 256],
            bytes: [0; 256],
            counts: [0; LENGTH_MAX + 1],
        };
        let (mut next, mut place, mut length) = (0, 0, 1);
        while length <= LENGTH_MAX {
            next <<= 1;
            let mut byte = 0;
            while byte < 256 {
                if LENGTHS[byte] as usize == length {
                    code.codes[byte] = next;
                    code.bytes[place] = byte as u8;
                    code.counts[length] += 1;
                    next += 1;
                    place += 1;
                }
                byte += 1;
            }
            length += 1;
        }
        code
    }
}

/// The text behind a code. `None` if it is none: a code that no byte has, or padding other than up to seven ones.
pub(super) fn decode(coded: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(coded.len() * 8 / 5);
    // The bits since the last byte, the first code of their number, and how many codes are shorter than that.
    let (mut bits, mut length, mut first, mut shorter) = (0, 0, 0, 0);
    for byte in coded {
        for shift in (0..8).rev() {
            bits = bits << 1 | u32::from(byte >> shift & 1);
            length += 1;
            first <<= 1;
            let count = *CODE.counts.get(length)?;
            if bits - first < count {
                text.push(CODE.bytes[(shorter + bits - first) as usize]);
                (bits, length, first, shorter) = (0, 0, 0, 0);
            } else {
                first += count;
                shorter += count;
            }
        }
    }
    (length < 8 && bits == (1 << length) - 1).then_some(text)
}

/// The code of a text.
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let mut coded = Vec::with_capacity(text.len());
    let (mut bits, mut length) = (0u64, 0);
    for byte in text {
        let byte = usize::from(*byte);
        bits = bits << LENGTHS[byte] | u64::from(CODE.codes[byte]);
        length += LENGTHS[byte];
        while length >= 8 {
            length -= 8;
            coded.push((bits >> length) as u8);
        }
    }
    if length > 0 {
        let padding = 8 - length;
        coded.push((bits << padding) as u8 | ((1 << padding) - 1));
    }
    coded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From RFC 7541, appendix C.
    #[test]
    fn texts_of_the_standard_have_its_codes() {
        for (text, code) in [
            (
                "www.example.com",
                &[
                    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
                ][..],
            ),
            ("no-cache", &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
            (
                "custom-value",
                &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf],
            ),
            ("", &[]),
        ] {
            assert_eq!(encode(text.as_bytes()), code);
            assert_eq!(decode(code).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn every_byte_is_read_back() {
        for byte in 0..=255 {
            for text in [vec![byte], vec![byte, b'a', byte], vec![b'0', byte, byte, byte]] {
                assert_eq!(decode(&encode(&text)), Some(text));
            }
        }
    }

    /// Appendix B ends with it; the codes before it must have come out right.
    #[test]
    fn the_last_code_is_the_one_before_the_end_mark() {
        assert_eq!((LENGTHS[22], CODE.codes[22]), (30, 0x3fff_fffe));
        assert_eq!(CODE.counts.iter().sum::<u32>(), 256);
    }

    #[test]
    fn wrong_padding_and_the_end_mark_are_refused() {
        for wrong in [
            &[0x1e][..],
            &[0x1f, 0xff],
            &[0xff],
            &[0xff, 0xff, 0xff, 0xfc],
            &[0xff; 8],
        ] {
            assert_eq!(decode(wrong), None, "{wrong:02x?}");
        }
        assert_eq!(decode(&[0x1f]).as_deref(), Some(&b"a"[..]));
    }
}
