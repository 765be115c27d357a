//! A store in memory as one file, so that a member without files can still send and take a snapshot.
//!
//! ```text
//! magic "quorate-rows\0\0\0\1"
//! per family:  name length u8, name, rows u64
//! per row:     key length u32, value length u32, key, value     in order of keys
//! CRC-32C of all before, u32                                    integers are little endian
//! ```

use super::Forest;
use crate::Family;
use crate::backend::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

const MAGIC: [u8; 16] = *b"quorate-rows\0\0\0\x01";
const NAME: &str = "rows";

/// Writes `forest` into the new directory `dir`, durably.
pub fn write(dir: &Path, forest: &Forest) -> Result<()> {
    try_write(dir, forest)
        .map_err(|e| Error::Engine(format!("cannot write a copy to {}: {e}", dir.display())))
}

fn try_write(dir: &Path, forest: &Forest) -> io::Result<()> {
    fs::create_dir(dir)?;
    let file = File::create_new(dir.join(NAME))?;
    let mut out = Summing {
        out: BufWriter::with_capacity(1 << 20, file),
        sum: 0,
    };
    out.write_all(&MAGIC)?;
    for family in Family::ALL {
        let name = family.name().as_bytes();
        let tree = forest.tree(family);
        let rows = || {
            let mut walk = tree.walk();
            std::iter::from_fn(move || walk.next())
        };
        out.write_all(&[name.len() as u8])?;
        out.write_all(name)?;
        out.write_all(&(rows().count() as u64).to_le_bytes())?;
        for row in rows() {
            out.write_all(&length(row.key())?.to_le_bytes())?;
            out.write_all(&length(row.value())?.to_le_bytes())?;
            out.write_all(row.key())?;
            out.write_all(row.value())?;
        }
    }
    let sum = out.sum;
    out.write_all(&sum.to_le_bytes())?;
    out.out.into_inner()?.sync_all()?;
    File::open(dir)?.sync_all()?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn length(bytes: &[u8]) -> io::Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| io::Error::other("a row of 4 GiB or more"))
}

/// Reads what [`write`] wrote. An empty or missing directory is an empty store.
pub fn read(dir: &Path) -> Result<Forest> {
    let open = |reason: String| Error::Open {
        path: dir.display().to_string(),
        reason,
    };
    let bytes = match fs::read(dir.join(NAME)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
                Ok(false) => Err(open("it holds files of something else".to_owned())),
                Ok(true) => Ok(Forest::default()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Forest::default()),
                Err(e) => Err(open(e.to_string())),
            };
        }
        Err(e) => return Err(open(e.to_string())),
    };
    let damaged = || Error::Corrupt(format!("{}", dir.join(NAME).display()));
    if bytes.get(..MAGIC.len()).is_none_or(|magic| magic != MAGIC) {
        return Err(open(
            "not a copy of a store, or one of an unknown version".to_owned(),
        ));
    }
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
        return Err(damaged());
    }
    parse(&body[MAGIC.len()..]).ok_or_else(damaged)
}

fn parse(mut bytes: &[u8]) -> Option<Forest> {
    let mut forest = Forest::default();
    let rest = &mut bytes;
    while !rest.is_empty() {
        let [name_len] = array(rest)?;
        let name = take(rest, name_len as usize)?;
        let family = Family::ALL
            .into_iter()
            .find(|family| family.name().as_bytes() == name)?;
        for _ in 0..u64::from_le_bytes(array(rest)?) {
            let (key_len, value_len) = (u32::from_le_bytes(array(rest)?), u32::from_le_bytes(array(rest)?));
            let (key, value) = (take(rest, key_len as usize)?, take(rest, value_len as usize)?);
            forest.tree_mut(family).insert(key, value);
        }
    }
    Some(forest)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

/// Sums what it passes on.
struct Summing<W> {
    out: W,
    sum: u32,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum = crc32c::crc32c_append(self.sum, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
