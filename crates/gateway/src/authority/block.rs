//! The authority in a header block (RFC 7541), and a good one in its place.
//!
//! Only the one value is replaced; the fields around it, and with them their places in the compression's table, stay
//! as they are. The reader of the block enters the mended value into its table where the client entered its own, so
//! that blocks which refer to it later need no change, and nothing has to be remembered here. That holds because the
//! mended value is never longer: the reader keeps each entry at least as long as the client counts on it.

use super::huffman;
use http::uri::Authority;
use std::ops::Range;

const NAME: &[u8] = b":authority";
/// [`NAME`] in the Huffman code, of which each text has but one form.
const NAME_HUFFMAN: &[u8] = &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f];
/// Place of [`NAME`] in the static table.
const NAME_INDEX: usize = 1;

/// Stands for an authority that nothing can be made of. A single byte, which no other can be shorter than.
const UNKNOWN: &[u8] = b"-";

/// What to put where in a block, so that its authority can be parsed. `None` if that would change nothing: the
/// authority is good, missing, or known from an earlier block, or the block is damaged before it.
pub(super) fn mend(block: &[u8]) -> Option<(Range<usize>, Vec<u8>)> {
    let place = find(block)?;
    let value = text(block, place.start)?;
    let mended = if value.huffman {
        let plain = huffman::decode(value.bytes)?;
        string(&huffman::encode(better(&plain)?), true)
    } else {
        string(better(value.bytes)?, false)
    };
    Some((place, mended))
}

/// The part of an authority that is one; `None` if all of it is. Nothing is said of an empty one, in whose place
/// nothing would fit.
fn better(authority: &[u8]) -> Option<&[u8]> {
    let is_good = |text: &[u8]| Authority::try_from(text).is_ok();
    if authority.is_empty() || is_good(authority) {
        return None;
    }
    let after_scheme = authority.windows(3).position(|part| part == b"://");
    let rest = after_scheme.map_or(authority, |at| &authority[at + 3..]);
    let end = rest.iter().position(|byte| b"/?#;,".contains(byte));
    let host = &rest[..end.unwrap_or(rest.len())];
    let in_brackets = host.strip_suffix(b"]");
    [Some(host), in_brackets]
        .into_iter()
        .flatten()
        .find(|host| is_good(host))
        .or(Some(UNKNOWN))
}

/// The value of the first authority that is spelled out, with its length before it.
fn find(block: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    while let Some(first) = block.get(at) {
        // A field from the table, a new one for the table, a size of the table, a field that stays out of it.
        let (prefix, is_literal) = match first {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let (index, len) = integer(&block[at..], prefix)?;
        at += len;
        if !is_literal {
            continue;
        }
        let mut is_authority = index == NAME_INDEX;
        if index == 0 {
            let name = text(block, at)?;
            is_authority = name.bytes == if name.huffman { NAME_HUFFMAN } else { NAME };
            at = name.end;
        }
        let value = text(block, at)?;
        if is_authority {
            return Some(at..value.end);
        }
        at = value.end;
    }
    None
}

/// A string as it stands in a block.
struct Text<'a> {
    bytes: &'a [u8],
    huffman: bool,
    end: usize,
}

fn text(block: &[u8], at: usize) -> Option<Text<'_>> {
    let rest = block.get(at..)?;
    let (len, prefix) = integer(rest, 7)?;
    Some(Text {
        bytes: rest.get(prefix..)?.get(..len)?,
        huffman: rest[0] & 0x80 != 0,
        end: at + prefix + len,
    })
}

fn string(bytes: &[u8], huffman: bool) -> Vec<u8> {
    const PREFIX_MAX: usize = 0x7f;
    let flag = if huffman { 0x80 } else { 0 };
    let mut string = Vec::with_capacity(bytes.len() + 4);
    if bytes.len() < PREFIX_MAX {
        string.push(flag | bytes.len() as u8);
    } else {
        string.push(flag | PREFIX_MAX as u8);
        let mut rest = bytes.len() - PREFIX_MAX;
        while rest >= 0x80 {
            string.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        string.push(rest as u8);
    }
    string.extend_from_slice(bytes);
    string
}

/// A number whose first bits are the last `prefix` bits of the first byte, and how many bytes it takes. `None` for
/// one that is cut short, or larger than any frame.
fn integer(bytes: &[u8], prefix: u8) -> Option<(usize, usize)> {
    const BYTES_MAX: usize = 3;
    let (first, rest) = bytes.split_first()?;
    let max = 0xff >> (8 - prefix);
    let mut value = usize::from(first & max);
    if value < usize::from(max) {
        return Some((value, 1));
    }
    for (count, byte) in rest.iter().take(BYTES_MAX).enumerate() {
        value += usize::from(byte & 0x7f) << (7 * count);
        if byte & 0x80 == 0 {
            return Some((value, count + 2));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "-";

    fn said(authority: &str) -> Option<&str> {
        better(authority.as_bytes()).map(|better| std::str::from_utf8(better).unwrap())
    }

    #[test]
    fn an_authority_stays_as_it_is() {
        for good in [
            "127.0.0.1:2379",
            "example.com",
            "[::1]:2379",
            "user@example.com:1",
            NONE,
        ] {
            assert_eq!(said(good), None, "{good}");
        }
    }

    #[test]
    fn of_a_url_the_authority_remains() {
        for (url, authority) in [
            ("http://127.0.0.1:2379", "127.0.0.1:2379"),
            ("https://example.com:2379/", "example.com:2379"),
            ("https://[::1]:2379", "[::1]:2379"),
            ("example.com:2379/path", "example.com:2379"),
            ("#initially=[https://example.com:2379]", "example.com:2379"),
            ("#initially=[https://[::1]:2379;https://b:2379]", "[::1]:2379"),
            ("#initially=[https://a:2379;https://b:2379]", "a:2379"),
            ("endpoint://client-1/127.0.0.1:2379", "client-1"),
        ] {
            assert_eq!(said(url), Some(authority));
        }
    }

    #[test]
    fn what_names_no_host_is_unknown() {
        for none in [
            "unix:///run/etcd.sock",
            "/run/etcd.sock",
            "://",
            "a b",
            "]",
            "\u{7f}",
            "http://h:p:q",
        ] {
            assert_eq!(said(none), Some(NONE), "{none}");
        }
        assert_eq!(said(""), None);
    }

    #[test]
    fn strings_of_any_length_are_read_back() {
        for len in [0, 1, 126, 127, 128, 254, 255, 16_383, 16_384, 16_511] {
            let block = string(&vec![b'x'; len], len % 2 == 0);
            let read = text(&block, 0).unwrap();
            assert_eq!((read.bytes.len(), read.huffman), (len, len % 2 == 0));
            assert_eq!(read.end, block.len());
        }
    }

    #[test]
    fn the_name_may_be_spelled_out() {
        let plain = [&[0x00, 10][..], NAME, &[0x04], b"a://"].concat();
        assert_eq!(mend(&plain), Some((12..17, vec![1, b'-'])));
        let huffman = [&[0x10, 0x88][..], NAME_HUFFMAN, &[0x05], b"a://b"].concat();
        assert_eq!(mend(&huffman), Some((10..16, vec![1, b'b'])));
        assert_eq!(huffman::encode(NAME), NAME_HUFFMAN);
    }

    #[test]
    fn numbers_without_end_and_strings_beyond_it_are_left_alone() {
        for block in [
            &[0x41][..],
            &[0x41, 0x7f],
            &[0x41, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x7f, 0xff, 0xff, 0xff, 0x7f],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x40],
            &[0x40, 0x05, b'a'],
            &[0x41, 0x05, b':', b'/', b'/'],
            // Huffman: a code that ends in the middle, and the end mark, which must not be written.
            &[0x41, 0x81, 0x00],
            &[0x41, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(mend(block), None, "{block:02x?}");
        }
    }
}
