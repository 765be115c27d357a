//! Users, roles and alarms as a model: which commands of the log are carried out, and which are refused.

use super::keyspace::Lease;
use bytes::Bytes;
use model::pb::authpb::Permission;
use model::pb::authpb::permission::Type;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::alarm_request::AlarmAction;
use model::pb::etcdserverpb::request_op::Request as Op;
use model::{Rejection, Request};
use std::collections::{BTreeMap, BTreeSet};

/// The user, and the role, that may do everything.
const ROOT: &str = "root";

/// On whose behalf something is asked.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Name; empty for nobody.
    pub name: &'a str,
    /// Auth revision of the proof; 0 for nobody.
    pub revision: u64,
}

/// Users and roles at one time.
#[derive(Clone, PartialEq, Debug)]
pub struct Rights {
    enabled: bool,
    /// Auth revision.
    pub revision: u64,
    users: BTreeMap<String, BTreeSet<String>>,
    roles: BTreeMap<String, Vec<Permission>>,
}

/// Alarms that are set, by type and member.
pub type Alarms = BTreeSet<(i32, u64)>;

type Leases = BTreeMap<i64, Lease>;
type Verdict = Result<(), Rejection>;

impl Default for Rights {
    fn default() -> Rights {
        Rights {
            enabled: false,
            revision: 1,
            users: BTreeMap::new(),
            roles: BTreeMap::new(),
        }
    }
}

impl Rights {
    /// Whether a request may be carried out.
    pub fn judge(&self, who: Who<'_>, request: &Request, leases: &Leases) -> Verdict {
        if !self.enabled {
            return Ok(());
        }
        match request {
            Request::Range(range) => self.read(who, &range.key, &range.range_end),
            Request::Put(put) => self.put(who, put, leases),
            Request::DeleteRange(delete) => self.delete(who, delete),
            Request::Txn(txn) => self.txn(who, txn, leases),
            Request::LeaseRevoke(revoke) => self.lease(who, revoke.id, leases),
            _ if request.changes_permissions() => self.root(who),
            _ => Ok(()),
        }
    }

    fn root(&self, who: Who<'_>) -> Verdict {
        match self.users.get(who.name) {
            _ if who.name.is_empty() => Err(Rejection::UserEmpty),
            None => Err(Rejection::UserNotFound),
            Some(roles) if roles.contains(ROOT) => Ok(()),
            Some(_) => Err(Rejection::PermissionDenied),
        }
    }

    fn read(&self, who: Who<'_>, key: &Bytes, end: &Bytes) -> Verdict {
        self.access(who, Type::Read, key, end)
    }

    fn access(&self, who: Who<'_>, wanted: Type, key: &Bytes, end: &Bytes) -> Verdict {
        if who.name.is_empty() || who.revision == 0 {
            return Err(Rejection::UserEmpty);
        }
        if who.revision < self.revision {
            return Err(Rejection::AuthOldRevision);
        }
        let roles = self.users.get(who.name);
        match roles.is_some_and(|roles| roles.contains(ROOT) || self.covers(roles, wanted, key, end)) {
            true => Ok(()),
            false => Err(Rejection::PermissionDenied),
        }
    }

    /// Whether the permissions of these roles together leave no gap in a range.
    fn covers(&self, roles: &BTreeSet<String>, wanted: Type, key: &Bytes, end: &Bytes) -> bool {
        let granted = roles.iter().filter_map(|name| self.roles.get(name)).flatten();
        let fits = |permission: &&Permission| {
            [wanted as i32, Type::Readwrite as i32].contains(&permission.perm_type)
        };
        let granted: Vec<_> = granted
            .filter(fits)
            .map(|permission| bounds(&permission.key, &permission.range_end))
            .collect();
        let (mut at, end) = bounds(key, end);
        loop {
            let holds = |(low, high): &&(Vec<u8>, Option<Vec<u8>>)| {
                *low <= at && high.as_ref().is_none_or(|high| *high > at)
            };
            let Some((_, high)) = granted.iter().find(holds) else {
                return false;
            };
            match (high, &end) {
                (None, _) => return true,
                (Some(high), Some(end)) if high >= end || at >= *end => return true,
                (Some(high), _) => at = high.clone(),
            }
        }
    }

    fn put(&self, who: Who<'_>, put: &pb::PutRequest, leases: &Leases) -> Verdict {
        self.access(who, Type::Write, &put.key, &Bytes::new())?;
        self.lease(who, put.lease, leases)?;
        match put.prev_kv {
            true => self.read(who, &put.key, &Bytes::new()),
            false => Ok(()),
        }
    }

    fn delete(&self, who: Who<'_>, delete: &pb::DeleteRangeRequest) -> Verdict {
        self.access(who, Type::Write, &delete.key, &delete.range_end)?;
        match delete.prev_kv {
            true => self.read(who, &delete.key, &delete.range_end),
            false => Ok(()),
        }
    }

    /// Both branches count, whichever would be taken.
    fn txn(&self, who: Who<'_>, txn: &pb::TxnRequest, leases: &Leases) -> Verdict {
        for compare in &txn.compare {
            self.read(who, &compare.key, &compare.range_end)?;
        }
        for op in txn.success.iter().chain(&txn.failure) {
            match &op.request {
                Some(Op::RequestRange(range)) => self.read(who, &range.key, &range.range_end)?,
                Some(Op::RequestPut(put)) => self.put(who, put, leases)?,
                Some(Op::RequestDeleteRange(delete)) => self.delete(who, delete)?,
                Some(Op::RequestTxn(nested)) => self.txn(who, nested, leases)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Who touches a lease touches all its keys.
    fn lease(&self, who: Who<'_>, id: i64, leases: &Leases) -> Verdict {
        if id == 0 || self.root(who).is_ok() {
            return Ok(());
        }
        let keys = leases.get(&id).map(|lease| &lease.keys);
        for key in keys.into_iter().flatten() {
            self.access(who, Type::Write, key, &Bytes::new())?;
        }
        Ok(())
    }

    /// Carries out what changes users and roles; a refusal has no effect.
    pub fn change(&mut self, request: &Request) -> Verdict {
        match request {
            Request::AuthEnable(_) if !self.enabled => {
                let roles = self.users.get(ROOT).ok_or(Rejection::RootUserNotExist)?;
                if !roles.contains(ROOT) {
                    return Err(Rejection::RootRoleNotGranted);
                }
                self.enabled = true;
                // The one change that has no revision.
                return Ok(());
            }
            Request::AuthDisable(_) if self.enabled => self.enabled = false,
            Request::AuthUserAdd(add) => {
                if self.users.contains_key(&add.name) {
                    return Err(Rejection::UserExists);
                }
                self.users.insert(add.name.clone(), BTreeSet::new());
            }
            Request::AuthUserDelete(delete) => {
                if self.enabled && delete.name == ROOT {
                    return Err(Rejection::InvalidAuthManagement);
                }
                self.users.remove(&delete.name).ok_or(Rejection::UserNotFound)?;
            }
            Request::AuthUserGrantRole(grant) => {
                let roles = self.users.get_mut(&grant.user).ok_or(Rejection::UserNotFound)?;
                if grant.role != ROOT && !self.roles.contains_key(&grant.role) {
                    return Err(Rejection::RoleNotFound);
                }
                if !roles.insert(grant.role.clone()) {
                    return Ok(());
                }
            }
            Request::AuthUserRevokeRole(revoke) => {
                if self.enabled && revoke.name == ROOT && revoke.role == ROOT {
                    return Err(Rejection::InvalidAuthManagement);
                }
                let roles = self.users.get_mut(&revoke.name).ok_or(Rejection::UserNotFound)?;
                if !roles.remove(&revoke.role) {
                    return Err(Rejection::RoleNotGranted);
                }
            }
            Request::AuthRoleAdd(add) => {
                if self.roles.contains_key(&add.name) {
                    return Err(Rejection::RoleExists);
                }
                self.roles.insert(add.name.clone(), Vec::new());
            }
            Request::AuthRoleDelete(delete) => {
                self.roles.remove(&delete.role).ok_or(Rejection::RoleNotFound)?;
                for roles in self.users.values_mut() {
                    roles.remove(&delete.role);
                }
            }
            Request::AuthRoleGrantPermission(grant) => {
                let held = self.roles.get_mut(&grant.name).ok_or(Rejection::RoleNotFound)?;
                let given = grant.perm.clone().ok_or(Rejection::PermissionNotGiven)?;
                held.retain(|held| held.key != given.key || held.range_end != given.range_end);
                held.push(given);
            }
            Request::AuthRoleRevokePermission(revoke) => {
                let held = self.roles.get_mut(&revoke.role).ok_or(Rejection::RoleNotFound)?;
                let before = held.len();
                held.retain(|held| held.key != revoke.key || held.range_end != revoke.range_end);
                if held.len() == before {
                    return Err(Rejection::PermissionNotGranted);
                }
            }
            _ => return Ok(()),
        }
        self.revision += 1;
        Ok(())
    }

    /// What a role allows.
    pub fn role(&self, name: &str) -> &[Permission] {
        self.roles.get(name).map_or(&[], |held| held)
    }
}

/// Sets or clears an alarm.
pub fn alarm(alarms: &mut Alarms, request: &pb::AlarmRequest) {
    let alarm = (request.alarm, request.member_id);
    if request.action == AlarmAction::Activate as i32 {
        alarms.insert(alarm);
    } else if request.action == AlarmAction::Deactivate as i32 {
        alarms.remove(&alarm);
    }
}

/// Whether a request needs space, and so is refused while some is lacking.
pub fn needs_space(request: &Request) -> bool {
    fn writes(txn: &pb::TxnRequest) -> bool {
        let mut ops = txn.success.iter().chain(&txn.failure);
        ops.any(|op| match &op.request {
            Some(Op::RequestPut(_)) => true,
            Some(Op::RequestTxn(nested)) => writes(nested),
            _ => false,
        })
    }
    match request {
        Request::Put(_) | Request::LeaseGrant(_) => true,
        Request::Txn(request) => writes(request),
        _ => false,
    }
}

/// From the first key on, up to but not including the second; without a second, to the end of all keys.
fn bounds(key: &Bytes, end: &Bytes) -> (Vec<u8>, Option<Vec<u8>>) {
    let end = match &end[..] {
        [] => Some([&key[..], b"\0"].concat()),
        b"\0" => None,
        end => Some(end.to_vec()),
    };
    (key.to_vec(), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_that_touch_cover_a_range_together() {
        let permission = |key: &'static str, end: &'static str| Permission {
            perm_type: Type::Readwrite as i32,
            key: key.into(),
            range_end: end.into(),
        };
        let roles = BTreeMap::from([
            ("r".to_owned(), vec![permission("b", "d"), permission("k", "")]),
            ("s".to_owned(), vec![permission("d", "f"), permission("x", "\0")]),
        ]);
        let rights = Rights {
            enabled: true,
            users: BTreeMap::from([("u".to_owned(), BTreeSet::from(["r".to_owned(), "s".to_owned()]))]),
            roles,
            ..Rights::default()
        };
        let who = Who {
            name: "u",
            revision: 1,
        };
        let read = |key: &'static str, end: &'static str| rights.read(who, &key.into(), &end.into());
        for (key, end) in [
            ("b", "f"),
            ("c", ""),
            ("e", "f"),
            ("k", ""),
            ("y", "\0"),
            ("e", "b"),
        ] {
            assert_eq!(read(key, end), Ok(()), "{key} {end}");
        }
        for (key, end) in [
            ("a", ""),
            ("b", "g"),
            ("f", ""),
            ("k", "l"),
            ("b", "\0"),
            ("g", "b"),
        ] {
            assert_eq!(read(key, end), Err(Rejection::PermissionDenied), "{key} {end}");
        }
        let old = Who {
            name: "u",
            revision: 0,
        };
        assert_eq!(
            rights.read(old, &"b".into(), &Bytes::new()),
            Err(Rejection::UserEmpty)
        );
    }
}
