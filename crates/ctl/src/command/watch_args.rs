//! What `watch` is to watch and to run, from arguments, the separator `--`, and the environment.

use crate::exit::{Failure, Result};
use std::ffi::OsString;

/// Where arguments come from.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    /// Before the separator.
    pub args: Vec<OsString>,
    /// After the separator; `None` without one.
    pub command: Option<Vec<OsString>>,
    /// `ETCDCTL_WATCH_KEY`
    pub env_key: Option<OsString>,
    /// `ETCDCTL_WATCH_RANGE_END`
    pub env_range_end: Option<OsString>,
}

/// What was meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchArgs {
    /// The key, or with `--prefix` the prefix.
    pub key: OsString,
    /// End of the range.
    pub range_end: Option<OsString>,
    /// Program and arguments to run for each event; empty for none.
    pub command: Vec<OsString>,
}

/// Puts the sources together. Key and range come from the arguments or from the environment, never from both.
pub fn resolve(sources: Sources) -> Result<WatchArgs> {
    let bad = |what: &str| Failure::arguments(format!("bad number of arguments{what}"));
    if sources.command.as_ref().is_some_and(Vec::is_empty) {
        return Err(bad(" (found separator --, but no commands)"));
    }
    let args = match (sources.env_key, sources.env_range_end) {
        (Some(_), _) if !sources.args.is_empty() => {
            return Err(bad(" (found conflicting environment key)"));
        }
        (Some(key), range_end) => [Some(key), range_end].into_iter().flatten().collect(),
        (None, _) => sources.args,
    };
    let mut args = args.into_iter();
    let key = args.next().ok_or_else(|| bad(""))?;
    let range_end = args.next();
    Ok(WatchArgs {
        key,
        // Of more than two arguments etcdctl takes the first alone.
        range_end: range_end.filter(|_| args.next().is_none()),
        command: sources.command.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    /// `args -- command`, with the environment's key and range before a `|`.
    fn check(text: &str, wanted: &str) {
        let (env, text) = text.split_once('|').unwrap_or(("", text));
        let mut env = words(env).into_iter();
        let (args, command) = match text.split_once("--") {
            None => (text, None),
            Some((args, command)) => (args, Some(words(command))),
        };
        let resolved = resolve(Sources {
            args: words(args),
            command,
            env_key: env.next(),
            env_range_end: env.next(),
        });
        let shown = match resolved {
            Err(failure) => failure.message.unwrap(),
            Ok(found) => format!("{:?} {:?} {:?}", found.key, found.range_end, found.command),
        };
        assert_eq!(shown, wanted, "{text}");
    }

    #[test]
    fn keys_come_from_arguments_or_the_environment() {
        check("foo", r#""foo" None []"#);
        check("foo bar", r#""foo" Some("bar") []"#);
        check("foo bar baz", r#""foo" None []"#);
        check("foo -- echo hi", r#""foo" None ["echo", "hi"]"#);
        check("env |", r#""env" None []"#);
        check("env end | -- echo", r#""env" Some("end") ["echo"]"#);
        check("", "bad number of arguments");
        check(
            "foo --",
            "bad number of arguments (found separator --, but no commands)",
        );
        check(
            "env | foo",
            "bad number of arguments (found conflicting environment key)",
        );
        check(
            "env | foo -- echo",
            "bad number of arguments (found conflicting environment key)",
        );
    }
}
