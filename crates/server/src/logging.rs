//! Logs in the shape of etcd's: one JSON object a line with level, ts, caller, msg, then the fields.

use crate::rotation::{Rotating, Rotation};
use crate::settings::SettingsError;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// What is logged, how, and where to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Least level that is written.
    pub level: LevelFilter,
    /// JSON, or columns between tabs for people.
    pub json: bool,
    /// Where lines go; several places get the same lines.
    pub outputs: Vec<Output>,
    /// When a file among them is put aside, if ever.
    pub rotation: Option<Rotation>,
}

/// A place for lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(String),
}

impl Options {
    /// Reads the values of `--log-level`, `--log-format` and `--log-outputs`.
    pub fn new(level: &str, format: &str, outputs: Vec<String>) -> Result<Options, SettingsError> {
        let level = match level {
            "debug" => LevelFilter::DEBUG,
            "info" => LevelFilter::INFO,
            "warn" => LevelFilter::WARN,
            _ => LevelFilter::ERROR,
        };
        if outputs.len() > 1 && outputs.iter().any(|output| output == "default") {
            return Err(SettingsError(
                r#"multi logoutput for "default" is not supported yet"#.into(),
            ));
        }
        let outputs = outputs
            .into_iter()
            // The journal takes what a service writes to standard error.
            .map(|output| match output.as_str() {
                "default" | "stderr" | "systemd/journal" => Output::Stderr,
                "stdout" => Output::Stdout,
                _ => Output::File(output),
            })
            .collect();
        Ok(Options {
            level,
            json: format == "json",
            outputs,
            rotation: None,
        })
    }

    /// With `--enable-log-rotation`, which is for one file.
    pub fn rotated(mut self, json: &str) -> Result<Options, SettingsError> {
        let files = self
            .outputs
            .iter()
            .filter(|output| matches!(output, Output::File(_)));
        let files = files.count();
        if files > 1 || (files == 0 && self.outputs.len() == 1) {
            return Err(SettingsError(
                "--log-outputs requires a single file path when --log-rotate-config-json is defined"
                    .to_owned(),
            ));
        }
        self.rotation = Some(Rotation::parse(json)?);
        Ok(self)
    }
}

/// Sends every log event of the process where the options say. Call once.
pub fn init(options: &Options) -> Result<(), SettingsError> {
    let sinks = options
        .outputs
        .iter()
        .map(|output| open(output, options.rotation.as_ref()));
    let sinks = sinks.collect::<Result<Vec<_>, _>>()?;
    let layer = Lines {
        json: options.json,
        sinks: Mutex::new(sinks),
    };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(options.level));
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| SettingsError(format!("cannot set up logging: {error}")))
}

fn open(output: &Output, rotation: Option<&Rotation>) -> Result<Box<dyn Write + Send>, SettingsError> {
    let path = match output {
        Output::Stderr => return Ok(Box::new(std::io::stderr())),
        Output::Stdout => return Ok(Box::new(std::io::stdout())),
        Output::File(path) => path,
    };
    let unusable = |error| SettingsError(format!("cannot open log output {path:?}: {error}"));
    Ok(match rotation {
        Some(rotation) => Box::new(Rotating::open(path, rotation.clone()).map_err(unusable)?),
        None => Box::new(
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map_err(unusable)?,
        ),
    })
}

struct Lines {
    json: bool,
    sinks: Mutex<Vec<Box<dyn Write + Send>>>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let caller = caller(
            metadata.file().unwrap_or_default(),
            metadata.line().unwrap_or_default(),
        );
        let line = match self.json {
            true => json_line(level(metadata.level()), &caller, &fields),
            false => console_line(level(metadata.level()), &caller, &fields),
        };
        // A log that cannot be written must not take the server down with it.
        if let Ok(mut sinks) = self.sinks.lock() {
            for sink in sinks.iter_mut() {
                let _ = sink.write_all(line.as_bytes());
                let _ = sink.flush();
            }
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    /// Names with values that are JSON already.
    values: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            name => self.values.push((name, quote(&text))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            name => self.values.push((name, quote(value))),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.values.push((field.name(), value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.values.push((field.name(), value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.values.push((field.name(), value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.values
            .push((field.name(), serde_json::json!(value).to_string()));
    }
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn level(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        _ => "debug",
    }
}

/// The last directory and the file, as zap shows callers.
fn caller(file: &str, line: u32) -> String {
    let mut parts = file.rsplit('/').filter(|part| *part != "src");
    let name = parts.next().unwrap_or_default();
    match parts.next() {
        Some(dir) => format!("{dir}/{name}:{line}"),
        None => format!("{name}:{line}"),
    }
}

fn json_line(level: &str, caller: &str, fields: &Fields) -> String {
    let mut line = format!(
        r#"{{"level":"{level}","ts":"{}","caller":{},"msg":{}"#,
        timestamp(),
        quote(caller),
        quote(&fields.message)
    );
    for (name, value) in &fields.values {
        let _ = write!(line, ",{}:{value}", quote(name));
    }
    line.push_str("}\n");
    line
}

fn console_line(level: &str, caller: &str, fields: &Fields) -> String {
    let mut line = format!("{}\t{level}\t{caller}\t{}", timestamp(), fields.message);
    if !fields.values.is_empty() {
        let values: Vec<_> = fields
            .values
            .iter()
            .map(|(name, value)| format!("{}: {value}", quote(name)))
            .collect();
        let _ = write!(line, "\t{{{}}}", values.join(", "));
    }
    line.push('\n');
    line
}

fn timestamp() -> String {
    #[expect(clippy::disallowed_methods, reason = "a log line says when it was written")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format_utc(since.as_secs(), since.subsec_micros())
}

/// UTC in zap's layout: `2006-01-02T15:04:05.999999Z`.
fn format_utc(seconds: u64, micros: u32) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let second = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Days since 1970 as year, month and day of the Gregorian calendar, counted in years that begin in March, so that
/// the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_json_object_that_begins_as_etcds_do() {
        let fields = Fields {
            message: "say \"hi\"\n".into(),
            values: vec![("revision", "7".into())],
        };
        let line = json_line("info", "server/run.rs:1", &fields);
        assert!(line.starts_with(r#"{"level":"info","ts":"20"#) && line.ends_with("}\n"));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (value["msg"].as_str(), value["revision"].as_i64()),
            (Some("say \"hi\"\n"), Some(7))
        );
    }

    #[test]
    fn the_calendar_knows_leap_days() {
        assert_eq!(format_utc(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(format_utc(951_782_400, 5), "2000-02-29T00:00:00.000005Z");
        assert_eq!(format_utc(1_795_305_599, 999_999), "2026-11-21T23:59:59.999999Z");
    }

    #[test]
    fn the_caller_is_a_crate_and_a_file() {
        assert_eq!(caller("crates/server/src/run.rs", 3), "server/run.rs:3");
    }
}
