//! The last 64 KiB of a log: cut, zeroed or garbled from every byte on, sectors of the last group lost, and the same
//! before groups that are known to have been durable. `LOG_DAMAGE=1` looks at every byte instead of a sample.

use crate::util::{METADATA, Random, commit, entry};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wal::{Dir, Entry, Error, MemoryDir, Options, Wal};

const WINDOW: usize = 64 << 10;

fn options() -> Options {
    Options {
        segment_bytes: 128 << 10,
        background: false,
        fsync: true,
    }
}

/// A log of some hundred groups; its file, where each group begins, and the entries.
struct Written {
    name: String,
    bytes: Vec<u8>,
    /// Offset and number of entries before, for each group.
    groups: Vec<(usize, usize)>,
    entries: Vec<Entry>,
    end: usize,
}

fn written() -> Written {
    let dir = MemoryDir::new();
    let mut wal = Wal::create_in(Arc::new(dir.clone()), METADATA, options()).expect("create");
    let mut random = Random(64);
    let (mut groups, mut entries) = (Vec::new(), Vec::<Entry>::new());
    let used = |dir: &MemoryDir| {
        let name = dir.list().expect("list").remove(0);
        let bytes = dir.read(&name).expect("read");
        let end = bytes.iter().rposition(|byte| *byte != 0).expect("something") + 1;
        (name, bytes, end.next_multiple_of(8))
    };
    loop {
        let (name, bytes, end) = used(&dir);
        if end > WINDOW + 4096 {
            return Written {
                name,
                bytes,
                groups,
                entries,
                end,
            };
        }
        groups.push((end, entries.len()));
        let group: Vec<Entry> = (0..1 + random.below(4))
            .map(|n| {
                let data: Vec<u8> = (0..random.below(700)).map(|_| random.next() as u8 | 1).collect();
                entry(entries.len() as u64 + 1 + n, 1, &data)
            })
            .collect();
        commit(&mut wal, &group, b"state").expect("commit");
        entries.extend(group);
    }
}

fn open(log: &Written, bytes: Vec<u8>) -> wal::Result<Vec<Entry>> {
    let dir = MemoryDir::new();
    dir.write(&log.name, bytes);
    Ok(Wal::open_in(Arc::new(dir), options())?.1.entries)
}

/// Calls `check` with every offset, on all processors.
fn everywhere(offsets: Vec<usize>, check: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(at) = offsets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(*at);
                }
            });
        }
    });
}

fn sample(from: usize, to: usize, step: usize) -> Vec<usize> {
    let all = std::env::var_os("LOG_DAMAGE").is_some();
    (from..to).step_by(if all { 1 } else { step }).collect()
}

/// Records that were never written, or in the wrong place, or one too few: what is whole before the place must be there
/// and nothing else.
#[test]
fn what_ends_anywhere_is_read_up_to_there() {
    let log = written();
    let offsets = sample(log.end - WINDOW, log.end, 7);
    let count = offsets.len() * 3;
    everywhere(offsets, |at| {
        let mut random = Random(at as u64);
        // Entries of the groups that end before this place.
        let whole = log.groups.iter().rev().find(|(start, _)| *start <= at);
        let at_least = whole.map_or(0, |(_, before)| *before);
        let mut zeros = log.bytes.clone();
        zeros[at..].fill(0);
        let mut noise = log.bytes.clone();
        noise[at..]
            .iter_mut()
            .for_each(|byte| *byte = random.next() as u8);
        let cases = [
            ("cut", log.bytes[..at].to_vec()),
            ("zeros", zeros),
            ("noise", noise),
        ];
        for (what, bytes) in cases {
            match open(&log, bytes) {
                Ok(entries) => {
                    assert!(
                        entries.len() >= at_least,
                        "{what} at {at}: {} of {at_least}",
                        entries.len()
                    );
                    assert_eq!(entries, log.entries[..entries.len()], "{what} at {at}");
                }
                // Noise over a part of a record whose head is whole may look like damage; that takes nothing away.
                Err(Error::Corrupt { .. }) if what == "noise" => {}
                Err(error) => panic!("{what} at {at}: {error}"),
            }
        }
    });
    println!("{count} ends of a log");
}

/// The last write torn: any of its sectors lost or garbled.
#[test]
fn any_sectors_of_the_last_group_may_be_lost() {
    let dir = MemoryDir::new();
    let mut wal = Wal::create_in(Arc::new(dir.clone()), METADATA, options()).expect("create");
    let durable: Vec<Entry> = (1..=20).map(|index| entry(index, 1, &[7; 200])).collect();
    commit(&mut wal, &durable, b"state").expect("commit");
    let name = dir.list().expect("list").remove(0);
    let before = dir.read(&name).expect("read");
    let group: Vec<Entry> = (21..=60)
        .map(|index| entry(index, 1, &[index as u8; 300]))
        .collect();
    commit(&mut wal, &group, b"later").expect("commit");
    let after = dir.read(&name).expect("read");
    let all = [durable.clone(), group].concat();
    let sectors: Vec<usize> = (0..after.len() / 512)
        .filter(|n| before[n * 512..][..512] != after[n * 512..][..512])
        .collect();
    let rounds = sample(0, 20_000, 4);
    let count = rounds.len();
    everywhere(rounds, |round| {
        let mut random = Random(round as u64);
        let unit = if random.one_in(3) { 8 } else { 1 };
        let mut torn = after.clone();
        let mut lost = false;
        for sector in &sectors {
            if Random((round * 1000 + sector / unit) as u64).one_in(2) {
                torn[sector * 512..][..512].copy_from_slice(&before[sector * 512..][..512]);
                lost = true;
            }
        }
        let dir = MemoryDir::new();
        dir.write(&name, torn);
        let opened = Wal::open_in(Arc::new(dir), options());
        let (_, recovered) = opened.unwrap_or_else(|error| panic!("round {round}: {error}"));
        let found = recovered.entries.len();
        assert!(
            found >= durable.len() && (lost || found == all.len()),
            "round {round}: {found} entries"
        );
        assert_eq!(recovered.entries, all[..found], "round {round}");
    });
    println!("{count} torn groups");
}

/// The same where later groups say that the place had been durable: never cut, always refused, and with what to do.
#[test]
fn damage_before_a_durable_group_is_never_cut_off() {
    let log = written();
    let (last, _) = log.groups[log.groups.len() - 1];
    let offsets = sample(log.end - WINDOW, last - 512, 5);
    let count = offsets.len() * 3;
    everywhere(offsets, |at| {
        let mut random = Random(at as u64);
        let mut cases = Vec::new();
        let mut zeros = log.bytes.clone();
        zeros[at..at + 256].fill(0);
        cases.push(("zeros", zeros));
        let mut noise = log.bytes.clone();
        noise[at..at + 256]
            .iter_mut()
            .for_each(|byte| *byte = random.next() as u8);
        cases.push(("noise", noise));
        let mut flipped = log.bytes.clone();
        flipped[at] ^= 1 << random.below(8);
        cases.push(("a flipped bit", flipped));
        for (what, bytes) in cases {
            if bytes == log.bytes {
                continue;
            }
            match open(&log, bytes) {
                Err(error @ Error::Corrupt { .. }) => {
                    let text = error.to_string();
                    assert!(
                        text.contains("rebuild"),
                        "the message does not say what to do: {text}"
                    );
                }
                Err(error) => panic!("{what} at {at}: {error}"),
                Ok(entries) => panic!("{what} at {at} went unnoticed: {} entries", entries.len()),
            }
        }
    });
    println!("{count} damages in the middle");
}

/// Records of the same log in another place, and a segment of yesterday.
#[test]
fn records_that_are_swapped_and_files_of_yesterday_are_refused() {
    let log = written();
    for pair in log.groups.windows(3) {
        let (a, b, c) = (pair[0].0, pair[1].0, pair[2].0);
        let mut swapped = log.bytes[..a].to_vec();
        swapped.extend_from_slice(&log.bytes[b..c]);
        swapped.extend_from_slice(&log.bytes[a..b]);
        swapped.extend_from_slice(&log.bytes[c..]);
        match open(&log, swapped) {
            Err(Error::Corrupt { .. }) => {}
            // Of the last two groups nothing after them says that they were durable.
            Ok(entries) if c + 2 * 4096 > log.end => assert_eq!(entries, log.entries[..entries.len()]),
            other => panic!(
                "groups at {a} and {b} swapped: {:?}",
                other.map(|entries| entries.len())
            ),
        }
    }

    // A backup of the log's directory of yesterday, of which one file comes back: it does not lead to the next.
    let dir = MemoryDir::new();
    let small = Options {
        segment_bytes: 8192,
        ..options()
    };
    let mut wal = Wal::create_in(Arc::new(dir.clone()), METADATA, small.clone()).expect("create");
    let mut yesterday = Vec::new();
    for index in 1..=200 {
        commit(&mut wal, &[entry(index, 1, &[index as u8; 150])], b"state").expect("commit");
        if index == 100 {
            let mut names = dir.list().expect("list");
            names.sort();
            let name = names
                .into_iter()
                .rfind(|name| name.ends_with(".wal"))
                .expect("a segment");
            yesterday.push((name.clone(), dir.read(&name).expect("read")));
        }
    }
    drop(wal);
    for (name, bytes) in yesterday {
        let today = dir.read(&name).expect("it is there still");
        assert_ne!(today, bytes);
        dir.write(&name, bytes);
        let refused = Wal::open_in(Arc::new(dir.clone()), small.clone());
        assert!(
            matches!(refused, Err(Error::Corrupt { .. })),
            "a segment of yesterday is taken"
        );
        dir.write(&name, today);
    }
}
