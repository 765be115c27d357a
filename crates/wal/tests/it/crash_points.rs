//! A power failure after every operation on the disk, with many different parts of what was not synced lost.
//! `CRASH_SEEDS=A..B` looks at more histories.

use crate::crash::{Life, Model};
use crate::util::{METADATA, Random, options};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use wal::{Dir, File, Keep, MemoryDir, Recovered, Wal};

/// Ways to lose what was not synced at each point.
const PATTERNS: u64 = 10;

/// A directory that takes a picture of what would be left after every operation.
#[derive(Clone)]
struct Watched {
    dir: MemoryDir,
    left: Arc<Mutex<Left>>,
}

struct Left {
    random: Random,
    images: Vec<(u64, MemoryDir)>,
}

/// What survives: nothing, everything, a prefix of the sectors, or what chance wants.
struct Pattern {
    number: u64,
    random: Random,
    sectors: u64,
}

impl Pattern {
    fn survives(&mut self, name: bool) -> bool {
        match self.number {
            0 => false,
            1 => true,
            2 => name,
            3 => !name,
            4 => {
                self.sectors = self.sectors.saturating_sub(1);
                self.sectors > 0
            }
            _ => self.random.one_in(2),
        }
    }
}

impl Keep for Pattern {
    fn change(&mut self) -> bool {
        self.survives(true)
    }

    fn file(&mut self) {
        self.sectors = self.random.below(8);
    }

    fn sector(&mut self) -> bool {
        self.survives(false)
    }

    fn length(&mut self) -> bool {
        self.survives(false)
    }
}

impl Watched {
    fn after<T>(&self, done: io::Result<T>) -> io::Result<T> {
        let mut left = self.left.lock();
        for number in 0..PATTERNS {
            let random = Random(left.random.next());
            let mut pattern = Pattern {
                number,
                random,
                sectors: 0,
            };
            let image = self.dir.crash_keeping(&mut pattern);
            left.images.push((number, image));
        }
        done
    }

    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(WatchedFile {
            file,
            dir: self.clone(),
        })
    }
}

impl Dir for Watched {
    fn path(&self) -> String {
        self.dir.path()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.dir.list()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.dir.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = self.after(self.dir.create(name))?;
        Ok(self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.after(self.dir.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.after(self.dir.remove(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.after(self.dir.sync())
    }
}

struct WatchedFile {
    file: Arc<dyn File>,
    dir: Watched,
}

impl File for WatchedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.dir.after(self.file.write_at(buf, offset))
    }

    fn fill(&self, bytes: u64) -> io::Result<()> {
        self.dir.after(self.file.fill(bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.dir.after(self.file.sync())
    }
}

fn reopen(dir: &MemoryDir) -> wal::Result<Recovered> {
    Ok(Wal::open_in(Arc::new(dir.clone()), options())?.1)
}

/// One history of so many steps; gives the number of crash points and of restarts.
fn every_point(seed: u64, steps: usize) -> (u64, u64) {
    let watched = Watched {
        dir: MemoryDir::new(),
        left: Arc::new(Mutex::new(Left {
            random: Random(seed ^ 0xc4a5),
            images: Vec::new(),
        })),
    };
    let mut wal = Wal::create_in(Arc::new(watched.clone()), METADATA, options()).expect("create");
    // A log that was never finished is no log; those who find none begin again.
    let mut images = std::mem::take(&mut watched.left.lock().images);
    images.retain(|(_, image)| Wal::exists_in(image).expect("list"));
    let mut life = Life::new(seed);
    let mut restarts = 0;
    for step in 0..steps {
        let mut allowed = life.prefixes().to_vec();
        if step > 0 {
            life.step(&mut wal);
            images = std::mem::take(&mut watched.left.lock().images);
        }
        allowed.extend_from_slice(life.prefixes());
        for (number, image) in images.drain(..) {
            let recovered = reopen(&image);
            let recovered = recovered.unwrap_or_else(|error| {
                panic!("seed {seed}, step {step}, pattern {number}: it does not open: {error}")
            });
            restarts += 1;
            assert!(
                allowed.iter().any(|model| model.fits(&recovered)),
                "seed {seed}, step {step}, pattern {number}: the log {} is none of {:#?}",
                Model::of(&recovered),
                allowed.iter().map(Model::to_string).collect::<Vec<_>>()
            );
        }
    }
    (restarts / PATTERNS, restarts)
}

/// A sync that is missing or comes too late, a name that is not durable before it is relied on, a repair that cuts too
/// much or too little.
#[test]
fn every_crash_point_leaves_what_was_synced_and_a_prefix_of_the_rest() {
    let seeds = std::env::var("CRASH_SEEDS").ok().and_then(|text| {
        let (first, last) = text.split_once("..")?;
        Some(first.parse().ok()?..last.parse().ok()?)
    });
    let seeds = Mutex::new(seeds.unwrap_or(1..5u64));
    let sum = Mutex::new((0, 0));
    let work = || {
        while let Some(seed) = { seeds.lock().next() } {
            let (points, restarts) = every_point(seed, 2000);
            let mut sum = sum.lock();
            *sum = (sum.0 + points, sum.1 + restarts);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (points, restarts) = *sum.lock();
    println!("{points} crash points, {restarts} restarts");
}
