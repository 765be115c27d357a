//! Where settings come from: the command line, then the environment, or one file instead of both.

use crate::flag::{self, FLAGS, Flag, IGNORED, IGNORED_KEYS, Kind};
use crate::value;
use std::collections::BTreeMap;
use thiserror::Error;

/// The value of each flag that somebody set.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Settings {
    values: BTreeMap<&'static str, String>,
    /// Environment variables with our prefix that mean nothing.
    pub unknown_environment: Vec<String>,
    /// Flags and keys without effect that were given, as a message names them.
    pub ignored: Vec<String>,
}

/// What is wrong with how the server was called.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum UsageError {
    /// Go's flag package prints these words, too.
    #[error("flag provided but not defined: -{0}")]
    UnknownFlag(String),
    /// A flag at the end that wants a value.
    #[error("flag needs an argument: -{0}")]
    MissingValue(String),
    /// A value that cannot be read.
    #[error("invalid value {value:?} for flag -{flag}: {reason}")]
    InvalidValue {
        /// The flag.
        flag: String,
        /// What it was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Help was asked for.
    #[error("help")]
    Help,
}

/// What is wrong with the settings as a whole: exit status 1, where usage errors have 2.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

impl Settings {
    /// Reads the command line, as Go's flag package does. Gives what follows the flags, too.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Result<(Settings, Vec<String>), UsageError> {
        let mut settings = Settings::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let Some(text) = arg
                .strip_prefix("--")
                .or_else(|| arg.strip_prefix('-'))
                .filter(|text| !text.is_empty())
            else {
                let stray = if arg == "--" {
                    args.collect()
                } else {
                    std::iter::once(arg).chain(args).collect()
                };
                return Ok((settings, stray));
            };
            let (name, inline) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text, None),
            };
            if matches!(name, "h" | "help") {
                return Err(UsageError::Help);
            }
            if IGNORED.contains(&name) {
                settings.ignored.push(format!("flag --{name}"));
                continue;
            }
            let flag = flag::find(name).ok_or_else(|| UsageError::UnknownFlag(name.to_owned()))?;
            let value = match inline {
                Some(value) => value,
                None if flag.kind == Kind::Bool => "true".to_owned(),
                None => args
                    .next()
                    .ok_or_else(|| UsageError::MissingValue(name.to_owned()))?,
            };
            settings.set(flag, value)?;
        }
        Ok((settings, Vec::new()))
    }

    /// Adds `ETCD_…` variables; what the command line says must not be said there again.
    pub fn add_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), SettingsError> {
        for (variable, value) in variables {
            let Some(name) = variable.strip_prefix("ETCD_") else {
                continue;
            };
            if value.is_empty() || name == "UNSUPPORTED_ARCH" {
                continue;
            }
            let name = name.to_lowercase().replace('_', "-");
            let Some(flag) = flag::find(&name).filter(|flag| flag.name != "version") else {
                self.unknown_environment.push(variable);
                continue;
            };
            if self.values.contains_key(flag.name) {
                return Err(SettingsError(format!(
                    "conflicting environment variable {variable:?} is shadowed by corresponding command-line flag \
                     (either unset environment variable or disable flag)"
                )));
            }
            self.set(flag, value)
                .map_err(|error| SettingsError(format!("environment variable {variable}: {error}")))?;
        }
        Ok(())
    }

    /// Reads a YAML or JSON file; its keys are the flags' names, some of them in groups.
    pub fn from_yaml(text: &str) -> Result<Settings, SettingsError> {
        let document: serde_yaml::Value =
            serde_yaml::from_str(text).map_err(|error| SettingsError(format!("not valid YAML: {error}")))?;
        let mut settings = Settings::default();
        match document {
            serde_yaml::Value::Null => {}
            serde_yaml::Value::Mapping(map) => settings.add_yaml("", map)?,
            _ => {
                return Err(SettingsError(
                    "the file must be a mapping of keys to values".to_owned(),
                ));
            }
        }
        Ok(settings)
    }

    fn add_yaml(&mut self, group: &str, map: serde_yaml::Mapping) -> Result<(), SettingsError> {
        for (key, value) in map {
            let key = key
                .as_str()
                .ok_or_else(|| SettingsError(format!("key {key:?} is not a text")))?;
            let path = if group.is_empty() {
                key.to_owned()
            } else {
                format!("{group}.{key}")
            };
            if let serde_yaml::Value::Mapping(inner) = value {
                let is_group = FLAGS.iter().any(|flag| flag.key.starts_with(&format!("{path}.")));
                if !is_group {
                    return Err(unknown_key(&path));
                }
                self.add_yaml(&path, inner)?;
                continue;
            }
            if IGNORED_KEYS.contains(&path.as_str()) {
                self.ignored.push(format!("key {path:?}"));
                continue;
            }
            let flag = flag::find_key(&path).ok_or_else(|| unknown_key(&path))?;
            let Some(text) = scalar(flag, value) else {
                return Err(SettingsError(format!(
                    "key {path:?}: the value must be a plain value or a list of them"
                )));
            };
            if !text.is_empty() {
                self.set(flag, text).map_err(|error| match error {
                    UsageError::InvalidValue { value, reason, .. } => {
                        SettingsError(format!("key {path:?}: invalid value {value:?}: {reason}"))
                    }
                    other => SettingsError(other.to_string()),
                })?;
            }
        }
        Ok(())
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), UsageError> {
        if let Err(reason) = value::check(flag, &value) {
            return Err(UsageError::InvalidValue {
                flag: flag.name.to_owned(),
                value,
                reason,
            });
        }
        self.values.insert(flag.name, value);
        Ok(())
    }

    /// The value somebody set, else the default. Panics for a name that is no flag: names come from our own code.
    pub fn get(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(value) => value,
            None => flag::find(name)
                .map(|flag| flag.default)
                .expect("names of flags are literals"),
        }
    }

    /// Whether somebody set it.
    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// All values that were set.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

fn unknown_key(path: &str) -> SettingsError {
    let near = FLAGS
        .iter()
        .filter(|flag| !flag.key.is_empty())
        .min_by_key(|flag| distance(path, flag.key))
        .filter(|flag| distance(path, flag.key) <= 3);
    let hint = near
        .map(|flag| format!(", did you mean {:?}?", flag.key))
        .unwrap_or_default();
    SettingsError(format!("unknown key {path:?}{hint}"))
}

/// A scalar as a flag would have been given it; lists with commas between. `None` for what no flag takes.
fn scalar(flag: &Flag, value: serde_yaml::Value) -> Option<String> {
    use serde_yaml::Value;
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(value) => Some(value.to_string()),
        // etcd's files give durations as nanoseconds.
        Value::Number(number) if flag.kind == Kind::Duration => Some(format!("{number}ns")),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text),
        Value::Sequence(values) => {
            let parts: Option<Vec<String>> = values.into_iter().map(|value| scalar(flag, value)).collect();
            Some(parts?.join(","))
        }
        Value::Mapping(_) | Value::Tagged(_) => None,
    }
}

/// Levenshtein's distance, for the hint after a misspelt key.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let cost = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Result<(Settings, Vec<String>), UsageError> {
        Settings::from_args(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_are_written_with_one_dash_or_two_and_with_or_without_equals() {
        let (settings, stray) =
            args("-name=a --data-dir d --pre-vote --strict-reconfig-check=F --name b").unwrap();
        assert_eq!(settings.get("name"), "b", "the last one wins");
        assert_eq!(settings.get("data-dir"), "d");
        assert_eq!(
            (settings.get("pre-vote"), settings.get("strict-reconfig-check")),
            ("true", "F")
        );
        assert_eq!(settings.get("snapshot-count"), "10000");
        assert!(stray.is_empty());
    }

    #[test]
    fn a_wrong_flag_or_value_is_named() {
        let message = |line| args(line).unwrap_err().to_string();
        assert_eq!(message("--nmae x"), "flag provided but not defined: -nmae");
        assert_eq!(message("--name"), "flag needs an argument: -name");
        assert_eq!(
            message("--snapshot-count=many"),
            r#"invalid value "many" for flag -snapshot-count: parse error"#
        );
        assert_eq!(
            message("--v2-deprecation not-yet"),
            r#"invalid value "not-yet" for flag -v2-deprecation: invalid value "not-yet""#
        );
        assert_eq!(
            args("--pre-vote false").unwrap().1,
            ["false"],
            "a boolean takes no separate value"
        );
    }

    #[test]
    fn the_environment_fills_what_the_command_line_left_open() {
        let (mut settings, _) = args("--name a").unwrap();
        let env = |name: &str, value: &str| [(name.to_owned(), value.to_owned())];
        settings.add_environment(env("ETCD_DATA_DIR", "d")).unwrap();
        settings.add_environment(env("ETCD_NONSENSE", "1")).unwrap();
        settings.add_environment(env("PATH", "/bin")).unwrap();
        assert_eq!(settings.get("data-dir"), "d");
        assert_eq!(settings.unknown_environment, ["ETCD_NONSENSE"]);
        assert!(
            settings
                .add_environment(env("ETCD_NAME", "b"))
                .unwrap_err()
                .0
                .contains("shadowed")
        );
    }

    #[test]
    fn a_file_may_group_keys_and_write_lists() {
        let yaml = "name: n\nlisten-client-urls: [http://a:1, http://b:2]\nstorage:\n  backend: memory\n\
                    heartbeat-interval: 50\nwarning-apply-duration: 5000000\nsocket-options: {reuse-port: true}\n";
        let settings = Settings::from_yaml(yaml).unwrap();
        assert_eq!(settings.get("listen-client-urls"), "http://a:1,http://b:2");
        assert_eq!(settings.get("storage-backend"), "memory");
        assert_eq!(settings.get("warning-apply-duration"), "5000000ns");
        assert_eq!(settings.get("socket-reuse-port"), "true");
    }

    #[test]
    fn keys_that_etcds_sample_still_shows_are_no_errors() {
        let yaml = "discovery:\ndiscovery-fallback: 'proxy'\nproxy: 'off'\nproxy-read-timeout: 0\nname: n\n";
        let settings = Settings::from_yaml(yaml).unwrap();
        assert_eq!(settings.get("name"), "n");
        assert_eq!(settings.get("discovery-fallback"), "exit", "a flag only");
        assert_eq!(settings.ignored.len(), 4);
        assert_eq!(settings.ignored[2], r#"key "proxy""#);
    }

    #[test]
    fn a_wrong_key_in_a_file_is_named_and_the_right_one_suggested() {
        let message = |yaml| Settings::from_yaml(yaml).unwrap_err().0;
        assert_eq!(message("nmae: x"), r#"unknown key "nmae", did you mean "name"?"#);
        assert_eq!(
            message("storage: {backed: x}"),
            r#"unknown key "storage.backed", did you mean "storage.backend"?"#
        );
        assert!(message("name: {a: b}").contains("unknown key \"name\""));
        assert!(message("storage: {backend: bdb}").contains("must be one of rocksdb, fjall, memory"));
        assert!(message("- a").contains("must be a mapping"));
        assert!(message("a: [").contains("not valid YAML"));
    }
}
