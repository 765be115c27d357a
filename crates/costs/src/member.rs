//! One member without raft: what a request goes through between its bytes and those of its answer.

use crate::operations::Failure;
use apply::{Machine, Outcome, validate};
use auth::Tokens;
use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use model::{ClusterId, Command, LogIndex, Reply, Request, Term};
use mvcc::{Changes, Read};
use prost::Message;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use storage::memory::MemoryBackend;
use watch::Hub;

/// Requests that are applied and committed together: about what one turn of a busy member's log brings.
pub const GROUP: usize = 100;

/// A state machine and its watchers.
pub struct Member {
    machine: Machine,
    hub: Hub,
    index: u64,
    replies: Vec<Reply>,
}

impl Member {
    /// With an empty store.
    pub fn new() -> Result<Member, Failure> {
        let options = apply::Options {
            cluster: ClusterId(1),
            quota_bytes: Some(2 << 30),
            mvcc: mvcc::Options::default(),
            lease: lease::Options::default(),
            tokens: Arc::new(Tokens::open("simple", Duration::from_secs(300))?),
        };
        let machine = Machine::open(Arc::new(MemoryBackend::new()), options)?;
        let hub = Hub::new(machine.shared().store.clone(), watch::Options::default());
        Ok(Member {
            machine,
            hub,
            index: 0,
            replies: Vec::new(),
        })
    }

    /// The watchers.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// A put from its bytes to its proposal, and from the entry that comes back to its reply.
    pub fn put(&mut self, request: Bytes) -> Result<(), Failure> {
        let request = pb::PutRequest::decode(request)?;
        validate::put(&request)?;
        self.propose(Request::Put(request))
    }

    /// As [`Member::put`], for a transaction.
    pub fn txn(&mut self, request: Bytes) -> Result<(), Failure> {
        let request = pb::TxnRequest::decode(request)?;
        validate::txn(&request, 128)?;
        self.propose(Request::Txn(request))
    }

    fn propose(&mut self, request: Request) -> Result<(), Failure> {
        self.index += 1;
        let entry = Command::new(self.index, request).encode();
        let command = Command::decode(entry)?;
        let Outcome { result, .. } = self
            .machine
            .apply(LogIndex(self.index), Term(1), &command, true)?;
        self.replies.push(result?);
        Ok(())
    }

    /// Ends a group: writes it, and answers what changed. The replies are still to be sent.
    pub fn commit(&mut self) -> Result<Vec<Arc<Changes>>, Failure> {
        let changes = self.machine.commit()?;
        black_box(self.machine.take_work());
        Ok(changes)
    }

    /// Encodes the replies of the group.
    pub fn answer(&mut self) {
        for reply in self.replies.drain(..) {
            match reply {
                Reply::Put(mut response) => {
                    fill(&mut response.header);
                    black_box(response.encode_to_vec());
                }
                Reply::Txn(mut response) => {
                    fill(&mut response.header);
                    black_box(response.encode_to_vec());
                }
                _ => unreachable!("only puts and transactions are proposed here"),
            }
        }
    }

    /// A get from its bytes to those of its answer.
    pub fn get(&self, request: Bytes) -> Result<(), Failure> {
        let request = pb::RangeRequest::decode(request)?;
        validate::range(&request)?;
        let mut response = self.machine.shared().store.view().range(&request)?;
        fill(&mut response.header);
        black_box(response.encode_to_vec());
        Ok(())
    }

    /// As [`Member::get`], for many keys: their bytes go as they were stored, between the other fields.
    pub fn range(&self, request: Bytes) -> Result<(), Failure> {
        let request = pb::RangeRequest::decode(request)?;
        validate::range(&request)?;
        let answer = self.machine.shared().store.view().range_wire(&request)?;
        let mut before = pb::RangeResponse::default();
        fill(&mut before.header);
        let after = pb::RangeResponse {
            more: answer.more,
            count: answer.count,
            ..Default::default()
        };
        black_box((before.encode_to_vec(), answer.kvs, after.encode_to_vec()));
        Ok(())
    }
}

/// What a gateway adds to the header that the state machine gave.
pub fn fill(header: &mut Option<pb::ResponseHeader>) {
    let header = header.get_or_insert_default();
    header.cluster_id = 0xcdf8_181e_3277_a000;
    header.member_id = 0x8e9e_05c5_2164_6940;
    header.raft_term = 2;
}
