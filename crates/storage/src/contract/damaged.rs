//! Files that do not say any more what was written into them.

use super::Engine;
use crate::backend::{Backend, Result};
use crate::{Batch, Family};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::Unbounded;
use std::path::{Path, PathBuf};

const ROUNDS: u32 = 6;
const ROWS: u32 = 120;

/// What became of the damages.
#[derive(Debug, Default)]
struct Outcomes {
    refused_to_open: u32,
    refused_to_read: u32,
    harmless: u32,
    earlier: u32,
}

/// Damages a store file by file, several places of each, `trials` in all: a bit flips, the file loses its end, or it is
/// gone. Whoever opens the store after that must be told, by then or when what is damaged is read; or nothing is missing
/// (files may hold what nobody needs any more); or the store is whole, at an earlier batch, as after a crash. No read may
/// show anything else. `DAMAGES` in the environment is taken in place of `trials`.
///
/// # Panics
/// When the engine tells something that never was. Prints which damage.
pub fn damaged(engine: &dyn Engine, scratch: &Path, trials: u32) {
    let trials = std::env::var("DAMAGES").map_or(trials, |text| text.parse().expect("DAMAGES is a number"));
    let original = scratch.join("store");
    let states = write(engine, &original);
    let last = states.last().expect("something was written");
    let files = files(&original);
    let mut outcomes: BTreeMap<String, Outcomes> = BTreeMap::new();
    let mut chance = 0x9e37_79b9_7f4a_7c15u64;
    for trial in 0..trials {
        let file = &files[trial as usize % files.len()];
        let image = scratch.join("image");
        copy(&original, &image);
        let damage = damage(&image.join(file), trial / files.len() as u32, &mut chance);
        let story = format!("{}: {damage}", file.display());
        println!("{story}");
        let outcome = outcomes.entry(kind(file)).or_default();
        match engine.open(&image) {
            Err(_) => outcome.refused_to_open += 1,
            Ok(store) => match content(&*store) {
                Err(_) => outcome.refused_to_read += 1,
                Ok(found) if found == *last => outcome.harmless += 1,
                Ok(found) if states.contains(&found) => outcome.earlier += 1,
                Ok(_) => panic!("{story}: the store shows what never was"),
            },
        }
        std::fs::remove_dir_all(&image).expect("an image can be removed");
    }
    for (kind, outcome) in outcomes {
        println!("{kind}: {outcome:?}");
    }
}

/// All rows of all families.
type Content = Vec<(Family, Vec<u8>, Vec<u8>)>;

/// Makes a store of some files, and gives what it held after each batch.
fn write(engine: &dyn Engine, dir: &Path) -> Vec<Content> {
    let store = engine.open(dir).expect("a new store");
    let mut states = vec![Vec::new()];
    for round in 1..=ROUNDS {
        let mut batch = Batch::new();
        for family in Family::ALL {
            batch.put(family, "round", round.to_string());
            for row in (0..ROWS).filter(|row| row % round == 0) {
                let key = format!("row/{row:05}");
                match (row + round) % 7 {
                    0 => batch.delete(family, key),
                    _ => batch.put(family, key, format!("{round}/{row}/").repeat(round as usize)),
                }
            }
        }
        batch.delete_range(
            Family::Log,
            format!("row/{round:05}"),
            format!("row/{:05}", round + 3),
        );
        store.write(batch).expect("a write");
        states.push(content(&*store).expect("a sound store"));
        if round % 2 == 0 {
            store.flush().expect("a flush");
        }
        if round == 4 {
            store.reclaim().expect("space is given back");
        }
    }
    states
}

/// Everything, read in both directions and key by key.
fn content(store: &dyn Backend) -> Result<Content> {
    let snapshot = store.snapshot()?;
    let mut all = Vec::new();
    for family in Family::ALL {
        let mut rows = Vec::new();
        let mut cursor = snapshot.scan(family, (Unbounded, Unbounded))?;
        while let Some((key, value)) = cursor.next()? {
            rows.push((family, key.to_vec(), value.to_vec()));
        }
        let mut back = Vec::new();
        let mut cursor = snapshot.scan(family, (Unbounded, Unbounded))?;
        while let Some((key, value)) = cursor.prev()? {
            back.push((family, key.to_vec(), value.to_vec()));
        }
        back.reverse();
        assert!(rows == back, "{family:?} is another one backwards");
        let keys: BTreeSet<Vec<u8>> = (0..ROWS)
            .map(|row| format!("row/{row:05}").into_bytes())
            .collect();
        for key in keys {
            let found = store.get(family, &key)?;
            let scanned = rows.iter().find(|(_, scanned, _)| *scanned == key);
            assert!(
                found.as_deref() == scanned.map(|(_, _, value)| value.as_slice()),
                "{family:?} has another {key:?} when asked for it"
            );
        }
        all.extend(rows);
    }
    Ok(all)
}

/// Paths of all files below a directory, without it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => dirs.push(path),
                false => found.push(path.strip_prefix(dir).expect("below it").to_owned()),
            }
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a directory for an image");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}

/// Damages a file, in another way each time.
fn damage(path: &Path, time: u32, chance: &mut u64) -> String {
    let mut bytes = std::fs::read(path).expect("a file");
    *chance = chance
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    let random = (*chance >> 20) as usize;
    match time {
        0 => {
            std::fs::remove_file(path).expect("a file can go");
            return "gone".to_owned();
        }
        _ if bytes.is_empty() => return "empty, as it was".to_owned(),
        1 => {
            bytes.truncate(random % bytes.len());
            std::fs::write(path, &bytes).expect("a write");
            return format!("cut to {} bytes", bytes.len());
        }
        _ => {}
    }
    // Zeros behind the end of what was written are the larger part of some files, and none of the interesting one.
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(bytes.len(), |last| last + 1);
    let (at, bit) = (random % end, random / end % 8);
    bytes[at] ^= 1 << bit;
    std::fs::write(path, &bytes).expect("a write");
    format!("bit {bit} of byte {at} of {}", bytes.len())
}

/// What files of a sort have in common: the name without numbers.
fn kind(path: &Path) -> String {
    let text = path.display().to_string();
    text.replace(|character: char| character.is_ascii_digit(), "")
}
