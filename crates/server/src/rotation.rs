//! A log file that is put aside when it is full: lumberjack's rules and names, which etcd's `--enable-log-rotation`
//! stands for.

use crate::settings::SettingsError;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

/// Of `maxsize` where it is 0.
const DEFAULT_BYTES: u64 = 100 << 20;
const MEGABYTE: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// When a file was put aside, in its name: `etcd-2026-11-22T12-00-00.000.log`.
const STAMP: &str = "%Y-%m-%dT%H-%M-%S%.3f";

/// When a file is full, and what becomes of old ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rotation {
    bytes_max: u64,
    /// Zero keeps them for ever.
    age_max: Duration,
    /// 0 keeps all.
    backups_max: usize,
    local_time: bool,
    compress: bool,
}

impl Rotation {
    /// Reads `--log-rotation-config-json`. Keys are found whatever their case, and unknown ones passed over, as in Go.
    pub fn parse(json: &str) -> Result<Rotation, SettingsError> {
        let value: Value = serde_json::from_str(json)
            .map_err(|error| SettingsError(format!("improperly formatted log rotation config: {error}")))?;
        let wrong = |what: String| SettingsError(format!("invalid log rotation config: {what}"));
        let Value::Object(members) = &value else {
            return Err(wrong("it must be an object".to_owned()));
        };
        let find = |key: &str| {
            let member = members.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
            member.map(|(_, value)| value).filter(|value| !value.is_null())
        };
        let number = |key: &str| match find(key) {
            None => Ok(0),
            Some(value) => value
                .as_u64()
                .ok_or_else(|| wrong(format!("{key} must be a whole number, not {value}"))),
        };
        let truth = |key: &str| match find(key) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| wrong(format!("{key} must be true or false, not {value}"))),
        };
        Ok(Rotation {
            bytes_max: match number("maxsize")? {
                0 => DEFAULT_BYTES,
                megabytes => megabytes.saturating_mul(MEGABYTE),
            },
            age_max: DAY.saturating_mul(number("maxage")?.min(u64::from(u32::MAX)) as u32),
            backups_max: number("maxbackups")? as usize,
            local_time: truth("localtime")?,
            compress: truth("compress")?,
        })
    }
}

/// The file.
pub struct Rotating {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    bytes: u64,
    /// Wakes the thread that compresses and removes; it ends with this.
    tidy: SyncSender<()>,
}

impl Rotating {
    /// Goes on with a file that is there.
    pub fn open(path: &str, rotation: Rotation) -> io::Result<Rotating> {
        let path = PathBuf::from(path);
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            fs::create_dir_all(dir)?;
        }
        let (file, bytes) = append(&path)?;
        // One that waits is enough: it does all there is to do.
        let (tidy, wanted) = sync_channel(1);
        let (tidied, rules) = (path.clone(), rotation.clone());
        std::thread::Builder::new()
            .name("log-rotation".into())
            .spawn(move || {
                while wanted.recv().is_ok() {
                    // Nothing of this may stop the server, and there is no log to say it in.
                    let _ = tidy_up(&tidied, &rules, now());
                }
            })?;
        let _ = tidy.try_send(());
        Ok(Rotating {
            path,
            rotation,
            file,
            bytes,
            tidy,
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        let aside = free_name(&self.path, self.rotation.local_time, now())?;
        fs::rename(&self.path, aside)?;
        (self.file, self.bytes) = append(&self.path)?;
        let _ = self.tidy.try_send(());
        Ok(())
    }
}

impl Write for Rotating {
    /// A line longer than a file may be has a file to itself.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let len = line.len() as u64;
        if self.bytes > 0 && self.bytes + len > self.rotation.bytes_max {
            // Better a file that is too long than a line that is lost.
            let _ = self.rotate();
        }
        let written = self.file.write(line)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an edge: files are named by when they were put aside"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

fn zone(local: bool) -> TimeZone {
    if local { TimeZone::system() } else { TimeZone::UTC }
}

/// What the names of files that were put aside begin and end with.
fn name_parts(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let end = path
        .extension()
        .map(|extension| format!(".{}", extension.to_string_lossy()));
    (format!("{}-", text(path.file_stem())), end.unwrap_or_default())
}

fn free_name(path: &Path, local: bool, now: SystemTime) -> io::Result<PathBuf> {
    let (begin, end) = name_parts(path);
    let mut at = Timestamp::try_from(now).map_err(io::Error::other)?;
    loop {
        let stamp = at.to_zoned(zone(local)).strftime(STAMP).to_string();
        let name = path.with_file_name(format!("{begin}{stamp}{end}"));
        if !name.exists() {
            return Ok(name);
        }
        at += jiff::SignedDuration::from_millis(1);
    }
}

/// A file that was put aside.
struct Backup {
    path: PathBuf,
    at: DateTime,
    compressed: bool,
}

/// All of them, newest first.
fn backups(path: &Path) -> io::Result<Vec<Backup>> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let (begin, end) = name_parts(path);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir.unwrap_or(Path::new(".")))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let plain = name.strip_suffix(".gz");
        let stamp = plain
            .unwrap_or(&name)
            .strip_prefix(&begin)
            .and_then(|rest| rest.strip_suffix(&end));
        let compressed = plain.is_some();
        if let Some(at) = stamp.and_then(|stamp| DateTime::strptime("%Y-%m-%dT%H-%M-%S%.f", stamp).ok()) {
            found.push(Backup { path, at, compressed });
        }
    }
    found.sort_by_key(|backup| std::cmp::Reverse(backup.at));
    Ok(found)
}

/// Removes what is too old or too much, and compresses the rest.
fn tidy_up(path: &Path, rotation: &Rotation, now: SystemTime) -> io::Result<()> {
    let found = backups(path)?;
    let oldest = now
        .checked_sub(rotation.age_max)
        .and_then(|oldest| Timestamp::try_from(oldest).ok())
        .map(|oldest| oldest.to_zoned(zone(rotation.local_time)).datetime());
    for (place, backup) in found.iter().enumerate() {
        let too_many = rotation.backups_max > 0 && place >= rotation.backups_max;
        let too_old = !rotation.age_max.is_zero() && oldest.is_some_and(|oldest| backup.at < oldest);
        if too_many || too_old {
            fs::remove_file(&backup.path)?;
        } else if rotation.compress && !backup.compressed {
            compress(&backup.path)?;
        }
    }
    Ok(())
}

fn compress(path: &Path) -> io::Result<()> {
    let mut target = path.as_os_str().to_owned();
    target.push(".gz");
    let mut beside = target.clone();
    beside.push(".tmp");
    let mut source = File::open(path)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    let mut encoder = GzEncoder::new(file, Compression::default());
    io::copy(&mut source, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&beside, &target)?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn rotation(json: &str) -> Rotation {
        Rotation::parse(json).unwrap()
    }

    #[test]
    fn lumberjacks_keys_are_read() {
        let read =
            rotation(r#"{"maxsize": 2, "MaxAge": 3, "maxbackups": 4, "localtime": true, "compress": true}"#);
        let expected = Rotation {
            bytes_max: 2 << 20,
            age_max: DAY * 3,
            backups_max: 4,
            local_time: true,
            compress: true,
        };
        assert_eq!(read, expected);
        assert_eq!(rotation("{}").bytes_max, 100 << 20);
        let message = |json| Rotation::parse(json).unwrap_err().0;
        assert!(message("{").starts_with("improperly formatted log rotation config: "));
        assert!(message(r#"{"maxsize": "1"}"#).starts_with("invalid log rotation config: maxsize"));
        assert!(message(r#"{"compress": 1}"#).starts_with("invalid log rotation config: compress"));
        assert!(message("[]").starts_with("invalid log rotation config: "));
    }

    #[test]
    fn a_full_file_is_put_aside_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/etcd.log");
        let rules = Rotation {
            bytes_max: 64,
            ..rotation("{}")
        };
        let mut log = Rotating::open(path.to_str().unwrap(), rules.clone()).unwrap();
        let line = |n: usize| format!("line {n:03} with some words\n");
        for n in 0..20 {
            log.write_all(line(n).as_bytes()).unwrap();
        }
        drop(log);
        // After a restart it goes on where it was.
        let mut log = Rotating::open(path.to_str().unwrap(), rules).unwrap();
        log.write_all(line(20).as_bytes()).unwrap();
        let mut files: Vec<_> = backups(&path)
            .unwrap()
            .into_iter()
            .map(|backup| backup.path)
            .collect();
        files.reverse();
        files.push(path);
        let mut all = String::new();
        for file in files {
            let text = fs::read_to_string(file).unwrap();
            assert!(text.len() <= 64 && text.ends_with('\n'));
            all.push_str(&text);
        }
        assert_eq!(all, (0..=20).map(line).collect::<String>());
    }

    #[test]
    fn old_files_are_compressed_and_the_oldest_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd.log");
        let stamps = ["2026-01-01", "2026-01-05", "2026-01-06", "2026-01-07"];
        for stamp in stamps {
            fs::write(dir.path().join(format!("etcd-{stamp}T00-00-00.000.log")), stamp).unwrap();
        }
        fs::write(dir.path().join("etcd-notes.log"), "somebody else's").unwrap();
        let now = SystemTime::from(jiff::Timestamp::from_second(1_767_830_400).unwrap());
        let rules = rotation(r#"{"maxbackups": 2, "maxage": 5, "compress": true}"#);
        tidy_up(&path, &rules, now).unwrap();
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected = [
            "etcd-2026-01-06T00-00-00.000.log.gz",
            "etcd-2026-01-07T00-00-00.000.log.gz",
            "etcd-notes.log",
        ];
        assert_eq!(names, expected);
        let mut text = String::new();
        let file = File::open(dir.path().join(&names[1])).unwrap();
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "2026-01-07");
        let aged = rotation(r#"{"maxage": 1}"#);
        tidy_up(&path, &aged, now).unwrap();
        assert_eq!(backups(&path).unwrap().len(), 1, "only the last day's is left");
    }
}
