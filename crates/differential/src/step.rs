//! One request of a history, and histories as text.

use crate::catalog::{POOL, method};
use anyhow::{Context, bail};
use prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

/// A request, and whose token goes with it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which call.
    pub method: MethodDescriptor,
    /// What is sent. Numbers near [`NOW`] stand for revisions that are known only while the history runs.
    pub request: DynamicMessage,
    /// User whose last token is sent; `None`: no token.
    pub user: Option<String>,
}

/// The store's revision at the time of the request: `NOW - 3` in any 64-bit field is three revisions
/// earlier, but not below 1.
pub(crate) const NOW: i64 = 1 << 50;
/// How far from [`NOW`] a number still counts as relative.
const NOW_REACH: i64 = 1 << 20;

impl Step {
    /// A step without a token. Panics if there is no such method: names are written by hand, beside the messages.
    pub(crate) fn new(name: &str, request: &impl Message) -> Step {
        let method = method(name).expect("a method of the API");
        let request = DynamicMessage::decode(method.input(), request.encode_to_vec().as_slice())
            .expect("the message of this method");
        Step {
            method,
            request,
            user: None,
        }
    }

    /// `KV/Range`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.method.parent_service().name(), self.method.name())
    }

    /// With numbers instead of `NOW ± n`.
    pub(crate) fn at(&self, revision: i64) -> Step {
        let mut step = self.clone();
        place(&mut step.request, revision);
        step
    }
}

fn place(message: &mut DynamicMessage, revision: i64) {
    for (_, value) in message.fields_mut() {
        place_value(value, revision);
    }
}

fn place_value(value: &mut Value, revision: i64) {
    match value {
        Value::I64(number) if number.abs_diff(NOW) < NOW_REACH as u64 => {
            *number = (revision + (*number - NOW)).max(1);
        }
        Value::Message(message) => place(message, revision),
        Value::List(values) => values.iter_mut().for_each(|value| place_value(value, revision)),
        _ => {}
    }
}

/// One line per step: method, `@user` if a token goes with it, and the request in protobuf's text format.
pub fn write_script(history: &[Step]) -> String {
    let mut script = String::new();
    for step in history {
        script += &step.to_string();
        script.push('\n');
    }
    script
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name())?;
        if let Some(user) = &self.user {
            write!(f, " @{user}")?;
        }
        let text = self.request.to_text_format();
        if !text.is_empty() {
            write!(f, " {text}")?;
        }
        Ok(())
    }
}

/// Reads what [`write_script`] wrote; empty lines and lines with `#` in front are skipped.
pub fn read_script(text: &str) -> anyhow::Result<Vec<Step>> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| read_step(line).with_context(|| format!("line {}: {line}", number + 1)))
        .collect()
}

fn read_step(line: &str) -> anyhow::Result<Step> {
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    let Some(method) = method(name) else {
        bail!("no method {name:?}; write SERVICE/METHOD, for example KV/Range");
    };
    let (user, text) = match rest.strip_prefix('@') {
        Some(rest) => {
            let (user, text) = rest.split_once(' ').unwrap_or((rest, ""));
            (Some(user.to_owned()), text)
        }
        None => (None, rest),
    };
    let input = POOL
        .get_message_by_name(method.input().full_name())
        .context("its message")?;
    let request = DynamicMessage::parse_text_format(input, text)?;
    Ok(Step {
        method,
        request,
        user,
    })
}
