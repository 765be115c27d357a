//! What two faithful servers may answer differently. Everything else is compared: ids of cluster and member too, since
//! both are started with the same name, token and peer URL, and so is the term of raft.

use crate::step::Step;
use crate::ties;
use prost_reflect::{DynamicMessage, Value};

/// A lease may have been granted so many seconds before its time to live is asked for.
const LEASE_AGE_MAX: i64 = 120;

/// Makes equal what need not be.
pub(crate) fn response(step: &Step, response: &mut DynamicMessage) {
    match step.method.name() {
        "Range" => ties::range(&step.request, response),
        "RangeStream" => {
            if let Some(Value::Message(response)) = response.get_field_by_name_mut("range_response") {
                ties::range(&step.request, response);
            }
        }
        "Txn" => ties::txn(&step.request, response),
        "RoleGet" => newest_permissions(response),
        // Random letters.
        "Authenticate" if response.has_field_by_name("token") => {
            response.set_field_by_name("token", Value::String("a token".into()));
        }
        // Time passes; etcd names the keys in no order.
        "LeaseTimeToLive" => {
            let granted = number(response, "grantedTTL");
            let left = number(response, "TTL");
            if (0..=LEASE_AGE_MAX).contains(&granted.saturating_sub(left)) {
                response.set_field_by_name("TTL", Value::I64(granted));
            }
            sort(response, "keys");
        }
        // By expiry, which two servers do not see at the same nanosecond.
        "LeaseLeases" => sort(response, "leases"),
        // The files differ, and so does how many entries a server writes for itself; etcd raises its storage version some
        // seconds after the start.
        "Status" => {
            for field in [
                "dbSize",
                "dbSizeInUse",
                "raftIndex",
                "raftAppliedIndex",
                "storageVersion",
            ] {
                response.clear_field_by_name(field);
            }
        }
        _ => {}
    }
}

/// One permission for each range: etcd replaces what was granted for the same range only where no other range of the role
/// begins with the same key.
fn newest_permissions(response: &mut DynamicMessage) {
    let Some(Value::List(permissions)) = response.get_field_by_name_mut("perm") else {
        return;
    };
    let range = |permission: &Value| {
        let permission = permission.as_message()?;
        Some(["key", "range_end"].map(|field| {
            permission
                .get_field_by_name(field)
                .map(|value| value.into_owned())
        }))
    };
    let mut newest: Vec<Value> = Vec::new();
    for permission in permissions.drain(..) {
        newest.retain(|older| range(older) != range(&permission));
        newest.push(permission);
    }
    newest.sort_by_cached_key(Value::to_string);
    *permissions = newest;
}

/// Of the creation or the end of a watcher; its events are compared apart.
pub(crate) fn watch_response(response: &mut DynamicMessage) {
    response.clear_field_by_name("events");
    // Who is told that the history is gone is told so in the background, at some later revision.
    if number(response, "compact_revision") != 0
        && let Some(Value::Message(header)) = response.get_field_by_name_mut("header")
    {
        header.clear_field_by_name("revision");
    }
}

fn number(message: &DynamicMessage, field: &str) -> i64 {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_i64()).unwrap_or(0)
}

fn sort(message: &mut DynamicMessage, field: &str) {
    if let Some(Value::List(values)) = message.get_field_by_name_mut(field) {
        values.sort_by_cached_key(Value::to_string);
    }
}
