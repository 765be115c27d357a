//! `hashkv`

use super::must_exist;
use crate::cli;
use crate::directory::{Directory, open_database};
use crate::print::{Format, Report};
use crate::{Result, progress};
use ctl::{Failure, write_out};
use model::Revision;
use std::path::Path;
use std::time::Duration;

pub fn run(flags: &cli::HashKv, timeout: Duration, format: Format) -> Result {
    let [path] = &flags.args[..] else {
        return Err(Failure::error(format!(
            "accepts 1 arg(s), received {}",
            flags.args.len()
        )));
    };
    must_exist(path)?;
    let hash = hash(path, Revision(flags.rev), timeout)?;
    write_out(&format.render(&Report::HashKv(&hash))?)
}

fn hash(path: &Path, revision: Revision, timeout: Duration) -> Result<mvcc::HashKv> {
    let file = match path.is_dir() {
        false => path.to_owned(),
        true => match Directory::find(path)? {
            Directory::Etcd { database } => database,
            Directory::Quorate(store) => {
                let backend = store.open(timeout)?;
                let (store, _) =
                    mvcc::Store::open(backend, mvcc::Options::default()).map_err(Failure::error)?;
                return store.hash_kv(revision).map_err(refusal);
            }
        },
    };
    let database = open_database(&file, timeout)?.with_progress(progress::bar("hashing"));
    database.hash_kv(revision).map_err(|error| match error {
        backup::Error::Keys(error) => refusal(error),
        error => Failure::error(error),
    })
}

/// The words of etcd's tool, which asks no server.
fn refusal(error: mvcc::Error) -> Failure {
    use model::Rejection::{Compacted, FutureRevision};
    match error {
        mvcc::Error::Rejected(Compacted) => Failure::error("mvcc: required revision has been compacted"),
        mvcc::Error::Rejected(FutureRevision) => {
            Failure::error("mvcc: required revision is a future revision")
        }
        error => Failure::error(error),
    }
}
