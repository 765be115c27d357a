//! Who looks after users and roles, and changes them all the time.

use super::{Client, Outcome};
use crate::call::Call;
use crate::swarm::Swarm;
use bytes::Bytes;
use model::Request;
use model::pb::authpb::permission::Type;
use model::pb::authpb::{Permission, UserAddOptions};
use model::pb::etcdserverpb as pb;

/// Users besides root.
pub const USERS: u64 = 3;
/// Roles besides root.
const ROLES: u64 = 3;

/// Sets users and roles up, then changes them until faults are over.
pub async fn run(mut client: Client, swarm: Swarm) {
    let mut setting_up = vec![add_user("root"), grant_role("root", "root")];
    for number in 0..ROLES {
        setting_up.push(add_role(&format!("r{number}")));
        setting_up.push(grant(&mut client, &swarm, &format!("r{number}")));
    }
    for number in 0..USERS {
        setting_up.push(add_user(&format!("u{number}")));
        setting_up.push(grant_role(&format!("u{number}"), &format!("r{number}")));
    }
    setting_up.push(Request::AuthEnable(pb::AuthEnableRequest {}));
    for request in setting_up {
        // Refused is what was done already, by a call whose answer got lost.
        while client.call(Call::Manage(request.clone())).await == Outcome::Unknown {
            if client.is_healed() {
                return;
            }
        }
    }
    while !client.is_healed() {
        client.sleep(20, 800).await;
        let request = choose(&mut client, &swarm);
        client.call(Call::Manage(request)).await;
    }
}

fn choose(client: &mut Client, swarm: &Swarm) -> Request {
    let user = format!("u{}", client.rng.below(USERS));
    let role = format!("r{}", client.rng.below(ROLES));
    match client.rng.below(100) {
        0..30 => grant(client, swarm, &role),
        30..50 => {
            let held = client.desk.lock().judge.permits.current().role(&role).to_vec();
            let Some(victim) = (!held.is_empty()).then(|| client.rng.pick(&held).clone()) else {
                return grant(client, swarm, &role);
            };
            Request::AuthRoleRevokePermission(pb::AuthRoleRevokePermissionRequest {
                role,
                key: victim.key,
                range_end: victim.range_end,
            })
        }
        50..70 => grant_role(&user, &role),
        70..80 => Request::AuthUserRevokeRole(pb::AuthUserRevokeRoleRequest { name: user, role }),
        80..84 => Request::AuthUserDelete(pb::AuthUserDeleteRequest { name: user }),
        84..90 => add_user(&user),
        90..92 => Request::AuthRoleDelete(pb::AuthRoleDeleteRequest { role }),
        92..96 => add_role(&role),
        96 => Request::AuthDisable(pb::AuthDisableRequest {}),
        _ => Request::AuthEnable(pb::AuthEnableRequest {}),
    }
}

fn add_user(name: &str) -> Request {
    Request::AuthUserAdd(pb::AuthUserAddRequest {
        name: name.to_owned(),
        options: Some(UserAddOptions { no_password: true }),
        ..Default::default()
    })
}

fn add_role(name: &str) -> Request {
    Request::AuthRoleAdd(pb::AuthRoleAddRequest {
        name: name.to_owned(),
    })
}

fn grant_role(user: &str, role: &str) -> Request {
    Request::AuthUserGrantRole(pb::AuthUserGrantRoleRequest {
        user: user.to_owned(),
        role: role.to_owned(),
    })
}

/// A key, some keys, or all of them; those of a run with few keys are mostly covered, those of one with many are not.
fn grant(client: &mut Client, swarm: &Swarm, role: &str) -> Request {
    let key = |client: &mut Client| -> Bytes { format!("k{}", client.rng.below(swarm.keys)).into() };
    let (one, two) = (key(client), key(client));
    let (key, range_end) = match client.rng.below(5) {
        0 | 1 => (one, Bytes::new()),
        2 | 3 if one < two => (one, two),
        2 | 3 if two < one => (two, one),
        _ => ("k".into(), "l".into()),
    };
    let kinds = [Type::Read, Type::Write, Type::Readwrite, Type::Readwrite];
    Request::AuthRoleGrantPermission(pb::AuthRoleGrantPermissionRequest {
        name: role.to_owned(),
        perm: Some(Permission {
            perm_type: *client.rng.pick(&kinds) as i32,
            key,
            range_end,
        }),
    })
}
