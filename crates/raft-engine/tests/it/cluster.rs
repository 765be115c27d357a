//! Several cores with disks that lose what was not synced, and a network in the hands of the test.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use raft_engine::consensus::{
    AppliedChange, Core, CoreOptions, Event, HardState, Install, Output, Remembered, Write, first_entries,
};
use raft_engine::{Applied, Change, MessageKind, PeerMessage, ReadError, Role, TransferError, Verdict};
use wal::Entry;

/// What a log holds that survives.
#[derive(Clone, Default)]
pub struct Disk {
    pub start: Applied,
    pub entries: Vec<Entry>,
    pub hard_state: HardState,
}

impl Disk {
    pub fn write(&mut self, write: &Write) {
        if let Some(install) = &write.snapshot {
            self.start = install.applied.clone();
            self.entries.clear();
        }
        if let Some(first) = write.entries.first() {
            self.entries
                .truncate((first.index - self.start.index - 1) as usize);
        }
        self.entries.extend(write.entries.iter().cloned());
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
    }
}

/// A state machine that remembers everything.
#[derive(Clone, Default)]
pub struct Machine {
    pub applied: Applied,
    pub history: Vec<(u64, u64, Bytes)>,
}

enum Work {
    Entries(Vec<Entry>),
    Install(Install),
}

pub struct Letter {
    pub from: u64,
    pub to: u64,
    pub bytes: Bytes,
    pub files: Option<Machine>,
}

#[derive(Default)]
pub struct Node {
    pub core: Option<Core>,
    pub disk: Disk,
    /// Handed to the log writer, not durable.
    pub writes: VecDeque<Write>,
    work: VecDeque<Work>,
    pub machine: Machine,
    /// What of the machine survives a crash.
    pub flushed: Machine,
    checkpoints: HashMap<u64, Machine>,
    files: HashMap<u64, Machine>,
    /// Files of a snapshot the disk refers to.
    pending_install: Option<Machine>,
    boots: u64,
}

/// Something worth telling.
#[derive(Debug)]
pub enum Note {
    Role(u64, raft_engine::LeaderChange),
    Read(u64, u64, Result<u64, ReadError>),
    Transfer(u64, Result<(), TransferError>),
    Write(u64, String),
    Send(String),
    Applied(u64, Entry),
    Installed(u64, u64),
    Marked(u64, u64),
    Configuration(u64, raft_engine::Configuration),
    Failed(u64, usize),
}

pub struct Cluster {
    pub nodes: BTreeMap<u64, Node>,
    pub letters: VecDeque<Letter>,
    pub notes: Vec<Note>,
    pub options: CoreOptions,
    numbers: u64,
}

pub fn options() -> CoreOptions {
    CoreOptions {
        id: 0,
        election_ticks: 10,
        pre_vote: true,
        fast_start: false,
        read_retry_ticks: 5,
        request_ticks: 70,
        log_retain_entries: 5000,
        log_retain_bytes: 64 << 20,
        seed: 1,
    }
}

impl Cluster {
    /// `members` start with the same first entries, the others empty.
    pub fn new(members: u64, others: u64, options: CoreOptions) -> Self {
        let ids: Vec<(u64, Bytes)> = (1..=members).map(|id| (id, Bytes::new())).collect();
        let (entries, hard_state) = first_entries(&ids);
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            letters: VecDeque::new(),
            notes: Vec::new(),
            options,
            numbers: 0,
        };
        for id in 1..=members + others {
            let mut node = Node::default();
            if id <= members {
                node.disk = Disk {
                    entries: entries.clone(),
                    hard_state,
                    ..Disk::default()
                };
            }
            cluster.nodes.insert(id, node);
            cluster.start(id);
        }
        cluster
    }

    pub fn start(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.boots += 1;
        if node.machine.applied.index < node.disk.start.index {
            node.machine = node
                .pending_install
                .take()
                .expect("the log refers to a snapshot that is nowhere");
            node.flushed = node.machine.clone();
        }
        let options = CoreOptions {
            id,
            seed: self.options.seed.wrapping_mul(1_000_003) ^ (id << 20) ^ node.boots,
            ..self.options.clone()
        };
        let remembered = Remembered {
            start: node.disk.start.clone(),
            entries: node.disk.entries.clone(),
            hard_state: node.disk.hard_state,
            applied: node.machine.applied.clone(),
        };
        node.core = Some(Core::new(options, remembered).unwrap());
        self.poll(id);
    }

    /// Loses everything that was not durable, except for `torn` writes under way that made it to the disk all the same
    /// and `part` entries of the next.
    pub fn crash(&mut self, id: u64, torn: usize, part: usize) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.core = None;
        for _ in 0..torn {
            if let Some(write) = node.writes.pop_front() {
                keep_files(node, &write);
                node.disk.write(&write);
            }
        }
        if let Some(mut write) = node.writes.pop_front()
            && write.snapshot.is_none()
        {
            write.entries.truncate(part);
            node.disk.write(&Write {
                hard_state: None,
                ..write
            });
        }
        node.writes.clear();
        node.work.clear();
        node.machine = node.flushed.clone();
        node.checkpoints.clear();
        node.files.clear();
    }

    pub fn event(&mut self, id: u64, event: Event) {
        if let Some(core) = &mut self.nodes.get_mut(&id).unwrap().core {
            core.handle(event).unwrap();
            self.poll(id);
        }
    }

    fn poll(&mut self, id: u64) {
        while let Some(output) = self.nodes.get_mut(&id).unwrap().core.as_mut().unwrap().poll() {
            self.carry_out(id, output);
        }
    }

    fn carry_out(&mut self, id: u64, output: Output) {
        let node = self.nodes.get_mut(&id).unwrap();
        self.notes
            .extend(output.role.map(|change| Note::Role(id, change)));
        for message in output.messages {
            self.notes.push(Note::Send(message.describe()));
            self.letters.push_back(Letter {
                from: id,
                to: message.to(),
                bytes: message.encode(),
                files: None,
            });
        }
        for (message, token) in output.snapshots {
            let files = node.checkpoints.get(&token).cloned();
            self.notes.push(Note::Send(message.describe()));
            assert!(files.is_some(), "a snapshot without a checkpoint");
            self.letters.push_back(Letter {
                from: id,
                to: message.to(),
                bytes: message.encode(),
                files,
            });
        }
        if let Some(write) = output.write {
            self.notes.push(Note::Write(id, describe(&write)));
            node.writes.push_back(write);
        }
        if let Some(install) = output.install {
            node.work.push_back(Work::Install(install));
        }
        if !output.committed.is_empty() {
            node.work.push_back(Work::Entries(output.committed));
        }
        self.notes.extend(
            output
                .reads
                .into_iter()
                .map(|(number, read)| Note::Read(id, number, read)),
        );
        self.notes.extend(
            output
                .transfers
                .into_iter()
                .map(|(_, outcome)| Note::Transfer(id, outcome)),
        );
        for token in output.drop_snapshots {
            node.checkpoints.remove(&token);
        }
        for number in output.refused_files {
            node.files.remove(&number);
        }
        if let Some(mark) = output.mark {
            assert!(mark.index <= node.flushed.applied.index);
            let covered = (mark.index - node.disk.start.index) as usize;
            if covered > 0 && node.writes.is_empty() {
                assert_eq!(node.disk.entries[covered - 1].term, mark.term);
                node.disk.entries.drain(..covered);
                self.notes.push(Note::Marked(id, mark.index));
                node.disk.start = mark;
            }
        }
        if output.failed.proposals > 0 {
            self.notes.push(Note::Failed(id, output.failed.proposals));
        }
        if output.make_snapshot {
            self.numbers += 1;
            let token = self.numbers;
            let machine = node.machine.clone();
            let applied = machine.applied.clone();
            node.checkpoints.insert(token, machine);
            node.core
                .as_mut()
                .unwrap()
                .handle(Event::SnapshotMade { token, applied })
                .unwrap();
        }
    }

    /// Makes the next write durable; with `group`, all that wait, reported once.
    pub fn persist(&mut self, id: u64, group: bool) -> bool {
        let node = self.nodes.get_mut(&id).unwrap();
        let mut last = None;
        let count = if group {
            node.writes.len()
        } else {
            node.writes.len().min(1)
        };
        for write in node.writes.drain(..count).collect::<Vec<_>>() {
            keep_files(node, &write);
            node.disk.write(&write);
            last = write.must_sync.then_some(write.number).or(last);
        }
        if let Some(number) = last {
            self.event(id, Event::Persisted(number));
        }
        count > 0
    }

    /// Applies what is next.
    pub fn apply(&mut self, id: u64) -> bool {
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(work) = node.work.pop_front() else {
            return false;
        };
        match work {
            Work::Install(install) => {
                node.machine = node
                    .pending_install
                    .take()
                    .expect("files of an accepted snapshot");
                assert_eq!(node.machine.applied, install.applied);
                node.flushed = node.machine.clone();
                let index = install.applied.index;
                self.notes.push(Note::Installed(id, index));
                self.event(
                    id,
                    Event::Applied {
                        index,
                        changes: Vec::new(),
                    },
                );
            }
            Work::Entries(entries) => {
                for entry in entries {
                    self.apply_entry(id, entry);
                }
            }
        }
        true
    }

    fn apply_entry(&mut self, id: u64, entry: Entry) {
        let node = self.nodes.get_mut(&id).unwrap();
        assert_eq!(entry.index, node.machine.applied.index + 1, "applied in order");
        node.machine.applied.index = entry.index;
        node.machine.applied.term = entry.term;
        node.machine
            .history
            .push((entry.index, entry.term, entry.data.clone()));
        let mut changes = Vec::new();
        if entry.kind != 0 {
            let change = read_change(&entry);
            let next = node.machine.applied.configuration.changed(&change).ok();
            let verdict = match next {
                Some(next) if change.context != "refuse" => {
                    node.machine.applied.configuration = next;
                    Verdict::Accepted
                }
                _ => Verdict::Refused,
            };
            let configuration = node.machine.applied.configuration.clone();
            self.notes.push(Note::Configuration(id, configuration.clone()));
            changes.push(AppliedChange {
                index: entry.index,
                change,
                verdict,
                configuration,
            });
        }
        let index = entry.index;
        self.notes.push(Note::Applied(id, entry));
        self.event(id, Event::Applied { index, changes });
    }

    /// Makes the machine's state durable, and tells the core.
    pub fn flush(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.flushed = node.machine.clone();
        let index = node.flushed.applied.index;
        self.event(id, Event::Durable(index));
    }

    pub fn deliver(&mut self, letter: Letter) {
        let Letter {
            from,
            to,
            bytes,
            files,
        } = letter;
        let Some(node) = self.nodes.get_mut(&to) else {
            return;
        };
        if node.core.is_none() {
            if files.is_some() {
                self.event(from, Event::SnapshotSent { to, ok: false });
            }
            return;
        }
        let message = PeerMessage::decode(bytes).expect("members send well-formed messages");
        let files = files.map(|files| {
            self.numbers += 1;
            node.files.insert(self.numbers, files);
            self.numbers
        });
        let snapshot = message.kind() == MessageKind::Snapshot;
        self.event(to, Event::Message(message, files));
        if snapshot {
            self.event(from, Event::SnapshotSent { to, ok: true });
        }
    }

    /// Delivers, persists and applies until nothing is left to do. `pass` says which letters get through.
    pub fn settle(&mut self, mut pass: impl FnMut(&Letter) -> bool) {
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        loop {
            let mut busy = false;
            for id in &ids {
                while self.persist(*id, true) || self.apply(*id) {
                    busy = true;
                }
            }
            while let Some(letter) = self.letters.pop_front() {
                busy = true;
                if pass(&letter) {
                    self.deliver(letter);
                }
            }
            if !busy {
                return;
            }
        }
    }

    pub fn leader(&self) -> Option<u64> {
        let mut leaders: Vec<(u64, u64)> = Vec::new();
        for (id, node) in &self.nodes {
            if let Some(core) = &node.core
                && core.status().role == Role::Leader
            {
                leaders.push((core.status().term, *id));
            }
        }
        leaders.into_iter().max().map(|(_, id)| id)
    }
}

fn keep_files(node: &mut Node, write: &Write) {
    if let Some(install) = &write.snapshot {
        node.pending_install = Some(
            node.files
                .remove(&install.files)
                .expect("files of an accepted snapshot"),
        );
    }
}

pub fn read_change(entry: &Entry) -> Change {
    Change::decode(entry.kind, entry.data.clone()).unwrap()
}

pub fn describe(write: &Write) -> String {
    let mut parts = vec![format!("#{}", write.number)];
    if let Some(install) = &write.snapshot {
        parts.push(format!(
            "snapshot {}/{}",
            install.applied.term, install.applied.index
        ));
    }
    parts.extend(
        write
            .entries
            .iter()
            .map(|entry| format!("{}/{}", entry.term, entry.index)),
    );
    if let Some(HardState { term, vote, commit }) = write.hard_state {
        parts.push(format!("term={term} vote={vote} commit={commit}"));
    }
    if !write.must_sync {
        parts.push("no sync".to_string());
    }
    parts.join(" ")
}
