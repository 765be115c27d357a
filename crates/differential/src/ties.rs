//! Sorted answers where several keys have the same version, revision or value. etcd sorts such keys with an algorithm
//! that may exchange equals, so their order, and which of them a limit cuts off, is nobody's promise.

use prost_reflect::{DynamicMessage, Value};
use std::cmp::Ordering;

/// Puts equals in order of their keys, and takes away the last of them where the limit cut through them.
pub(crate) fn range(request: &DynamicMessage, response: &mut DynamicMessage) {
    let target = match number(request, "sort_target") {
        1 => "version",
        2 => "create_revision",
        3 => "mod_revision",
        4 => "value",
        _ => return,
    };
    let order = number(request, "sort_order");
    // Without an order, a target other than the key still sorts, upwards.
    let descending = order == 2;
    let more = boolean(response, "more");
    let Some(Value::List(kvs)) = response.get_field_by_name_mut("kvs") else {
        return;
    };
    // Values are not there to be compared, though they were sorted by.
    if target == "value" && boolean(request, "keys_only") {
        kvs.sort_by_cached_key(Value::to_string);
        if more {
            kvs.clear();
        }
        return;
    }
    kvs.sort_by(|a, b| {
        let by_target = compare(a, b, target);
        let by_target = if descending {
            by_target.reverse()
        } else {
            by_target
        };
        by_target.then_with(|| compare(a, b, "key"))
    });
    if more && let Some(last) = kvs.last().cloned() {
        kvs.retain(|kv| compare(kv, &last, target) != Ordering::Equal);
    }
}

/// The same for every range of a transaction, and of those within it.
pub(crate) fn txn(request: &DynamicMessage, response: &mut DynamicMessage) {
    let branch = if boolean(response, "succeeded") {
        "success"
    } else {
        "failure"
    };
    let operations = request.get_field_by_name(branch);
    let operations = operations.as_deref().and_then(Value::as_list).unwrap_or_default();
    let Some(Value::List(responses)) = response.get_field_by_name_mut("responses") else {
        return;
    };
    for (operation, response) in operations.iter().zip(responses) {
        let (Some(operation), Value::Message(response)) = (operation.as_message(), response) else {
            continue;
        };
        for (asked, answered, settle) in [
            ("request_range", "response_range", range as fn(&_, &mut _)),
            ("request_txn", "response_txn", txn),
        ] {
            if !response.has_field_by_name(answered) {
                continue;
            }
            let request = operation.get_field_by_name(asked);
            let request = request.as_deref().and_then(Value::as_message);
            if let (Some(request), Some(Value::Message(response))) =
                (request, response.get_field_by_name_mut(answered))
            {
                settle(request, response);
            }
        }
    }
}

fn compare(a: &Value, b: &Value, field: &str) -> Ordering {
    let field = |value: &Value| {
        let message = value.as_message()?;
        Some(message.get_field_by_name(field)?.into_owned())
    };
    match (field(a), field(b)) {
        (Some(Value::I64(a)), Some(Value::I64(b))) => a.cmp(&b),
        (Some(Value::Bytes(a)), Some(Value::Bytes(b))) => a.cmp(&b),
        _ => Ordering::Equal,
    }
}

fn number(message: &DynamicMessage, field: &str) -> i32 {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_enum_number()).unwrap_or(0)
}

fn boolean(message: &DynamicMessage, field: &str) -> bool {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_bool()).unwrap_or(false)
}
