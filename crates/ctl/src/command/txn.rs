//! `txn`: compares, operations if they hold, operations if not; one on a line, an empty line after each part.

use super::{delete, get, put};
use crate::context::{Context, say};
use crate::exit::{Failure, Result};
use crate::go::{quote, scan_quoted, unquote};
use crate::print::Report;
use clap::{Args, FromArgMatches, Subcommand};
use client::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use client::pb::etcdserverpb::request_op::Request;
use client::pb::etcdserverpb::{Compare, RequestOp, TxnRequest};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// Conditions, requests if they hold, and requests if they do not, one on a line, with an empty line after each part:
///
/// mod("key1") > "0"
///
/// put key1 "overwritten"
///
/// put key1 "created"
///
#[derive(Args, Debug)]
pub struct Flags {
    #[arg(hide = true)]
    args: Vec<OsString>,
    /// say what is to be entered
    #[arg(short, long)]
    interactive: bool,
}

pub async fn run(context: &Context, flags: Flags) -> Result {
    super::none(&flags.args, "txn command does not accept argument")?;
    let client = context.patient_client().await?;
    let prompt = |text: &str| match flags.interactive {
        true => say(text),
        false => Ok(()),
    };
    prompt("compares:")?;
    let compare = read_part(parse_compare)?;
    prompt("success requests (get, put, del):")?;
    let success = read_part(parse_op)?;
    prompt("failure requests (get, put, del):")?;
    let failure = read_part(parse_op)?;
    let request = TxnRequest {
        compare,
        success,
        failure,
    };
    let response = client.txn(request).await?;
    context.print(Report::Txn(&response))
}

fn read_part<T>(parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    let mut parsed = Vec::new();
    loop {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        if !read.is_ok_and(|_| line.ends_with('\n')) {
            return Err(Failure::input("EOF"));
        }
        match line.trim() {
            "" => return Ok(parsed),
            line => parsed.push(parse(line)?),
        }
    }
}

/// Reads a comparison such as `mod("key") > "0"`.
pub fn parse_compare(line: &str) -> Result<Compare> {
    let malformed = |what: String| Failure::input(format!("malformed comparison: {line}{what}"));
    let (target, rest) = line.split_once('(').ok_or_else(|| malformed(String::new()))?;
    let mut found = Found::default();
    if found.scan(rest).is_none() {
        return Err(malformed(format!(
            "; got {target}({}) {} {}",
            quote(&found.key),
            found.operator,
            quote(&found.value)
        )));
    }
    let number = || {
        let text = std::str::from_utf8(&found.value).ok();
        text.and_then(|text| text.parse::<i64>().ok())
            .ok_or_else(|| Failure::input(format!("invalid txn compare request: {line}")))
    };
    let (target, union) = match target {
        "ver" | "version" => (CompareTarget::Version, TargetUnion::Version(number()?)),
        "c" | "create" => (CompareTarget::Create, TargetUnion::CreateRevision(number()?)),
        "m" | "mod" => (CompareTarget::Mod, TargetUnion::ModRevision(number()?)),
        "val" | "value" => (
            CompareTarget::Value,
            TargetUnion::Value(found.value.clone().into()),
        ),
        "lease" => (CompareTarget::Lease, TargetUnion::Lease(number()?)),
        _ => return Err(malformed(format!(" (unknown target {target})"))),
    };
    let result = match &*found.operator {
        "=" => CompareResult::Equal,
        "!=" => CompareResult::NotEqual,
        ">" => CompareResult::Greater,
        "<" => CompareResult::Less,
        _ => return Err(malformed(format!(" (unknown operator {})", found.operator))),
    };
    Ok(Compare {
        result: result as i32,
        target: target as i32,
        key: found.key.into(),
        target_union: Some(union),
        range_end: Default::default(),
    })
}

/// What follows the target's parenthesis, as far as it was understood.
#[derive(Default)]
struct Found {
    key: Vec<u8>,
    operator: String,
    value: Vec<u8>,
}

impl Found {
    fn scan(&mut self, text: &str) -> Option<()> {
        let (key, rest) = scan_quoted(text.trim_start())?;
        self.key = key;
        let rest = rest.strip_prefix(')')?;
        let operator = rest.strip_prefix(char::is_whitespace)?.trim_start();
        let end = operator.find(char::is_whitespace).unwrap_or(operator.len());
        self.operator = operator[..end].to_owned();
        if self.operator.is_empty() {
            return None;
        }
        let (value, _) = scan_quoted(operator[end..].trim_start())?;
        self.value = value;
        Some(())
    }
}

#[derive(Subcommand, Debug)]
enum Op {
    Put(put::Flags),
    Get(get::Flags),
    Del(delete::Flags),
}

/// Reads an operation such as `put key "value" --lease=1f`.
pub fn parse_op(line: &str) -> Result<RequestOp> {
    let words = words(line)?;
    if words.len() < 2 {
        return Err(Failure::input(format!("invalid txn compare request: {line}")));
    }
    let grammar = clap::Command::new("txn")
        .no_binary_name(true)
        .infer_subcommands(true);
    let grammar = crate::grammar::adapt(Op::augment_subcommands(grammar));
    let words = words.into_iter().map(OsString::from_vec);
    let parsed = grammar
        .try_get_matches_from(words)
        .and_then(|matches| Op::from_arg_matches(&matches));
    let request = match parsed.map_err(|_| Failure::input(format!("invalid txn request: {line}")))? {
        Op::Put(flags) => Request::RequestPut(flags.request()?),
        Op::Get(flags) => Request::RequestRange(flags.request()?),
        Op::Del(flags) => Request::RequestDeleteRange(flags.request()?),
    };
    Ok(RequestOp {
        request: Some(request),
    })
}

/// Cuts a line into words: `"quoted with escapes"`, `'as it is'`, or up to the next blank.
pub fn words(line: &str) -> Result<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => closing_quote(rest).ok_or(1),
            '\'' => rest[1..].find('\'').map(|at| at + 2).ok_or(1),
            // A quote ends a word only after a blank: a"b is one.
            _ => Ok(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        // A quote that is never closed is passed over.
        let end = match end {
            Ok(end) => end,
            Err(skipped) => {
                rest = rest[skipped..].trim_start();
                continue;
            }
        };
        let word = &rest[..end];
        words.push(match first {
            '"' => unquote(word).ok_or_else(|| Failure::input("invalid quoted string"))?,
            '\'' => word.as_bytes()[1..end - 1].to_vec(),
            _ => word.as_bytes().to_vec(),
        });
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

/// Where a word in double quotes ends.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(line: &str) -> String {
        match parse_compare(line) {
            Err(failure) => failure.message.unwrap(),
            Ok(found) => format!(
                "{:?} {:?} {:?}",
                found.key,
                found.result(),
                found.target_union.unwrap()
            ),
        }
    }

    #[test]
    fn comparisons_name_a_target_a_key_and_a_value() {
        for (line, wanted) in [
            (r#"mod("k") > "0""#, r#"b"k" Greater ModRevision(0)"#),
            (r#"m("k\n") = "-1""#, r#"b"k\n" Equal ModRevision(-1)"#),
            (r#"ver("k")  !=  "3""#, r#"b"k" NotEqual Version(3)"#),
            (r#"create("k") < "9" and more"#, r#"b"k" Less CreateRevision(9)"#),
            (r#"val("k") = "v w""#, r#"b"k" Equal Value(b"v w")"#),
            (r#"lease("k") = "7""#, r#"b"k" Equal Lease(7)"#),
            ("mod", "malformed comparison: mod"),
            (
                r#"mod("k")>"0""#,
                r#"malformed comparison: mod("k")>"0"; got mod("k")  """#,
            ),
            (
                r#"mod("k") >"0""#,
                r#"malformed comparison: mod("k") >"0"; got mod("k") >"0" """#,
            ),
            (
                r#"foo("k") > "0""#,
                r#"malformed comparison: foo("k") > "0" (unknown target foo)"#,
            ),
            (
                r#"mod("k") > "x""#,
                r#"invalid txn compare request: mod("k") > "x""#,
            ),
        ] {
            assert_eq!(compare(line), wanted);
        }
    }

    #[test]
    fn words_are_cut_at_blanks_outside_quotes() {
        let cut = |line: &str| {
            let words = words(line).unwrap();
            words
                .into_iter()
                .map(|word| String::from_utf8(word).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            cut(r#"put k "a b\n" 'c "d\n'"#),
            ["put", "k", "a b\n", r#"c "d\n"#]
        );
        assert_eq!(cut(r#"put k a"b"#), ["put", "k", r#"a"b"#]);
        assert_eq!(cut("put k ''"), ["put", "k", ""]);
        assert_eq!(cut("  "), Vec::<String>::new());
    }

    #[test]
    fn operations_have_the_flags_of_their_commands() {
        let op = |line: &str| parse_op(line).map(|op| op.request.unwrap());
        let Ok(Request::RequestPut(put)) = op(r#"put "k 1" v --lease=1f --prev-kv"#) else {
            panic!();
        };
        assert_eq!((&put.key[..], &put.value[..]), (&b"k 1"[..], &b"v"[..]));
        assert_eq!((put.lease, put.prev_kv), (0x1f, true));
        let Ok(Request::RequestRange(get)) = op("get k --prefix=true --limit 3") else {
            panic!();
        };
        assert_eq!((&get.range_end[..], get.limit), (&b"l"[..], 3));
        let Ok(Request::RequestDeleteRange(delete)) = op("del a b") else {
            panic!();
        };
        assert_eq!(&delete.range_end[..], b"b");
        for (line, message) in [
            ("put", "invalid txn compare request: put"),
            ("push k v", "invalid txn request: push k v"),
            (
                "get k --no-such-flag",
                "invalid txn request: get k --no-such-flag",
            ),
        ] {
            assert_eq!(op(line).unwrap_err(), Failure::input(message));
        }
    }
}
