//! Starting an engine: log and state machine are brought together, then the threads run.

use std::sync::Arc;

use bytes::Bytes;
use wal::{Record, Recovered, Wal};

use crate::applier::{self, Applier, Made};
use crate::consensus::{Core, CoreOptions, HardState, Remembered, first_entries};
use crate::raft_loop::{self, RaftLoop};
use crate::shared::Shared;
use crate::{
    Applied, Bootstrap, Configuration, Error, Handle, Options, StateMachine, Transport, directory, log_writer,
};

/// Time after which a read that was not answered is asked again. As etcd.
const READ_RETRY: std::time::Duration = std::time::Duration::from_millis(500);

/// Everything an engine starts from.
pub struct Start {
    /// Settings.
    pub options: Options,
    /// How this member comes into its cluster.
    pub bootstrap: Bootstrap,
    /// The log.
    pub wal: Wal,
    /// What was in it; `None` if it has just been created.
    pub recovered: Option<Recovered>,
    /// The state the log is applied to.
    pub machine: Box<dyn StateMachine>,
    /// The way to the other members.
    pub transport: Arc<dyn Transport>,
}

/// A replica of the log. Lives in its threads; see [`Handle`].
pub struct Engine;

impl Engine {
    /// Checks that log and state machine belong together, finishes an interrupted snapshot installation, and starts
    /// the threads.
    pub fn start(start: Start) -> Result<Handle, Error> {
        let Parts {
            shared,
            raft,
            wal,
            applier,
        } = assemble(start)?;
        let handle = Handle {
            shared: shared.clone(),
        };
        let started = shared
            .spawn("raft-log", move |shared| log_writer::run(shared, wal))
            .and_then(|()| shared.spawn("raft-apply", move |_| applier.run()))
            .and_then(|()| shared.spawn("raft", move |shared| raft_loop::run(shared, raft)));
        if let Err(error) = started {
            shared.log.abandon();
            shared.apply.abandon();
            handle.stop();
            return Err(Error::Thread(error));
        }
        Ok(handle)
    }
}

/// What the threads run.
pub(crate) struct Parts {
    pub shared: Arc<Shared>,
    pub raft: RaftLoop,
    pub wal: Wal,
    pub applier: Applier,
}

/// An engine that does not run yet.
pub(crate) fn assemble(start: Start) -> Result<Parts, Error> {
    let Start {
        options,
        bootstrap,
        mut wal,
        recovered,
        mut machine,
        transport,
    } = start;
    check(&options)?;
    let recovered = recovered.filter(|recovered| !is_blank(recovered));
    let remembered = match (bootstrap, recovered) {
        (Bootstrap::Restart, Some(recovered)) => recall(&options, recovered, &mut *machine)?,
        (Bootstrap::Restart, None) => {
            return Err(Error::Bootstrap("the log is empty".to_string()));
        }
        (_, Some(_)) => return Err(Error::Bootstrap("the log is not empty".to_string())),
        (bootstrap, None) => begin(&options, bootstrap, &mut wal, &*machine)?,
    };

    let ticks = |time: std::time::Duration| time.div_duration_f64(options.heartbeat_interval).ceil() as u64;
    let core_options = CoreOptions {
        id: options.id,
        election_ticks: options.election_ticks,
        pre_vote: options.pre_vote,
        fast_start: options.initial_election_tick_advance,
        read_retry_ticks: ticks(READ_RETRY).max(1),
        request_ticks: ticks(options.request_timeout).max(1),
        log_retain_entries: options.log_retain_entries,
        log_retain_bytes: options.log_retain_bytes,
        seed: options.seed,
    };
    let core = Core::new(core_options, remembered).map_err(|broken| Error::Contradiction(broken.0))?;

    let shared = Arc::new(Shared::new(options, core.status()));
    let made = Arc::new(Made::default());
    Ok(Parts {
        applier: Applier::new(shared.clone(), machine, made.clone()),
        raft: RaftLoop::new(shared.clone(), core, transport, made),
        wal,
        shared,
    })
}

/// Whether a log has never been written to: its creation was cut short, and the member must bootstrap as if new.
pub fn is_blank(recovered: &Recovered) -> bool {
    recovered.entries.is_empty() && recovered.hard_state.is_empty() && recovered.marker.index == 0
}

fn check(options: &Options) -> Result<(), Error> {
    let problem = if options.id == 0 {
        "id is 0"
    } else if options.heartbeat_interval.is_zero() {
        "heartbeat interval is 0"
    } else if options.election_ticks < 2 {
        "election timeout is shorter than two heartbeat intervals"
    } else {
        return Ok(());
    };
    Err(Error::Options(problem.to_string()))
}

/// A member without a past.
fn begin(
    options: &Options,
    bootstrap: Bootstrap,
    wal: &mut Wal,
    machine: &dyn StateMachine,
) -> Result<Remembered, Error> {
    let applied = machine.applied();
    if applied.index > 0 {
        let what = format!("the log is new, but the store is at index {}", applied.index);
        return Err(Error::Contradiction(what));
    }
    prepare_directory(options, None)?;
    let Bootstrap::New(members) = bootstrap else {
        return Ok(Remembered::default());
    };
    if members.is_empty() || members.iter().any(|member| member.id == 0) {
        return Err(Error::Options("a new cluster needs members with ids".to_string()));
    }
    let members: Vec<(u64, Bytes)> = members
        .into_iter()
        .map(|member| (member.id, member.context))
        .collect();
    let (entries, hard_state) = first_entries(&members);
    let state = hard_state.encode();
    let mut records: Vec<Record<'_>> = Vec::new();
    for entry in &entries {
        records.push(Record::Entry {
            kind: entry.kind,
            index: entry.index,
            term: entry.term,
            data: &entry.data,
        });
    }
    records.push(Record::State(&state));
    wal.append(&records)
        .and_then(|()| wal.sync())
        .map_err(|error| Error::Log(error.into()))?;
    Ok(Remembered {
        entries,
        hard_state,
        ..Remembered::default()
    })
}

/// A member with a past: what the log says, brought together with what the store says.
fn recall(
    options: &Options,
    recovered: Recovered,
    machine: &mut dyn StateMachine,
) -> Result<Remembered, Error> {
    let Recovered {
        marker,
        entries,
        hard_state,
        ..
    } = recovered;
    let contradiction = |what: String| Err(Error::Contradiction(what));
    let damaged = |what: &str| Error::Contradiction(format!("the log's {what} cannot be read"));
    let configuration = match marker.conf_state.is_empty() {
        true => Configuration::default(),
        false => Configuration::decode(&marker.conf_state).ok_or_else(|| damaged("configuration"))?,
    };
    let start = Applied {
        index: marker.index,
        term: marker.term,
        configuration,
    };
    let hard_state = match hard_state.is_empty() {
        true => HardState::default(),
        false => HardState::decode(hard_state).ok_or_else(|| damaged("hard state"))?,
    };
    for (entry, index) in entries.iter().zip(marker.index + 1..) {
        if entry.index != index {
            return contradiction(format!(
                "the log continues with index {} instead of {index}",
                entry.index
            ));
        }
    }

    // An accepted snapshot is in the log before it is in the state machine. If the process stopped in between, its
    // files are still there, and are installed now.
    let files = log_writer::install_place(&options.snapshot_dir, marker.index, marker.term);
    let behind = machine.applied().index < marker.index;
    prepare_directory(options, behind.then_some(&files))?;
    if behind && files.is_dir() {
        tracing::info!(
            index = marker.index,
            "Recovering from snapshot backend: its installation was interrupted"
        );
        applier::install(machine, &files, &start).map_err(Error::Machine)?;
    }

    let applied = machine.applied();
    let last = entries
        .last()
        .map_or((marker.index, marker.term), |entry| (entry.index, entry.term));
    if applied.index < marker.index {
        return contradiction(format!(
            "the log starts after index {}, but the store is only at {}; was the store restored from an older copy?",
            marker.index, applied.index
        ));
    }
    if applied.index > last.0 {
        return contradiction(format!(
            "the store is at index {}, but the log ends at {}; was the log removed or restored from an older copy?",
            applied.index, last.0
        ));
    }
    // A torn end was never promised to anybody. What was synced before a commit index was is another matter.
    if hard_state.commit > last.0 {
        return contradiction(format!(
            "the log ends at {}, but it says itself that {} was committed: its end is lost",
            last.0, hard_state.commit
        ));
    }
    let term = match applied.index - marker.index {
        0 => marker.term,
        past => entries[past as usize - 1].term,
    };
    if term != applied.term {
        return contradiction(format!(
            "entry {} has term {term} in the log and {} in the store",
            applied.index, applied.term
        ));
    }
    Ok(Remembered {
        start,
        entries,
        hard_state,
        applied,
    })
}

/// Makes the snapshot directory, and clears it of what an earlier life has left.
fn prepare_directory(options: &Options, keep: Option<&std::path::PathBuf>) -> Result<(), Error> {
    let path = &options.snapshot_dir;
    let prepared =
        std::fs::create_dir_all(path).and_then(|()| directory::clear(path, keep.map(|keep| &**keep)));
    prepared.map_err(|source| Error::Directory {
        path: path.clone(),
        source,
    })
}
