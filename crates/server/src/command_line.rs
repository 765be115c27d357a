//! From the process's arguments and environment to a configuration, or to words for whoever called it.

use crate::config::Config;
use crate::flag::{FLAGS, Kind, Support};
use crate::logging;
use crate::settings::{Settings, UsageError};
use std::ffi::OsString;
use std::fmt::Write;
use std::process::ExitCode;

/// etcd's version whose behaviour this server has, and which clients are told.
pub const ETCD_VERSION: &str = "3.7.1";
/// Our own.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the process was asked for.
pub enum Request {
    /// To be a member.
    Run(Box<Config>),
    /// To print this and end.
    Print(String),
}

/// Why it cannot do so.
pub enum Refusal {
    /// Wrong words on the command line: text, help and status 2, as Go's programs have them.
    Usage(UsageError),
    /// Settings that contradict each other or the machine: one log line and status 1.
    Settings(String),
}

impl Refusal {
    /// Tells the caller.
    pub fn report(self) -> ExitCode {
        match self {
            Refusal::Usage(error) => {
                eprintln!("{error}");
                eprintln!("Usage: quorate [flags], see quorate --help");
                ExitCode::from(2)
            }
            Refusal::Settings(error) => {
                // Logging is not configured yet; this is its default.
                if let Ok(options) = logging::Options::new("info", "json", vec!["default".into()]) {
                    let _ = logging::init(&options);
                }
                tracing::warn!(error, "failed to verify flags");
                ExitCode::FAILURE
            }
        }
    }
}

/// The process's arguments as text. Ones that are none are refused by name.
pub fn arguments(args: impl IntoIterator<Item = OsString>) -> Result<Vec<String>, Refusal> {
    let text = |arg: OsString| {
        arg.into_string()
            .map_err(|arg| Refusal::Settings(format!("the argument {arg:?} is not valid UTF-8")))
    };
    args.into_iter().map(text).collect()
}

/// The variables that can concern us, as text. Whatever else is in the environment may be any bytes.
pub fn environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, Refusal> {
    let ours = |(name, value): (OsString, OsString)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("ETCD_"))?;
        Some(match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(value) => Err(Refusal::Settings(format!(
                "the value of the environment variable {name} is not valid UTF-8: {value:?}"
            ))),
        })
    };
    variables.into_iter().filter_map(ours).collect()
}

/// Reads everything that says how to run.
pub fn parse(
    args: impl IntoIterator<Item = String>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Request, Refusal> {
    let (mut settings, stray) = match Settings::from_args(args) {
        Ok(parsed) => parsed,
        Err(UsageError::Help) => return Ok(Request::Print(help())),
        Err(error) => return Err(Refusal::Usage(error)),
    };
    if let Some(word) = stray.first() {
        return Err(Refusal::Settings(format!("{word:?} is not a valid flag")));
    }
    if settings.get("version") == "true" {
        return Ok(Request::Print(version()));
    }
    let variables: Vec<_> = environment
        .into_iter()
        .filter(|(name, _)| name != "ETCD_VERSION")
        .collect();
    let file = match settings.get("config-file") {
        "" => variables
            .iter()
            .find(|(name, _)| name == "ETCD_CONFIG_FILE")
            .map(|(_, value)| value.clone()),
        file => Some(file.to_owned()),
    };
    let refuse = |error: crate::settings::SettingsError| Refusal::Settings(error.0);
    if let Some(file) = file.filter(|file| !file.is_empty()) {
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Refusal::Settings(format!("cannot read the configuration file {file:?}: {error}"))
        })?;
        settings = Settings::from_yaml(&text)
            .map_err(|error| Refusal::Settings(format!("configuration file {file:?}: {error}")))?;
    } else {
        settings.add_environment(variables).map_err(refuse)?;
    }
    Config::from_settings(&settings)
        .map(|config| Request::Run(Box::new(config)))
        .map_err(refuse)
}

/// Four lines in etcd's form, which its tools read, and our own version in the second.
fn version() -> String {
    format!(
        "etcd Version: {ETCD_VERSION}\nGit SHA: Quorate-{VERSION}\nGo Version: none (Rust)\nGo OS/Arch: {}/{}\n",
        std::env::consts::OS,
        match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
    )
}

fn help() -> String {
    let mut text = format!(
        "Quorate {VERSION}: a distributed key-value store that speaks etcd's API ({ETCD_VERSION}).\n\n\
         Usage:\n  quorate [flags]\n  quorate --config-file FILE   (then flags and environment are not read)\n  \
         quorate --version\n  quorate gateway start [flags]   (a TCP proxy, see quorate gateway --help)\n\nEach flag can be set as a variable, too: --data-dir is ETCD_DATA_DIR.\n\nFlags:\n"
    );
    for flag in FLAGS {
        let value = match flag.kind {
            Kind::Bool => String::new(),
            Kind::Text => " TEXT".to_owned(),
            Kind::List => " LIST".to_owned(),
            Kind::Unsigned | Kind::Signed => " NUMBER".to_owned(),
            Kind::Duration => " DURATION".to_owned(),
            Kind::Word(words) => {
                format!(
                    " {}",
                    words
                        .iter()
                        .filter(|word| !word.is_empty())
                        .copied()
                        .collect::<Vec<_>>()
                        .join("|")
                )
            }
        };
        let note = match flag.support {
            Support::Full => String::new(),
            Support::NoEffect => "  (accepted, has no effect)".to_owned(),
            Support::Missing => "  (not available in this version)".to_owned(),
        };
        let default = if flag.default.is_empty() {
            String::new()
        } else {
            format!("  [{}]", flag.default)
        };
        let _ = writeln!(text, "  --{}{value}{default}{note}", flag.name);
    }
    text.push_str("\nconfig/node.yaml explains them.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str, environment: &[(&str, &str)]) -> Result<Request, Refusal> {
        let environment = environment
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        parse(line.split_whitespace().map(str::to_owned), environment)
    }

    fn refusal(line: &str, environment: &[(&str, &str)]) -> String {
        match parse_line(line, environment) {
            Err(Refusal::Settings(text)) => text,
            Err(Refusal::Usage(error)) => error.to_string(),
            Ok(_) => panic!("{line:?} should be refused"),
        }
    }

    #[test]
    fn the_version_is_printed_as_etcds_tools_expect() {
        let Ok(Request::Print(text)) = parse_line("--version", &[]) else {
            panic!("a text")
        };
        assert!(text.starts_with("etcd Version: 3.7.1\n"));
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_a_reason() {
        assert_eq!(refusal("stray", &[]), "\"stray\" is not a valid flag");
        assert!(refusal("--config-file /no/such.yaml", &[]).contains("/no/such.yaml"));
        assert!(refusal("", &[("ETCD_CONFIG_FILE", "/no/such.yaml")]).contains("/no/such.yaml"));
        assert!(refusal("--name a", &[("ETCD_NAME", "b")]).contains("shadowed"));
    }

    /// The standard library's `args` and `vars` panic on what this gives them.
    #[test]
    fn bytes_that_are_no_text_are_refused_where_they_concern_us() {
        use std::os::unix::ffi::OsStringExt;
        let bytes = || OsString::from_vec(vec![0xff, b'x']);
        let refused = |refusal: Refusal| match refusal {
            Refusal::Settings(text) => text,
            Refusal::Usage(error) => panic!("refused as {error}"),
        };
        let argument = arguments([OsString::from("--name"), bytes()]).map_err(refused);
        assert_eq!(
            argument.unwrap_err(),
            r#"the argument "\xFFx" is not valid UTF-8"#
        );
        let others = environment([("LS_COLORS".into(), bytes()), (bytes(), bytes())]).map_err(refused);
        assert_eq!(others.unwrap(), []);
        let ours = environment([("ETCD_NAME".into(), bytes())]).map_err(refused);
        assert_eq!(
            ours.unwrap_err(),
            r#"the value of the environment variable ETCD_NAME is not valid UTF-8: "\xFFx""#
        );
    }

    #[test]
    fn every_file_in_config_loads() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");
        let mut count = 0;
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let line = format!("--config-file={}", path.display());
                let loaded = parse_line(&line, &[]);
                if let Err(Refusal::Settings(error)) = loaded {
                    panic!("{error}");
                }
                count += 1;
            }
        }
        assert!(count >= 4);
    }

    #[test]
    fn the_reference_shows_every_default() {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/node.yaml")).unwrap();
        let reference = Settings::from_yaml(&text).unwrap();
        for (name, value) in reference.iter() {
            let default = crate::flag::find(name).unwrap().default;
            let same = value == default || crate::value::duration(value) == crate::value::duration(default);
            assert!(
                same || name == "data-dir",
                "{name}: {value} in node.yaml, {default} by default"
            );
        }
        for flag in FLAGS
            .iter()
            .filter(|flag| flag.support == Support::Full && !flag.key.is_empty())
        {
            let last = flag.key.rsplit('.').next().unwrap();
            let shown = text.contains(&format!("{last}:"));
            assert!(
                shown || flag.name == "logger",
                "config/node.yaml does not mention {}",
                flag.key
            );
        }
    }
}
