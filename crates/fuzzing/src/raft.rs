//! Messages into a member that is running: nothing a peer says may be a fault of this member.

use crate::wire::{Input, put_bytes, put_number};
use bytes::Bytes;
use raft_engine::consensus::{AppliedChange, Core, CoreOptions, Event, Remembered, first_entries};
use raft_engine::{Applied, Change, Configuration, PeerMessage, Verdict};

/// The member is 1 of 1, 2 and 3. Each step begins with a byte that says what happens: up to [`RAW`] a message of so
/// many bytes, up to [`CRAFTED`] one whose numbers are given as distances from the member's own, which is how a peer
/// that means it would go about it; then what else happens to a member.
pub(crate) fn run(data: &[u8]) -> bool {
    let mut member = Member::start();
    let mut input = Input(data);
    while let Some(step) = input.byte() {
        match step {
            0..RAW => {
                let (message, rest) = input.0.split_at(input.0.len().min(step.into()));
                input.0 = rest;
                member.receive(message.to_vec(), step % 2 == 1);
            }
            RAW..CRAFTED => {
                let Some(message) = crafted(step, &mut input, &member) else {
                    break;
                };
                member.receive(message, step % 2 == 1);
            }
            0xd0..0xd8 => member.event(Event::Tick),
            0xd8..0xe0 => (0..25).for_each(|_| member.event(Event::Tick)),
            0xe0..0xe8 => member.persist(),
            0xe8..0xf0 => member.apply(),
            0xf0..0xf4 => member.event(Event::Propose(vec![Bytes::from_static(b"honest"); 3])),
            0xf4 => member.event(Event::Campaign),
            0xf5 => member.event(Event::Transfer { to: 2, number: 1 }),
            0xf6 => member.event(Event::Read(1)),
            0xf7 => member.event(Event::DiskStalled(true)),
            0xf8 => member.event(Event::DiskStalled(false)),
            0xf9 => member.event(Event::Unreachable(2)),
            0xfa => member.event(Event::SnapshotSent { to: 2, ok: true }),
            0xfb => member.event(Event::SnapshotSent { to: 3, ok: false }),
            0xfc => member.event(Event::Durable(member.applied.0)),
            0xfd => member.propose_change(raft_engine::ChangeKind::AddLearner, 4),
            0xfe => member.propose_change(raft_engine::ChangeKind::Remove, 3),
            0xff => member.installed(),
        }
    }
    member.let_in > 0
}

const RAW: u8 = 0x60;
const CRAFTED: u8 = 0xd0;

/// A message in raft's encoding; the input gives kind and sender, then distances.
fn crafted(flags: u8, input: &mut Input<'_>, member: &Member) -> Option<Vec<u8>> {
    let status = member.core.status();
    let near = |number: u64, offset: i64| number.saturating_add_signed(offset);
    let (kind, from) = (input.byte()?, input.byte()?);
    let term = near(status.term, input.offset()?);
    let index = near(status.last_index, input.offset()?);
    let log_term = near(status.term, input.offset()?);
    let commit = near(status.committed, input.offset()?);
    let mut out = Vec::new();
    put_number(&mut out, 1, (kind % 20).into());
    put_number(&mut out, 2, 1);
    put_number(&mut out, 3, u64::from(from % 4) + 1);
    put_number(&mut out, 4, term);
    put_number(&mut out, 5, log_term);
    put_number(&mut out, 6, index);
    if flags & 2 != 0 {
        let count = u64::from(input.byte()? % 8);
        let data = input.piece()?;
        for step in 1..=count {
            let mut entry = Vec::new();
            put_number(
                &mut entry,
                1,
                if flags & 4 != 0 { u64::from(from >> 6) } else { 0 },
            );
            put_number(&mut entry, 2, log_term.max(term.min(log_term + step / 3)));
            put_number(&mut entry, 3, index.saturating_add(step));
            put_bytes(&mut entry, 4, data);
            put_bytes(&mut out, 7, &entry);
        }
    }
    put_number(&mut out, 8, commit);
    if flags & 8 != 0 {
        let mut metadata = Vec::new();
        put_bytes(&mut metadata, 1, &member.configuration.encode());
        put_number(&mut metadata, 2, index);
        put_number(&mut metadata, 3, log_term);
        let mut snapshot = Vec::new();
        put_bytes(&mut snapshot, 1, input.piece()?);
        put_bytes(&mut snapshot, 2, &metadata);
        put_bytes(&mut out, 9, &snapshot);
    }
    put_number(&mut out, 10, u64::from(flags >> 4 & 1));
    put_number(&mut out, 11, near(status.last_index, input.offset()?));
    if kind & 0x40 != 0 {
        put_bytes(&mut out, 12, input.piece()?);
    }
    if kind & 0x80 != 0 {
        put_number(&mut out, 13, near(status.committed, input.offset()?));
    }
    Some(out)
}

/// A third of a cluster; its disk and its store are as slow as the input says.
struct Member {
    core: Core,
    configuration: Configuration,
    /// Index and term of the last entry that the store has.
    applied: (u64, u64),
    written: Option<u64>,
    work: Vec<wal::Entry>,
    install: Option<Applied>,
    let_in: usize,
    files: u64,
}

impl Member {
    fn start() -> Member {
        let members: Vec<(u64, Bytes)> = (1..=3).map(|id| (id, Bytes::new())).collect();
        let (entries, hard_state) = first_entries(&members);
        let remembered = Remembered {
            entries,
            hard_state,
            ..Remembered::default()
        };
        let options = CoreOptions {
            id: 1,
            election_ticks: 10,
            pre_vote: true,
            fast_start: false,
            read_retry_ticks: 5,
            request_ticks: 70,
            log_retain_entries: 100,
            log_retain_bytes: 1 << 20,
            seed: 1,
        };
        let mut member = Member {
            core: Core::new(options, remembered).expect("a new member starts"),
            configuration: Configuration::default(),
            applied: (0, 0),
            written: None,
            work: Vec::new(),
            install: None,
            let_in: 0,
            files: 0,
        };
        member.poll();
        member.persist();
        member.apply();
        member
    }

    /// A message that announces a snapshot comes with its files, or without.
    fn receive(&mut self, message: Vec<u8>, with_files: bool) {
        if let Ok(message) = PeerMessage::decode(message.into()) {
            self.let_in += 1;
            self.files += 1;
            let files = with_files.then_some(self.files);
            self.event(Event::Message(message, files));
        }
    }

    fn propose_change(&mut self, kind: raft_engine::ChangeKind, member: u64) {
        let change = Change::single(7, kind, member, Bytes::new());
        self.event(Event::ProposeChange(change));
    }

    fn event(&mut self, event: Event) {
        let what = format!("{event:?}");
        if let Err(broken) = self.core.handle(event) {
            panic!("after {what}: {broken}");
        }
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(output) = self.core.poll() {
            if let Some(write) = output.write.filter(|write| write.must_sync) {
                self.written = Some(write.number);
            }
            for message in output.messages {
                PeerMessage::decode(message.encode()).expect("what is sent is let in by others");
            }
            if let Some(install) = output.install {
                self.work.clear();
                self.install = Some(install.applied);
            }
            self.work.extend(output.committed);
            if output.make_snapshot {
                let applied = Applied {
                    index: self.applied.0,
                    term: self.applied.1,
                    configuration: self.configuration.clone(),
                };
                let made = Event::SnapshotMade { token: 1, applied };
                self.core.handle(made).expect("a snapshot can be made");
            }
        }
    }

    fn persist(&mut self) {
        if let Some(number) = self.written.take() {
            self.event(Event::Persisted(number));
        }
    }

    /// The files of a snapshot are in place.
    fn installed(&mut self) {
        if let Some(applied) = self.install.take() {
            self.applied = (applied.index, applied.term);
            self.configuration = applied.configuration;
            self.event(Event::Applied {
                index: applied.index,
                changes: Vec::new(),
            });
        }
    }

    fn apply(&mut self) {
        if self.install.is_some() {
            return;
        }
        for entry in std::mem::take(&mut self.work) {
            assert_eq!(entry.index, self.applied.0 + 1, "entries come in order");
            self.applied = (entry.index, entry.term);
            let mut changes = Vec::new();
            if entry.kind != 0
                && let Ok(change) = Change::decode(entry.kind, entry.data.clone())
            {
                let next = self.configuration.changed(&change).ok();
                let verdict = if next.is_some() {
                    Verdict::Accepted
                } else {
                    Verdict::Refused
                };
                if let Some(next) = next {
                    self.configuration = next;
                }
                changes.push(AppliedChange {
                    index: entry.index,
                    change,
                    verdict,
                    configuration: self.configuration.clone(),
                });
            }
            self.event(Event::Applied {
                index: entry.index,
                changes,
            });
        }
    }
}
