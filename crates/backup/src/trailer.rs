//! The SHA-256 that ends a snapshot file.

use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

const HASH_BYTES: usize = 32;
/// Pages have a multiple of this many bytes; what is more by the length of a hash has one.
const SECTOR_BYTES: u64 = 512;
const BUFFER_BYTES: usize = 1 << 20;

/// Checks the bytes of a snapshot file against the hash behind them; reads all of it.
///
/// Fails if they differ, or if there is no hash: a database that was copied has none.
pub fn verify_hash(file: &mut File) -> Result<()> {
    let len = file.metadata().map_err(Error::Read)?.len();
    if len % SECTOR_BYTES != HASH_BYTES as u64 {
        return Err(Error::NoHash);
    }
    file.seek(SeekFrom::Start(0)).map_err(Error::Read)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut rest = len - HASH_BYTES as u64;
    while rest > 0 {
        let take = rest.min(BUFFER_BYTES as u64) as usize;
        file.read_exact(&mut buffer[..take]).map_err(Error::Read)?;
        hash.update(&buffer[..take]);
        rest -= take as u64;
    }
    let mut expected = [0; HASH_BYTES];
    file.read_exact(&mut expected).map_err(Error::Read)?;
    let found: [u8; HASH_BYTES] = hash.finalize().into();
    match found == expected {
        true => Ok(()),
        false => Err(Error::Hash { expected, found }),
    }
}
