//! A look at RocksDB's manifest before RocksDB reads it.
//!
//! Its reader of logs takes manifests for the logs of writes that they share the format with, some of which are written
//! into files of earlier logs and then have records of other types. One such type where the first record was of an
//! ordinary one makes it look at the same record again, for ever: a single bit that flipped would keep a member from
//! starting, without a word (RocksDB 11.8.1, `log::Reader::ReadPhysicalRecord`).

use std::fs;
use std::io;
use std::path::Path;

const BLOCK_BYTES: usize = 32 << 10;
/// Checksum (4), length (2, little endian), type (1).
const HEADER_BYTES: usize = 7;

/// What is wrong with the manifest that the file `CURRENT` names, if a reader of it would not come to an end. All other
/// damage is left to RocksDB, which checks sums.
pub fn unreadable(store: &Path) -> io::Result<Option<String>> {
    let Ok(current) = fs::read_to_string(store.join("CURRENT")) else {
        return Ok(None);
    };
    let path = store.join(current.trim_end());
    if !current.starts_with("MANIFEST-") || !path.is_file() {
        return Ok(None);
    }
    let place = reused_record(&fs::read(&path)?);
    Ok(place.map(|at| format!("{}: the type of the record at byte {at} is wrong", path.display())))
}

/// Where the first record stands whose type says that its file had been another log before, which no manifest's has.
fn reused_record(bytes: &[u8]) -> Option<usize> {
    for (number, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
        let mut at = 0;
        while let Some(&[_, _, _, _, low, high, kind]) = block.get(at..at + HEADER_BYTES) {
            if matches!(kind, 5..=8 | 11 | 131) {
                return Some(number * BLOCK_BYTES + at);
            }
            let length = usize::from(u16::from_le_bytes([low, high]));
            if kind == 0 && length == 0 {
                break;
            }
            at += HEADER_BYTES + length;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, length: u16) -> Vec<u8> {
        let [low, high] = length.to_le_bytes();
        let mut bytes = vec![5, 5, 5, 5, low, high, kind];
        bytes.resize(HEADER_BYTES + usize::from(length), 5);
        bytes
    }

    #[test]
    fn only_types_of_records_are_looked_at() {
        let sound = [record(1, 300), record(1, 0), record(2, 31_000)].concat();
        assert_eq!(reused_record(&sound), None);
        for kind in [5, 6, 7, 8, 11, 131] {
            let damaged = [sound.clone(), record(kind, 9)].concat();
            assert_eq!(reused_record(&damaged), Some(sound.len()), "{kind}");
        }
    }

    #[test]
    fn each_block_is_read_whatever_the_one_before_holds() {
        for first in [vec![0; BLOCK_BYTES], record(1, BLOCK_BYTES as u16 - 7), {
            let mut short = record(1, 32_758);
            short.resize(BLOCK_BYTES, 0);
            short
        }] {
            let damaged = [first, record(1, 20), record(6, 20)].concat();
            assert_eq!(reused_record(&damaged), Some(BLOCK_BYTES + 27));
        }
    }

    #[test]
    fn a_record_that_is_cut_off_ends_the_search() {
        let cut = &record(1, 300)[..200];
        assert_eq!(reused_record(cut), None);
        assert_eq!(reused_record(&cut[..6]), None);
        assert_eq!(reused_record(&[]), None);
    }
}
