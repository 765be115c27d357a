//! The administrator: adds learners, promotes them, removes members, hands leadership over.

use super::{Client, Order, Outcome};
use crate::call::{Call, Done};
use crate::swarm::Swarm;
use model::MemberId;
use model::pb::etcdserverpb as pb;

/// Members that a cluster grows to at most.
const MEMBERS_MAX: usize = 5;

/// Works until faults are over; what it has begun is left as it is.
pub async fn run(mut client: Client, swarm: Swarm) {
    let mut number = 100;
    loop {
        client.sleep(300, 1500).await;
        {
            let desk = client.desk.lock();
            if desk.stop || desk.healed {
                return;
            }
        }
        if swarm.faults.transfer && client.rng.percent(40) {
            let to = *client.rng.pick(&client.desk.lock().endpoints.clone());
            client.call(Call::MoveLeader(MemberId(to))).await;
        }
        if !swarm.faults.members {
            continue;
        }
        let Outcome::Done(Done::Members(_, members)) = client.call(Call::MemberList).await else {
            continue;
        };
        let endpoints = client.desk.lock().endpoints.clone();
        let orphan = members
            .iter()
            .find(|member| member.is_learner && !endpoints.contains(&member.id));
        if let Some(orphan) = orphan {
            // Added by a call whose answer got lost: nobody has a machine for it.
            remove(&mut client, orphan.id).await;
            continue;
        }
        let learner = members
            .iter()
            .find(|member| member.is_learner)
            .map(|member| member.id);
        match learner {
            Some(learner) if client.rng.percent(70) => {
                client.call(Call::MemberPromote(MemberId(learner))).await;
            }
            Some(learner) if client.rng.percent(20) => remove(&mut client, learner).await,
            Some(_) => {}
            None if members.len() < MEMBERS_MAX && client.rng.percent(60) => {
                number += 1;
                add(&mut client, number).await;
            }
            None if members.len() > swarm.members as usize => {
                let victim = client.rng.pick(&members).id;
                remove(&mut client, victim).await;
            }
            None => {}
        }
    }
}

async fn add(client: &mut Client, number: u64) {
    let url = format!("http://m{number}:2380");
    let call = Call::MemberAdd { url, learner: true };
    if let Outcome::Done(Done::Members(Some(member), members)) = client.call(call).await {
        start(client, &member, members);
    }
}

fn start(client: &mut Client, member: &pb::Member, members: Vec<pb::Member>) {
    client.desk.lock().orders.push(Order::Start(member.id, members));
}

async fn remove(client: &mut Client, id: u64) {
    if let Outcome::Done(_) = client.call(Call::MemberRemove(MemberId(id))).await {
        client.desk.lock().orders.push(Order::Gone(id));
    }
}
