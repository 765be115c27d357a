//! HPACK's Huffman code, for text. The code is canonical: the lengths say it all.

/// Bits of the characters from space to tilde (RFC 7541, appendix B).
const LENGTHS: [u8; 95] = [
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13,
];

/// The only other character with a code this short; it comes first among those of 13 bits.
const NUL_LENGTH: u8 = 13;

/// Longer codes belong to bytes that are no text.
const LONGEST: u8 = 15;

/// Decodes text; what is no text ends it.
pub fn decode(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut code = 0u32;
    let mut length = 0;
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
    {
        code = code << 1 | u32::from(bit);
        length += 1;
        if let Some(character) = character(code, length) {
            text.push(character);
            (code, length) = (0, 0);
        } else if length == LONGEST {
            break;
        }
    }
    text
}

/// Codes of one length are consecutive and in the order of their characters; the first follows from the shorter ones.
fn character(code: u32, length: u8) -> Option<char> {
    let mut first = 0u32;
    for shorter in 1..length {
        first = (first + count(shorter)) << 1;
    }
    let place = code.checked_sub(first)?;
    of_length(length).nth(place as usize)
}

fn count(length: u8) -> u32 {
    of_length(length).count() as u32
}

fn of_length(length: u8) -> impl Iterator<Item = char> {
    let nul = (length == NUL_LENGTH).then_some('\0');
    let printable = (b' '..).zip(LENGTHS).filter(move |(_, bits)| *bits == length);
    nul.into_iter().chain(printable.map(|(byte, _)| char::from(byte)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 7541, C.4.1 and C.6.1.
        let example = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        assert_eq!(super::decode(&example), "www.example.com");
        assert_eq!(super::decode(&[0x64, 0x02]), "302");
    }
}
