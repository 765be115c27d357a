//! Takes what a power failure would leave of a member, at any moment.

use super::keep::Pattern;
use super::probe::Image;
use crate::link::{Letter, Parcel, Party};
use crate::machine::Machine;
use crate::oracle::Promise;
use crate::rng::Rng;
use crate::store::Stores;
use crate::time::Nanos;
use node::Bootstrap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use tempfile::TempDir;
use wal::MemoryDir;

/// Takes images of the machines of a run, and hands them over.
pub struct Camera {
    patterns: usize,
    rng: Mutex<Rng>,
    images: SyncSender<Image>,
    points: AtomicU64,
    now: AtomicU64,
    members: Mutex<BTreeMap<u64, Subject>>,
}

/// What is to be known of a member.
#[derive(Clone)]
struct Subject {
    bootstrap: Bootstrap,
    disk: MemoryDir,
    stores: Arc<Stores>,
    dir: PathBuf,
    /// Writes and flushes of the stores that have been seen.
    generation: u64,
    promised: Promised,
}

/// What a member has told others that they may count on.
#[derive(Clone, Copy, Default, Debug)]
pub struct Promised {
    /// It has taken part in this term, by an answer or a vote.
    pub term: u64,
    /// In that term it had the log up to here, durably.
    pub index: u64,
}

impl Camera {
    /// A camera that takes so many pictures of each moment.
    pub fn new(seed: u64, patterns: usize, images: SyncSender<Image>) -> Camera {
        Camera {
            patterns,
            rng: Mutex::new(Rng::new(seed)),
            images,
            points: AtomicU64::new(0),
            now: AtomicU64::new(0),
            members: Mutex::default(),
        }
    }

    /// Watches a machine from now on.
    pub fn watch(self: &Arc<Self>, machine: &Machine) {
        let id = machine.id;
        let subject = Subject {
            bootstrap: machine.bootstrap.clone(),
            disk: machine.disk.files(),
            stores: machine.stores.clone(),
            dir: machine.dir.clone(),
            generation: 0,
            promised: Promised::default(),
        };
        self.members.lock().insert(id, subject);
        let camera = Arc::downgrade(self);
        let shoot: crate::disk::Observer = Arc::new(move || {
            if let Some(camera) = camera.upgrade() {
                camera.shoot(id);
            }
        });
        machine.stores.observe(shoot.clone());
        machine.disk.observe(shoot);
    }

    /// Moments at which pictures were taken.
    pub fn points(&self) -> u64 {
        self.points.load(Ordering::Relaxed)
    }

    /// True time.
    pub fn set_time(&self, now: Nanos) {
        self.now.store(now, Ordering::Relaxed);
    }

    /// Something is sent: the sender stands by it from now on.
    pub fn sent(&self, parcel: &Parcel) {
        let (Party::Member(id), Letter::Raft(messages)) = (parcel.from, &parcel.letter) else {
            return;
        };
        let mut members = self.members.lock();
        let Some(subject) = members.get_mut(&id) else {
            return;
        };
        for promise in messages.iter().filter_map(Promise::of) {
            let index = match promise.kind {
                Promise::APPENDED => promise.index,
                Promise::VOTE => 0,
                _ => continue,
            };
            let promised = &mut subject.promised;
            if promise.term > promised.term {
                *promised = Promised {
                    term: promise.term,
                    index,
                };
            } else if promise.term == promised.term {
                promised.index = promised.index.max(index);
            }
        }
    }

    /// A turn of some process is over: those whose stores have changed meanwhile are taken.
    pub fn turn(&self) {
        let mut changed = Vec::new();
        for (id, subject) in self.members.lock().iter_mut() {
            let generation = subject.stores.generation();
            if generation != subject.generation {
                subject.generation = generation;
                changed.push(*id);
            }
        }
        changed.into_iter().for_each(|id| self.shoot(id));
    }

    /// Takes a member as each pattern would leave it.
    fn shoot(&self, id: u64) {
        let Some(subject) = self.members.lock().get(&id).cloned() else {
            return;
        };
        let point = self.points.fetch_add(1, Ordering::Relaxed);
        let Ok(dir) = tempfile::Builder::new()
            .prefix("quorate-crash-")
            .tempdir_in(subject.dir.parent().unwrap_or(Path::new(".")))
        else {
            return;
        };
        let copied = copy_tree(&subject.dir, dir.path());
        let dir: Arc<TempDir> = Arc::new(dir);
        let applied = subject.stores.applied();
        for number in 0..self.patterns {
            // Each point meets some of the patterns, and each pattern comes again soon.
            let number = (point as usize * self.patterns + number) % Pattern::COUNT;
            let mut rng = self.rng.lock().fork(number as u64);
            let mut pattern = Pattern::new(number, rng.fork(1));
            let image = Image {
                member: id,
                bootstrap: subject.bootstrap.clone(),
                now: self.now.load(Ordering::Relaxed),
                disk: subject.disk.crash_keeping(&mut pattern),
                stores: Arc::new(subject.stores.crashed(pattern.batches())),
                dir: dir.clone(),
                promised: subject.promised,
                applied,
                what: format!("point {point} of m{id:x}, {}", pattern.name()),
                rng,
                copied: copied.as_ref().copied().map_err(ToString::to_string),
            };
            // Nobody takes them any more once something was found.
            let _ = self.images.send(image);
        }
    }
}

/// Links to the files of a member's directory; those that are rewritten in place are copied.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir(&target)?;
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, target)?;
        } else if entry.file_name().to_string_lossy().starts_with("sim-") {
            fs::copy(source, target)?;
        } else {
            fs::hard_link(source, target)?;
        }
    }
    Ok(())
}
