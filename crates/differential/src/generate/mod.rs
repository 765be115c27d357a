//! Random histories. The same seed always gives the same one.

mod admin;
mod auth;
mod dice;
mod kv;
mod lease;
mod watch;

use crate::dialect::Dialect;
use crate::step::Step;
use dice::Dice;

/// A family of requests.
type Family = fn(&mut Dice) -> Vec<Step>;

const FAMILIES: &[Family] = &[
    kv::range,
    kv::put,
    kv::delete,
    kv::txn,
    kv::compact,
    kv::hash,
    lease::any,
    watch::any,
    auth::any,
    admin::any,
];
/// What a family may weigh. Each history draws anew: some faults show only where one kind of request is rare, or
/// all there is.
const WEIGHTS: &[&[u32]] = &[
    &[4, 16, 32],
    &[4, 16, 32],
    &[1, 4, 16],
    &[0, 4, 16],
    &[0, 1, 4],
    &[1, 4],
    &[0, 1, 4, 16],
    &[0, 1, 4, 16],
    &[0, 0, 1],
    &[0, 1],
];
/// One history in so many is played by users to a server with authentication.
const WITH_USERS: u32 = 4;

/// A history of about so many steps that only holds what the dialect knows.
pub fn generate(seed: u64, steps: usize, dialect: Dialect) -> Vec<Step> {
    let mut dice = Dice::new(seed);
    let mut history = Vec::with_capacity(steps);
    let mut weights: Vec<u32> = WEIGHTS.iter().map(|choices| dice.pick(choices)).collect();
    let with_users = dice.one_in(WITH_USERS) && dialect.has_users();
    if with_users {
        dice.inverted = false;
        history.extend(auth::prologue(&mut dice));
        weights[8] = dice.pick(&[1, 4, 16]);
    }
    while history.len() < steps {
        let mut some = FAMILIES[dice.weighted(&weights)](&mut dice);
        if with_users {
            let user = auth::somebody(&mut dice);
            for step in &mut some {
                step.user.get_or_insert_with(|| user.clone());
            }
        }
        history.extend(some);
    }
    history.extend(epilogue(with_users));
    history.retain(|step| dialect.admits(step));
    history
}

/// Everything there is, and its hash.
fn epilogue(with_users: bool) -> Vec<Step> {
    let mut last = [kv::everything(), lease::everything(), kv::hash_now()].concat();
    if with_users {
        let mut as_root = last.clone();
        for step in &mut as_root {
            step.user = Some("root".to_owned());
        }
        last.push(auth::login("root"));
        last.extend(as_root);
    }
    last
}
