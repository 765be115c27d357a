//! Files for the segments to come: made ahead of need, or left over from segments that were released.

use crate::dir::{Dir, File};
use crate::segment::Segment;
use crate::{Error, Result};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Files kept for reuse. One is being waited for while another is in use; more would only take up space.
const SPARES_MAX: usize = 2;
/// The thread fills files in steps, each made durable: the disk that it shares with the log's own syncs is never held up
/// for longer than a step takes, about as long as one of those syncs.
const FILL_STEP_BYTES: u64 = 256 << 10;
/// Time between two steps, in which the disk is the log's. A full segment is filled in some two seconds; the log takes
/// longer for the three quarters of a segment that are left when the filling begins. If it does not, it goes on in a shorter segment.
const FILL_PAUSE: Duration = Duration::from_millis(5);
/// How long the log waits for what the thread is doing before it makes a short segment itself: removing files can take
/// half a second on a disk that is busy.
const PATIENCE: Duration = Duration::from_millis(20);
/// The shortest segment that is made.
pub(crate) const SHORT_BYTES: u64 = 4_000_000;

/// A file that no segment uses, all of it really allocated. It may hold the frames of a former segment: their salts no
/// longer fit, so they do not pass for new ones.
pub(crate) struct Spare {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn File>,
    pub(crate) bytes: u64,
    /// It was a segment before.
    pub(crate) used: bool,
}

/// Keeps spares. With a thread, making and retiring files never holds up the caller unless none is ready.
pub(crate) struct Spares {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    dir: Arc<dyn Dir>,
    /// Length of a full segment: only such files are worth keeping.
    full_bytes: u64,
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    ready: VecDeque<Spare>,
    retired: Vec<Arc<Segment>>,
    wanted: Option<u64>,
    /// The thread has taken work and not yet finished it.
    busy: bool,
    /// Somebody waits for it.
    awaited: bool,
    stop: bool,
    /// An fsync failed.
    broken: bool,
    names: u64,
}

impl Spares {
    pub(crate) fn start(dir: Arc<dyn Dir>, full_bytes: u64, background: bool) -> Result<Self> {
        let shared = Arc::new(Shared {
            dir,
            full_bytes,
            work: Mutex::default(),
            changed: Condvar::new(),
        });
        let thread = background.then(|| {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name("wal-spares".to_owned());
            thread
                .spawn(move || shared.run())
                .map_err(|source| Error::io("start", "a thread for spares", source))
        });
        Ok(Self {
            shared,
            thread: thread.transpose()?,
        })
    }

    /// Asks for a file of `bytes` to be ready soon. Without a thread nothing is done before it is needed.
    pub(crate) fn want(&self, bytes: u64) {
        let mut work = self.shared.work.lock();
        if self.thread.is_some() && work.ready.is_empty() && work.retired.is_empty() && !work.busy {
            work.wanted = Some(bytes);
            self.shared.changed.notify_all();
        }
    }

    /// Gives the files of released segments back.
    pub(crate) fn retire(&self, segments: Vec<Arc<Segment>>) -> Result<()> {
        if segments.is_empty() {
            return Ok(());
        }
        let mut work = self.shared.work.lock();
        work.retired.extend(segments);
        if self.thread.is_some() {
            self.shared.changed.notify_all();
            return Ok(());
        }
        let segments = std::mem::take(&mut work.retired);
        drop(work);
        self.shared.reuse(segments)
    }

    /// A file at least for now unused; waits for one that is being made, else makes one of `bytes`.
    pub(crate) fn take(&self, bytes: u64) -> Result<Spare> {
        let mut work = self.shared.work.lock();
        while work.ready.is_empty() && (work.busy || work.wanted.is_some() || !work.retired.is_empty()) {
            work.awaited = true;
            self.shared.changed.notify_all();
            if self.shared.changed.wait_for(&mut work, PATIENCE).timed_out() {
                break;
            }
        }
        let bytes = if work.awaited {
            bytes.min(SHORT_BYTES)
        } else {
            bytes
        };
        work.awaited = false;
        match work.ready.pop_front() {
            Some(spare) => Ok(spare),
            None => {
                drop(work);
                self.shared.make(bytes, bytes)
            }
        }
    }

    /// Whether an fsync failed on the thread.
    pub(crate) fn broken(&self) -> bool {
        self.shared.work.lock().broken
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.shared.work.lock().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread holds the directory and with it the lock; who opens the log again must find it free.
            let _ = thread.join();
        }
    }
}

enum Job {
    Reuse(Vec<Arc<Segment>>),
    Make(u64),
}

impl Shared {
    fn run(&self) {
        while let Some(job) = self.next_job() {
            match job {
                Job::Reuse(segments) => {
                    if let Err(error) = self.reuse(segments) {
                        tracing::error!(error = %chain(&error), "cannot retire log segments");
                        self.work.lock().broken = true;
                    }
                }
                Job::Make(bytes) => match self.make(bytes, FILL_STEP_BYTES) {
                    Ok(spare) => self.work.lock().ready.push_back(spare),
                    // Not fatal: it is tried again when the file is needed, and the disk may have room by then.
                    Err(_) if self.work.lock().stop => {}
                    Err(error) => tracing::warn!(error = %chain(&error), "cannot prepare a log segment"),
                },
            }
            self.work.lock().busy = false;
            self.changed.notify_all();
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut work = self.work.lock();
        loop {
            if work.stop {
                return None;
            }
            if !work.retired.is_empty() {
                work.busy = true;
                return Some(Job::Reuse(std::mem::take(&mut work.retired)));
            }
            if let Some(bytes) = work.wanted.take() {
                if work.ready.is_empty() {
                    work.busy = true;
                    return Some(Job::Make(bytes));
                }
                self.changed.notify_all();
            }
            self.changed.wait(&mut work);
        }
    }

    /// A new file, filled in steps of `step` bytes.
    fn make(&self, bytes: u64, step: u64) -> Result<Spare> {
        let name = self.new_name();
        let file = self
            .dir
            .create(&name)
            .map_err(|source| Error::io("create", &name, source))?;
        let filled = self.fill(&*file, bytes, step);
        failpoint::point!("walAfterSpareFilled");
        match filled {
            Ok(bytes) => Ok(Spare {
                name,
                file,
                bytes,
                used: false,
            }),
            Err(source) => {
                // Room taken by a file that was not finished helps nobody; if removing fails too, opening will do it.
                let _ = self.dir.remove(&name);
                Err(Error::io("fill", &name, source))
            }
        }
    }

    /// Returns how much was filled: less than `bytes` if somebody cannot wait.
    fn fill(&self, file: &dyn File, bytes: u64, step: u64) -> std::io::Result<u64> {
        let mut next = step;
        loop {
            let filled = bytes.min(next);
            file.fill(filled)?;
            file.sync()?;
            let mut work = self.work.lock();
            if filled == bytes || (work.awaited && filled >= SHORT_BYTES) {
                return Ok(filled);
            }
            if work.stop {
                return Err(std::io::Error::other("the log is being closed"));
            }
            if !work.awaited {
                self.changed.wait_for(&mut work, FILL_PAUSE);
            }
            next = if work.awaited { SHORT_BYTES } else { filled + step };
        }
    }

    fn reuse(&self, segments: Vec<Arc<Segment>>) -> Result<()> {
        let mut kept = Vec::new();
        let room = SPARES_MAX - self.work.lock().ready.len().min(SPARES_MAX);
        for segment in segments {
            let bytes = segment
                .file
                .size()
                .map_err(|source| Error::io("measure", &segment.name, source))?;
            failpoint::point!("walBeforeSegmentGone");
            if kept.len() < room && bytes == self.full_bytes {
                let name = self.new_name();
                self.dir
                    .rename(&segment.name, &name)
                    .map_err(|source| Error::io("rename", &segment.name, source))?;
                kept.push(Spare {
                    name,
                    file: segment.file.clone(),
                    bytes,
                    used: true,
                });
            } else {
                self.dir
                    .remove(&segment.name)
                    .map_err(|source| Error::io("remove", &segment.name, source))?;
            }
        }
        failpoint::point!("walAfterSegmentsGone");
        // Before a file is written again its old name must be gone for good: a crash could else bring back a segment
        // with another one's content.
        self.dir
            .sync()
            .map_err(|source| Error::io("sync", self.dir.path(), source))?;
        failpoint::point!("walAfterReuse");
        self.work.lock().ready.extend(kept);
        Ok(())
    }

    fn new_name(&self) -> String {
        let mut work = self.work.lock();
        work.names += 1;
        // etcd's tools pass over files of this ending without a word.
        format!("spare-{}.tmp", work.names)
    }
}

fn chain(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Whether a file is one of ours that a crash left unfinished or unused.
pub(crate) fn is_spare(name: &str) -> bool {
    name.starts_with("spare-") && name.ends_with(".tmp")
}
