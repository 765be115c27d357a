//! `snapshot status`

use super::must_exist;
use crate::cli::Status;
use crate::directory::open_database;
use crate::print::{Format, Report};
use crate::{Result, progress};
use ctl::{Failure, write_out};
use std::time::Duration;

pub fn run(flags: &Status, timeout: Duration, format: impl Fn() -> Result<Format>) -> Result {
    let [path] = &flags.args[..] else {
        return Err(Failure::arguments(
            "snapshot status requires exactly one argument",
        ));
    };
    must_exist(path)?;
    let format = format()?;
    let database = open_database(path, timeout)?;
    let wrong = database.check().map_err(Failure::error)?;
    if !wrong.is_empty() {
        return Err(Failure::error(format!(
            "snapshot file integrity check failed. {} errors found.\n{}",
            wrong.len(),
            wrong.join("\n")
        )));
    }
    let database = database.with_progress(progress::bar("reading"));
    let status = database.status().map_err(Failure::error)?;
    drop(database);
    write_out(&format.render(&Report::Status(&status))?)
}
