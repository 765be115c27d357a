//! What the other server is, where it is not etcd 3.7.

use crate::step::{NOW, Step};
use anyhow::{Context, bail};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};
use std::path::Path;
use std::process::Command;

/// A version of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// etcd 3.7: all of it.
    #[value(name = "3.7")]
    V37,
    /// etcd 3.4, as Debian 12 has it: what it lacks, or does otherwise, is left out.
    #[value(name = "3.4")]
    V34,
}

impl Dialect {
    /// What a server says of itself when it is run with `--version`.
    pub fn of(binary: &Path) -> anyhow::Result<Dialect> {
        let output = Command::new(binary)
            .arg("--version")
            .output()
            .with_context(|| format!("running {} --version", binary.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().find_map(|line| line.strip_prefix("etcd Version: "));
        match version {
            Some(version) if version.starts_with("3.7.") => Ok(Dialect::V37),
            Some(version) if version.starts_with("3.4.") => Ok(Dialect::V34),
            Some(version) => bail!("no dialect is known for etcd {version}; 3.7 and 3.4 are"),
            None => bail!("{} does not say that it is an etcd", binary.display()),
        }
    }

    /// Whether both sides know the request.
    pub(crate) fn admits(self, step: &Step) -> bool {
        if self == Dialect::V37 {
            return true;
        }
        let asks = |field: &str| {
            any_field(&step.request, &|found, value| {
                found.name() == field && is_set(value)
            })
        };
        let asks_before_the_first = |field: &str| {
            any_field(&step.request, &|found, value| {
                found.name() == field && value.as_i64().is_some_and(|revision| revision < 0)
            })
        };
        if step.method.parent_service().name() == "Auth" {
            return false;
        }
        match step.method.name() {
            // Came with 3.7 and 3.5.
            "RangeStream" | "Downgrade" => return false,
            // Says the version and much that 3.4 does not know.
            "Status" => return false,
            // 3.4 does not answer it.
            "Watch" if asks_before_the_first("start_revision") => return false,
            // 3.4 takes it, and counts another compacted revision from then on.
            "Compact" if number(&step.request, "revision") < 1 => return false,
            // 3.4 refuses some more revisions.
            "HashKV" if ![0, NOW].contains(&number(&step.request, "revision")) => return false,
            // Where several things are wrong, 3.4 finds them in another order.
            "Txn" if asks("revision") && (asks("lease") || asks("ignore_value") || asks("ignore_lease")) => {
                return false;
            }
            _ => {}
        }
        // 3.4 does not look at numbers that an enumeration does not define, and keeps leases where only keys are asked for.
        !any_field(&step.request, &undefined) && !asks("keys_only")
    }

    /// Takes away what 3.4 does not send.
    pub(crate) fn adapt(self, step: &Step, response: &mut DynamicMessage) {
        if self == Dialect::V37 {
            return;
        }
        match step.method.name() {
            "HashKV" => response.clear_field_by_name("hash_revision"),
            "Alarm" => response.clear_field_by_name("header"),
            _ => {}
        }
    }

    /// Whether histories have users. 3.4 checks tokens and permissions in other places, in another order, and says so in
    /// other words.
    pub(crate) fn has_users(self) -> bool {
        self == Dialect::V37
    }

    /// Answers progress requests while watchers still catch up.
    pub(crate) fn reports_progress_too_early(self) -> bool {
        self == Dialect::V34
    }
}

/// Whether something holds for a field of the message or of one within it.
fn any_field(message: &DynamicMessage, holds: &impl Fn(&FieldDescriptor, &Value) -> bool) -> bool {
    message.fields().any(|(field, value)| match value {
        Value::Message(message) => any_field(message, holds),
        Value::List(values) => values.iter().any(|value| match value {
            Value::Message(message) => any_field(message, holds),
            value => holds(&field, value),
        }),
        value => holds(&field, value),
    })
}

fn number(message: &DynamicMessage, field: &str) -> i64 {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_i64()).unwrap_or(0)
}

fn is_set(value: &Value) -> bool {
    !matches!(value, Value::Bool(false) | Value::I64(0))
}

fn undefined(field: &FieldDescriptor, value: &Value) -> bool {
    match (field.kind(), value) {
        (Kind::Enum(of), Value::EnumNumber(number)) => of.get_value(*number).is_none(),
        _ => false,
    }
}
