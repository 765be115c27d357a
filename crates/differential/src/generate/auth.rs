//! Users, roles and permissions.

use super::dice::Dice;
use crate::step::Step;
use model::pb::authpb::{Permission, UserAddOptions};
use model::pb::etcdserverpb::*;

const USERS: &[&str] = &["root", "alice", "bob", "carol"];
const ROLES: &[&str] = &["root", "readers", "writers", "owners"];

/// Who sends the next request; nobody's token is none.
pub(super) fn somebody(dice: &mut Dice) -> String {
    let users = &["root", "root", "alice", "alice", "bob", "carol", "nobody"];
    (dice.pick(users)).to_owned()
}

fn user(dice: &mut Dice) -> String {
    match dice.below(40) {
        0 => String::new(),
        _ => (dice.pick(USERS)).to_owned(),
    }
}

fn role(dice: &mut Dice) -> String {
    match dice.below(40) {
        0 => String::new(),
        _ => (dice.pick(ROLES)).to_owned(),
    }
}

fn password(of: &str) -> String {
    format!("{of}'s password")
}

pub(super) fn login(name: &str) -> Step {
    let request = AuthenticateRequest {
        name: name.to_owned(),
        password: password(name),
    };
    Step::new("Auth/Authenticate", &request)
}

fn add_user(name: &str) -> Step {
    let request = AuthUserAddRequest {
        name: name.to_owned(),
        password: password(name),
        ..AuthUserAddRequest::default()
    };
    Step::new("Auth/UserAdd", &request)
}

fn grant_role(user: &str, role: &str) -> Step {
    let request = AuthUserGrantRoleRequest {
        user: user.to_owned(),
        role: role.to_owned(),
    };
    Step::new("Auth/UserGrantRole", &request)
}

/// Everybody is there, may do something, and is logged in.
pub(super) fn prologue(dice: &mut Dice) -> Vec<Step> {
    let mut steps = vec![Step::new(
        "Auth/RoleAdd",
        &AuthRoleAddRequest { name: "root".into() },
    )];
    for name in USERS {
        steps.push(add_user(name));
    }
    steps.push(grant_role("root", "root"));
    for role in &ROLES[1..] {
        let name = (*role).to_owned();
        steps.push(Step::new("Auth/RoleAdd", &AuthRoleAddRequest { name }));
        for _ in 0..dice.below(4) {
            let permission = grant_permission(dice, role);
            steps.push(permission);
        }
        let user = dice.pick(USERS);
        steps.push(grant_role(user, role));
    }
    steps.push(Step::new("Auth/AuthEnable", &AuthEnableRequest {}));
    steps.extend(USERS.iter().map(|name| login(name)));
    steps
}

fn grant_permission(dice: &mut Dice, role: &str) -> Step {
    let (key, range_end) = dice.range();
    let perm = Permission {
        perm_type: dice.variant(3),
        key,
        range_end,
    };
    let request = AuthRoleGrantPermissionRequest {
        name: role.to_owned(),
        perm: (!dice.one_in(40)).then_some(perm),
    };
    Step::new("Auth/RoleGrantPermission", &request)
}

pub(super) fn any(dice: &mut Dice) -> Vec<Step> {
    let step = match dice.below(36) {
        0 => Step::new("Auth/AuthEnable", &AuthEnableRequest {}),
        1 if dice.one_in(4) => Step::new("Auth/AuthDisable", &AuthDisableRequest {}),
        1..=2 => Step::new("Auth/AuthStatus", &AuthStatusRequest {}),
        3..=4 => {
            let name = user(dice);
            let password = if dice.one_in(3) {
                "wrong".to_owned()
            } else {
                password(&name)
            };
            Step::new("Auth/Authenticate", &AuthenticateRequest { name, password })
        }
        5..=8 => login(dice.pick(USERS)),
        9 => add_user(&user(dice)),
        10 => odd_user(dice),
        11 => Step::new("Auth/UserDelete", &AuthUserDeleteRequest { name: user(dice) }),
        12 => change_password(dice),
        13..=15 => grant_role(&user(dice), &role(dice)),
        16 => {
            let (name, role) = (user(dice), role(dice));
            Step::new("Auth/UserRevokeRole", &AuthUserRevokeRoleRequest { name, role })
        }
        17..=18 => Step::new("Auth/UserGet", &AuthUserGetRequest { name: user(dice) }),
        19 => Step::new("Auth/UserList", &AuthUserListRequest {}),
        20 => Step::new("Auth/RoleAdd", &AuthRoleAddRequest { name: role(dice) }),
        21 => Step::new("Auth/RoleDelete", &AuthRoleDeleteRequest { role: role(dice) }),
        22..=24 => Step::new("Auth/RoleGet", &AuthRoleGetRequest { role: role(dice) }),
        25 => Step::new("Auth/RoleList", &AuthRoleListRequest {}),
        26..=28 => {
            let (role, (key, range_end)) = (role(dice), dice.range());
            let request = AuthRoleRevokePermissionRequest { role, key, range_end };
            Step::new("Auth/RoleRevokePermission", &request)
        }
        _ => {
            let role = role(dice);
            grant_permission(dice, &role)
        }
    };
    let mut step = step;
    // Mostly by one who may.
    if dice.one_in(2) {
        step.user = Some("root".to_owned());
    }
    vec![step]
}

/// Without a password, with one that is no hash, with nothing.
fn odd_user(dice: &mut Dice) -> Step {
    let name = user(dice);
    let no_password = dice.one_in(2);
    let request = AuthUserAddRequest {
        password: if dice.one_in(2) {
            password(&name)
        } else {
            String::new()
        },
        hashed_password: if dice.one_in(4) {
            "no hash".to_owned()
        } else {
            String::new()
        },
        options: dice.one_in(2).then_some(UserAddOptions { no_password }),
        name,
    };
    Step::new("Auth/UserAdd", &request)
}

fn change_password(dice: &mut Dice) -> Step {
    let name = user(dice);
    let request = AuthUserChangePasswordRequest {
        password: if dice.one_in(8) {
            String::new()
        } else {
            password(&name)
        },
        hashed_password: if dice.one_in(8) {
            "no hash".to_owned()
        } else {
            String::new()
        },
        name,
    };
    Step::new("Auth/UserChangePassword", &request)
}
