//! Who raises the alarm that space is short, and clears it again.

use super::{Client, Outcome};
use crate::call::Call;
use model::Request;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::alarm_request::AlarmAction;

/// Raises and clears until faults are over.
pub async fn run(mut client: Client) {
    while !client.is_healed() {
        client.sleep(500, 6000).await;
        let member = client.rng.within(1, 2);
        client
            .call(Call::Manage(set(AlarmAction::Activate, member)))
            .await;
        client.sleep(0, 300).await;
        while !client.is_healed() && client.call(Call::Manage(clear(member))).await == Outcome::Unknown {}
    }
}

/// The request that clears the alarm of a member.
pub fn clear(member: u64) -> Request {
    set(AlarmAction::Deactivate, member)
}

fn set(action: AlarmAction, member_id: u64) -> Request {
    Request::Alarm(pb::AlarmRequest {
        action: action as i32,
        member_id,
        alarm: pb::AlarmType::Nospace as i32,
    })
}
