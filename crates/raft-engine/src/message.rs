//! Messages between members: decoding, and every check that needs no knowledge of this member's state.
//!
//! The `raft` crate trusts its messages: it indexes, adds and asserts on what they say, so a peer could stop the
//! process with a few bytes. What passes here and in [`crate::consensus`]'s guard cannot.

use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb::{Entry, EntryType, Message, MessageType, Snapshot};

use crate::change::Change;
use crate::configuration::{self, Configuration};
use crate::wire::{Fields, Malformed};

/// Larger terms and indices are refused, so that adding to them cannot overflow.
const NUMBER_MAX: u64 = 1 << 62;

/// Raft's own contexts are campaign names and read contexts, all far shorter.
const CONTEXT_BYTES_MAX: usize = 64;

/// Snapshot data is a token of the sender; the state itself travels as files.
const SNAPSHOT_DATA_BYTES_MAX: usize = 1024;

/// A well-formed raft message from or for another member.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerMessage(pub(crate) Message);

/// What kind of message it is, for those who must treat some in their own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Announces a snapshot whose files travel apart.
    Snapshot,
    /// Everything else.
    Other,
}

impl PeerMessage {
    /// Reads a message. Payloads stay slices of `bytes`.
    pub fn decode(bytes: Bytes) -> Result<Self, &'static str> {
        let message = read_message(bytes)?;
        check(&message)?;
        Ok(Self(message))
    }

    /// The bytes for the wire.
    pub fn encode(&self) -> Bytes {
        // Fails only for messages that lack required fields, of which proto3 has none.
        self.0.write_to_bytes().unwrap_or_default().into()
    }

    /// Size of what it carries.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.0.get_entries().iter().map(|entry| entry.data.len()).sum()
    }

    /// The sender.
    pub fn from(&self) -> u64 {
        self.0.from
    }

    /// The receiver.
    pub fn to(&self) -> u64 {
        self.0.to
    }

    /// Which kind it is.
    pub fn kind(&self) -> MessageKind {
        match self.0.get_msg_type() {
            MessageType::MsgSnapshot => MessageKind::Snapshot,
            _ => MessageKind::Other,
        }
    }

    /// One line for tests and traces.
    pub fn describe(&self) -> String {
        let m = &self.0;
        let mut line = format!("{}->{} {:?} term:{}", m.from, m.to, m.get_msg_type(), m.term);
        let mut field = |name: &str, value: u64| {
            if value != 0 {
                line.push_str(&format!(" {name}:{value}"));
            }
        };
        field("index", m.index);
        field("logterm", m.log_term);
        field("commit", m.commit);
        field("hint", m.reject_hint);
        field("snapshot", m.get_snapshot().get_metadata().index);
        if m.reject {
            line.push_str(" rejected");
        }
        if !m.entries.is_empty() {
            let entries: Vec<String> = m
                .entries
                .iter()
                .map(|e| format!("{}/{}", e.term, e.index))
                .collect();
            line.push_str(&format!(" [{}]", entries.join(" ")));
        }
        line
    }
}

fn read_message(bytes: Bytes) -> Result<Message, Malformed> {
    let mut m = Message::default();
    let mut fields = Fields::new(bytes);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => m.set_msg_type(message_type(value.number()?)?),
            2 => m.to = value.number()?,
            3 => m.from = value.number()?,
            4 => m.term = value.number()?,
            5 => m.log_term = value.number()?,
            6 => m.index = value.number()?,
            7 => m.mut_entries().push(read_entry(value.bytes()?)?),
            8 => m.commit = value.number()?,
            9 => m.set_snapshot(read_snapshot(value.bytes()?)?),
            10 => m.reject = value.flag()?,
            11 => m.reject_hint = value.number()?,
            12 => m.context = value.bytes()?,
            13 => m.request_snapshot = value.number()?,
            14 => m.deprecated_priority = value.number()?,
            15 => m.commit_term = value.number()?,
            16 => m.priority = value.number()? as i64,
            _ => {}
        }
    }
    Ok(m)
}

fn read_entry(bytes: Bytes) -> Result<Entry, Malformed> {
    let mut entry = Entry::default();
    let mut fields = Fields::new(bytes);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => entry.set_entry_type(entry_type(value.number()?)?),
            2 => entry.term = value.number()?,
            3 => entry.index = value.number()?,
            4 => entry.data = value.bytes()?,
            _ => {}
        }
    }
    Ok(entry)
}

fn read_snapshot(bytes: Bytes) -> Result<Snapshot, Malformed> {
    let mut snapshot = Snapshot::default();
    let mut fields = Fields::new(bytes);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => snapshot.data = value.bytes()?,
            2 => {
                let metadata = snapshot.mut_metadata();
                let mut fields = Fields::new(value.bytes()?);
                while let Some((field, value)) = fields.next()? {
                    match field {
                        1 => {
                            let state = Configuration::read(value.bytes()?)?;
                            metadata.set_conf_state(configuration::to_raft(&state));
                        }
                        2 => metadata.index = value.number()?,
                        3 => metadata.term = value.number()?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(snapshot)
}

fn message_type(number: u64) -> Result<MessageType, Malformed> {
    use MessageType::*;
    Ok(match number {
        2 => MsgPropose,
        3 => MsgAppend,
        4 => MsgAppendResponse,
        5 => MsgRequestVote,
        6 => MsgRequestVoteResponse,
        7 => MsgSnapshot,
        8 => MsgHeartbeat,
        9 => MsgHeartbeatResponse,
        14 => MsgTimeoutNow,
        15 => MsgReadIndex,
        16 => MsgReadIndexResp,
        17 => MsgRequestPreVote,
        18 => MsgRequestPreVoteResponse,
        // Local to a member (hup, beat, unreachable, snapshot status, check quorum), or asked of the leader only
        // (transfer): no member sends them.
        _ => return Err("unknown or local message type"),
    })
}

fn entry_type(number: u64) -> Result<EntryType, Malformed> {
    Ok(match number {
        0 => EntryType::EntryNormal,
        1 => EntryType::EntryConfChange,
        2 => EntryType::EntryConfChangeV2,
        _ => return Err("unknown entry type"),
    })
}

fn check(m: &Message) -> Result<(), Malformed> {
    use MessageType::*;
    if m.from == 0 || m.to == 0 || m.from == m.to {
        return Err("sender or receiver");
    }
    let numbers = [
        m.term,
        m.log_term,
        m.index,
        m.commit,
        m.commit_term,
        m.reject_hint,
    ];
    if numbers.iter().any(|number| *number >= NUMBER_MAX) {
        return Err("number out of range");
    }
    if m.context.len() > CONTEXT_BYTES_MAX {
        return Err("context too long");
    }
    if m.request_snapshot != 0 || m.priority != 0 || m.deprecated_priority != 0 {
        return Err("snapshot request or priority, which no member uses");
    }
    // Raft takes term 0 for a message of this member's own.
    let kind = m.get_msg_type();
    if (m.term == 0) != matches!(kind, MsgPropose | MsgReadIndex) {
        return Err("term");
    }
    if !m.entries.is_empty() && !matches!(kind, MsgPropose | MsgAppend | MsgReadIndex | MsgReadIndexResp) {
        return Err("entries in a message without");
    }
    match kind {
        MsgAppend => check_append(m),
        MsgPropose if m.entries.is_empty() => Err("empty proposal"),
        MsgPropose => m.entries.iter().try_for_each(check_proposed),
        MsgReadIndex | MsgReadIndexResp => match m.get_entries() {
            [entry] if !entry.data.is_empty() && entry.data.len() <= CONTEXT_BYTES_MAX => Ok(()),
            _ => Err("read context"),
        },
        MsgSnapshot => check_snapshot(m),
        _ => Ok(()),
    }
}

fn check_append(m: &Message) -> Result<(), Malformed> {
    // Raft answers 0 for the term of an entry it does not have, so a term of 0 would match anything.
    if (m.index == 0) != (m.log_term == 0) || m.log_term > m.term {
        return Err("term of the entry before");
    }
    let (mut index, mut term) = (m.index, m.log_term);
    for entry in &m.entries {
        if entry.index != index + 1 {
            return Err("entries with gaps");
        }
        if entry.term < term.max(1) || entry.term > m.term {
            return Err("entry terms out of order");
        }
        (index, term) = (entry.index, entry.term);
    }
    Ok(())
}

fn check_proposed(entry: &Entry) -> Result<(), Malformed> {
    match entry.get_entry_type() {
        EntryType::EntryNormal if entry.data.is_empty() => Err("empty proposal"),
        EntryType::EntryNormal => Ok(()),
        kind => Change::decode(kind as u8, entry.data.clone()).map(drop),
    }
}

fn check_snapshot(m: &Message) -> Result<(), Malformed> {
    let metadata = m.get_snapshot().get_metadata();
    if metadata.index == 0 || metadata.index >= NUMBER_MAX || metadata.term == 0 || metadata.term > m.term {
        return Err("snapshot position");
    }
    if metadata.get_conf_state().voters.is_empty() {
        return Err("snapshot without voters");
    }
    if m.get_snapshot().data.len() > SNAPSHOT_DATA_BYTES_MAX {
        return Err("snapshot data too long");
    }
    Ok(())
}
