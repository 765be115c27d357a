//! `migrate`

use super::must_exist;
use crate::cli;
use crate::directory::{Directory, open_database, replace_database};
use crate::{Result, log};
use ctl::Failure;
use std::path::Path;
use std::time::Duration;

/// The oldest version that can be asked for, and the newest that anybody knows the way to.
const OLDEST: (u64, u64) = (3, 5);
const NEWEST: (u64, u64) = (3, 7);
/// The first version that writes its version down.
const WRITTEN_SINCE: (u64, u64) = (3, 6);

pub fn run(flags: &cli::Migrate, timeout: Duration) -> Result {
    let target = parse(&flags.target_version)?;
    match Directory::find(&flags.data_dir)? {
        Directory::Etcd { database } => migrate(&database, target, flags.force, timeout),
        Directory::Quorate(store) => {
            // Opened to be sure that it is one; there is nothing to change in it.
            drop(store.open(timeout)?);
            match target == NEWEST {
                true => {
                    log(
                        "info",
                        "storage version up-to-date",
                        &[("storage-version", &show(target))],
                    );
                    Ok(())
                }
                false => Err(Failure::error(format!(
                    "data directories of Quorate have one version, {}: to go to another etcd, take a snapshot of the \
                     running cluster and restore it with that version's etcdutl",
                    show(NEWEST)
                ))),
            }
        }
    }
}

/// An entry that an older etcd could not read is written by its own tests only, so etcd's log is not looked at.
fn migrate(database: &Path, target: (u64, u64), force: bool, timeout: Duration) -> Result {
    must_exist(database)?;
    let current = {
        let database = open_database(database, timeout)?;
        match database.storage_version().map_err(Failure::error)? {
            Some(version) => major_minor(&version).ok_or_else(|| {
                Failure::error(format!("the stored storage version {version:?} cannot be read"))
            })?,
            None if database.get("meta", b"term").map_err(Failure::error)?.is_some() => OLDEST,
            None => {
                log(
                    "error",
                    "failed to detect storage version. Please make sure you are using data dir from etcd v3.5 and older",
                    &[],
                );
                return Err(Failure::error("missing term information"));
            }
        }
    };
    if current == target {
        log(
            "info",
            "storage version up-to-date",
            &[("storage-version", &show(target))],
        );
        return Ok(());
    }
    let plan = plan(current, target);
    if let Err(reason) = &plan {
        if !force {
            return Err(Failure::error(format!("cannot create migration plan: {reason}")));
        }
        log(
            "info",
            "normal migrate failed, trying with force",
            &[("error", reason)],
        );
    }
    let version = match target < WRITTEN_SINCE {
        true => String::new(),
        false => format!("{}.{}.0", target.0, target.1),
    };
    replace_database(database, Some(&version), timeout)?;
    match plan {
        Ok(steps) => {
            for step in steps {
                let step = format!("{}.{}.0", step.0, step.1);
                log(
                    "info",
                    "updated storage version",
                    &[("new-storage-version", &step)],
                );
            }
        }
        Err(_) if version.is_empty() => log("warn", "forcefully cleared storage version", &[]),
        Err(_) => log(
            "warn",
            "forcefully set storage version",
            &[("storage-version", &show(target))],
        ),
    }
    Ok(())
}

/// Versions on the way, one minor version at a time.
fn plan(current: (u64, u64), target: (u64, u64)) -> Result<Vec<(u64, u64)>, String> {
    if current.0 != target.0 {
        return Err("changing major storage version is not supported".to_owned());
    }
    let mut steps = Vec::new();
    let mut at = current;
    while at != target {
        let up = at.1 < target.1;
        let changed = if up { (at.0, at.1 + 1) } else { at };
        if changed > NEWEST {
            return Err(format!(
                "version \"{}.{}.0\" is not supported",
                changed.0, changed.1
            ));
        }
        at = if up { changed } else { (at.0, at.1 - 1) };
        steps.push(at);
    }
    Ok(steps)
}

fn parse(text: &str) -> Result<(u64, u64)> {
    let wrong = Failure::arguments;
    let Some((major, minor)) = text.split_once('.').filter(|(_, minor)| !minor.contains('.')) else {
        return Err(wrong(format!(
            "wrong target version format, expected \"X.Y\", got {text:?}"
        )));
    };
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| {
            Failure::arguments(format!(
                "failed to parse target version: strconv.ParseInt: parsing {text:?}: invalid syntax"
            ))
        })
    };
    let target = (number(major)?, number(minor)?);
    if target < OLDEST {
        return Err(wrong(format!(
            "target version {:?} not supported. Minimal \"3.5\"",
            show(target)
        )));
    }
    Ok(target)
}

fn major_minor(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

fn show(version: (u64, u64)) -> String {
    format!("{}.{}", version.0, version.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_leads_over_every_minor_version_that_is_known() {
        assert_eq!(plan((3, 5), (3, 7)), Ok(vec![(3, 6), (3, 7)]));
        assert_eq!(plan((3, 7), (3, 5)), Ok(vec![(3, 6), (3, 5)]));
        assert_eq!(
            plan((3, 7), (3, 8)).unwrap_err(),
            "version \"3.8.0\" is not supported"
        );
        assert_eq!(
            plan((3, 8), (3, 7)).unwrap_err(),
            "version \"3.8.0\" is not supported"
        );
    }

    #[test]
    fn a_target_has_two_numbers() {
        let message = |text| parse(text).unwrap_err().message.unwrap();
        assert_eq!(
            message("abc"),
            "wrong target version format, expected \"X.Y\", got \"abc\""
        );
        assert!(message("3.7.0").starts_with("wrong target version format"));
        assert!(message("3.a").ends_with("parsing \"a\": invalid syntax"));
        assert_eq!(
            message("3.4"),
            "target version \"3.4\" not supported. Minimal \"3.5\""
        );
        assert_eq!(parse("3.6"), Ok((3, 6)));
    }
}
