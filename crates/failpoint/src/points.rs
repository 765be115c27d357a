//! All points, and what is set at each.

use crate::http;
use crate::term::{Action, Terms};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// etcd's names. What each stands for here is written where it stands.
pub(crate) const NAMES: &[&str] = &[
    "afterCommit",
    "afterStartDBTxn",
    "afterWritebackBuf",
    "applyAfterOpenSnapshot",
    "applyBeforeOpenSnapshot",
    "beforeApplyOneConfChange",
    "beforeApplyOneEntryNormal",
    "beforeCheckpointInLeaseRenew",
    "beforeCommit",
    "beforeSendWatchResponse",
    "beforeStartDBTxn",
    "beforeWritebackBuf",
    "commitAfterPreCommitHook",
    "commitBeforePreCommitHook",
    "compactAfterAcquiredBatchTxLock",
    "compactAfterCommitBatch",
    "compactAfterCommitScheduledCompact",
    "compactAfterSetFinishedCompact",
    "compactBeforeCommitBatch",
    "compactBeforeCommitScheduledCompact",
    "compactBeforeSetFinishedCompact",
    "defragBeforeCopy",
    "defragBeforeRename",
    "defragOpenFileError",
    "defragdbFail",
    "raftAfterApplySnap",
    "raftAfterSave",
    "raftAfterSaveSnap",
    "raftAfterWALRelease",
    "raftBeforeApplySnap",
    "raftBeforeFollowerSend",
    "raftBeforeLeaderSend",
    "raftBeforeSave",
    "raftBeforeSaveSnap",
];

/// Our own: every step between which a crash leaves something else behind.
pub(crate) const OWN: &[&str] = &[
    "applyAfterGroup",
    "applyAfterInstall",
    "applyAfterRestore",
    "applyBeforeAnswer",
    "applyBeforeGroup",
    "applyBeforeInstall",
    "applyBeforePublish",
    "applyBeforeRestore",
    "flushAfter",
    "flushBefore",
    "leaseBeforePromote",
    "leaseBeforeRevoke",
    "memberAfterChange",
    "memberBeforeAnnounce",
    "memberBeforePropose",
    "memberBeforeRows",
    "raftAfterMark",
    "raftAfterSend",
    "raftAfterTurn",
    "raftBeforeCommitted",
    "raftBeforeMark",
    "raftBeforePersisted",
    "raftBeforeTurn",
    "snapshotAfterCheckpoint",
    "snapshotAfterMoved",
    "snapshotAfterReceive",
    "snapshotAfterSend",
    "snapshotBeforeCheckpoint",
    "snapshotBeforeFileSync",
    "snapshotBeforeFinish",
    "snapshotBeforeMoved",
    "snapshotBeforePart",
    "snapshotBeforeSend",
    "storeAfterStage",
    "storeAfterSwitch",
    "storeAfterWrite",
    "storeBeforeRetired",
    "storeBeforeStage",
    "storeBeforeSwitch",
    "storeBeforeWrite",
    "walAfterHead",
    "walAfterHeadNamed",
    "walAfterMarker",
    "walAfterReset",
    "walAfterReuse",
    "walAfterRotate",
    "walAfterSegmentsGone",
    "walAfterSpareFilled",
    "walAfterSync",
    "walAfterWrite",
    "walBeforeHead",
    "walBeforeMarker",
    "walBeforeRelease",
    "walBeforeReset",
    "walBeforeRotate",
    "walBeforeSegmentGone",
    "walBeforeSync",
    "walBeforeWrite",
    "watchAfterPublish",
    "watchBeforePublish",
];

/// Points that are set.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);
static POINTS: Mutex<BTreeMap<&'static str, Point>> = Mutex::new(BTreeMap::new());

struct Point {
    terms: Terms,
    hits: u64,
}

/// What is set at a point, as far as it is for the caller to do.
#[derive(Default)]
pub struct Outcome {
    /// To sleep for.
    pub pause: Option<Duration>,
    /// To return with.
    pub text: Option<String>,
}

/// Reads `GOFAIL_FAILPOINTS`, and serves `GOFAIL_HTTP`. Called once, when the process starts; what is wrong with either
/// is printed and ends it, for a test that sets nothing proves nothing.
pub fn start() {
    if let Ok(list) = std::env::var("GOFAIL_FAILPOINTS")
        && let Err(error) = set_all(&list)
    {
        eprintln!("GOFAIL_FAILPOINTS: {error}");
        std::process::exit(1);
    }
    if let Ok(address) = std::env::var("GOFAIL_HTTP")
        && let Err(error) = http::serve(&address)
    {
        eprintln!("GOFAIL_HTTP: cannot serve {address}: {error}");
        std::process::exit(1);
    }
}

/// Prints and panics itself; leaves sleeping and returning to the caller.
pub fn evaluate(name: &'static str) -> Outcome {
    if ACTIVE.load(Ordering::Relaxed) == 0 {
        return Outcome::default();
    }
    let action = {
        let mut points = lock();
        let Some(point) = points.get_mut(name) else {
            return Outcome::default();
        };
        point.hits += 1;
        point.terms.next(|| rand::random_range(0.0..100.0))
    };
    match action {
        Action::Off => Outcome::default(),
        Action::Return(text) => Outcome {
            text: Some(text),
            pause: None,
        },
        Action::Sleep(pause) => Outcome {
            pause: Some(pause),
            text: None,
        },
        Action::Print(text) => {
            eprintln!("failpoint print: {name} {text}");
            Outcome::default()
        }
        Action::Panic(text) => {
            eprintln!("failpoint panic: {name} {text}");
            // Not a panic of one thread, which others might survive: the process dies where it stands.
            std::process::abort();
        }
    }
}

/// As [`evaluate`], but sleeps; answers what a `return` holds.
pub fn sync(name: &'static str) -> Option<String> {
    let outcome = evaluate(name);
    if let Some(pause) = outcome.pause {
        #[expect(clippy::disallowed_methods, reason = "that is what it is for")]
        std::thread::sleep(pause);
    }
    outcome.text
}

/// Sets one point.
pub(crate) fn set(name: &str, terms: &str) -> Result<(), String> {
    let known = NAMES.iter().chain(OWN).find(|known| **known == name);
    let name = known.ok_or_else(|| "failpoint: failpoint does not exist".to_owned())?;
    let terms = Terms::parse(terms)?;
    let mut points = lock();
    points.insert(name, Point { terms, hits: 0 });
    ACTIVE.store(points.len(), Ordering::Relaxed);
    Ok(())
}

/// Sets what `name=terms;name=terms` says.
pub(crate) fn set_all(list: &str) -> Result<(), String> {
    for pair in list.split(';').filter(|pair| !pair.is_empty()) {
        let (name, terms) = pair
            .split_once('=')
            .ok_or_else(|| format!("failpoint: could not parse {pair:?}"))?;
        set(name, terms)?;
    }
    Ok(())
}

/// Clears a point; answers whether it was set.
pub(crate) fn clear(name: &str) -> bool {
    let mut points = lock();
    let was = points.remove(name).is_some();
    ACTIVE.store(points.len(), Ordering::Relaxed);
    was
}

/// What is set at a point, and how often it was passed since.
pub(crate) fn get(name: &str) -> Option<(String, u64)> {
    lock()
        .get(name)
        .map(|point| (point.terms.text().to_owned(), point.hits))
}

/// `name=terms` of every point, in order.
pub(crate) fn list() -> String {
    let points = lock();
    let line = |name: &&str| {
        let terms = points.get(*name).map_or("", |point| point.terms.text());
        format!("{name}={terms}\n")
    };
    NAMES.iter().chain(OWN).map(line).collect()
}

fn lock() -> std::sync::MutexGuard<'static, BTreeMap<&'static str, Point>> {
    // A thread that panicked at a point left nothing half done.
    POINTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
