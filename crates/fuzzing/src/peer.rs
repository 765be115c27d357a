//! What other members send, before anybody acts on it: raft messages, changes of members, configurations.

use bytes::Bytes;
use raft_engine::consensus::HardState;
use raft_engine::{Change, Configuration, PeerMessage};

/// The first byte says what the others are.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((kind, body)) = data.split_first() else {
        return false;
    };
    let body = Bytes::copy_from_slice(body);
    match kind % 8 {
        0..4 => message(body),
        4 => HardState::decode(body).is_some(),
        5 => configuration(&body),
        kind => change(kind - 5, body),
    }
}

fn message(body: Bytes) -> bool {
    let Ok(message) = PeerMessage::decode(body) else {
        return false;
    };
    let _ = message.describe();
    let again = PeerMessage::decode(message.encode()).expect("what was let in once is let in again");
    assert_eq!(again.describe(), message.describe());
    true
}

fn configuration(body: &[u8]) -> bool {
    let Some(configuration) = Configuration::decode(body) else {
        return false;
    };
    assert_eq!(
        Configuration::decode(&configuration.encode()),
        Some(configuration.clone())
    );
    configuration.members().len() > 1
}

fn change(kind: u8, body: Bytes) -> bool {
    let Ok(change) = Change::decode(kind, body) else {
        return false;
    };
    let three = Configuration {
        voters: vec![1, 2, 3],
        ..Configuration::default()
    };
    if let Ok(next) = three.changed(&change) {
        assert!(!next.members().is_empty(), "{change:?} leaves nobody");
    }
    for step in &change.steps {
        let kind = match step.kind {
            raft_engine::ChangeKind::AddVoter => membership::ChangeKind::AddVoter,
            raft_engine::ChangeKind::AddLearner => membership::ChangeKind::AddLearner,
            raft_engine::ChangeKind::Remove => membership::ChangeKind::Remove,
            raft_engine::ChangeKind::Update => membership::ChangeKind::Update,
        };
        let _ = membership::Change::decode(kind, model::MemberId(step.member), &change.context);
    }
    true
}
