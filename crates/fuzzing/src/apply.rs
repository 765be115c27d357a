//! Entries of the log as a leader that means no good would make them, applied: a refusal is an answer, never a fault, and
//! the store that they leave opens again with the same hash.

use crate::wire::Input;
use apply::Machine;
use bytes::Bytes;
use model::{Command, LogIndex, MemberId, Revision, Term};
use std::sync::Arc;
use std::time::Duration;
use storage::memory::MemoryBackend;

/// Each step is a byte for what happens, and a piece for what needs one.
pub(crate) fn run(data: &[u8]) -> bool {
    let backend = Arc::new(MemoryBackend::new());
    let mut machine = Machine::open(backend.clone(), crate::store::options()).expect("an empty store opens");
    let mut input = Input(data);
    let (mut index, mut taken) = (0, 0);
    while let Some(step) = input.byte() {
        let store = machine.shared().store.clone();
        match step % 16 {
            0..10 => {
                let Some(bytes) = input.bytes() else { break };
                let Ok(command) = Command::decode(bytes) else {
                    continue;
                };
                index += 1;
                let outcome = machine.apply(LogIndex(index), Term(1), &command, step % 2 == 0);
                let outcome = outcome.unwrap_or_else(|error| panic!("{command:?}: {error}"));
                taken += usize::from(outcome.result.is_ok());
            }
            10 => {
                let (Some(kind), Some(context)) = (input.byte(), input.piece()) else {
                    break;
                };
                let kind = [
                    membership::ChangeKind::AddVoter,
                    membership::ChangeKind::AddLearner,
                    membership::ChangeKind::Remove,
                    membership::ChangeKind::Update,
                ][usize::from(kind) % 4];
                let member = MemberId(u64::from(step / 16));
                if let Ok(change) = membership::Change::decode(kind, member, context) {
                    index += 1;
                    machine
                        .change_members(LogIndex(index), Term(1), &change, Bytes::new())
                        .expect("a change is no fault")
                        .ok();
                }
            }
            11 => machine
                .shared()
                .lessor
                .lock()
                .promote(Duration::ZERO, Duration::ZERO),
            12 => {
                store
                    .compaction_step(usize::from(step))
                    .expect("memory does not fail");
            }
            13 => _ = machine.take_work(),
            _ => _ = machine.commit().expect("memory does not fail"),
        }
    }
    machine.commit().expect("memory does not fail");
    let store = machine.shared().store.clone();
    store.verify().expect("the store is sound");
    let again = Machine::open(backend, crate::store::options()).expect("what was written opens again");
    let hash = |store: &mvcc::Store| {
        store
            .hash_kv(Revision(0))
            .expect("the newest revision has a hash")
            .hash
    };
    assert_eq!(hash(&again.shared().store), hash(&store));
    assert_eq!(again.applied().index, LogIndex(index));
    assert_eq!(again.cluster(), machine.cluster());
    taken > 0
}
