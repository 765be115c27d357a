use std::fs;
use std::ops::Bound::Unbounded;
use std::path::Path;
use storage::{Batch, Error, Family};
use storage_fjall::{Options, open};

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_store_in_use_is_locked() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    let store = open(&path, Options::default()).unwrap();
    assert!(matches!(
        open(&path, Options::default()),
        Err(Error::Locked { .. })
    ));
    drop(store);
    open(&path, Options::default()).unwrap();
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path();
    fs::write(path.join("holiday.jpg"), "a picture").unwrap();
    let Err(Error::Open { reason, .. }) = open(path, Options::default()) else {
        panic!("opened")
    };
    assert!(reason.contains("holiday.jpg"), "{reason}");
    assert_eq!(fs::read_dir(path).unwrap().count(), 1, "nothing was added");
}

#[test]
fn the_database_of_another_program_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    let other = fjall::Database::builder(&path).open().unwrap();
    other.keyspace("invoices", Default::default).unwrap();
    drop(other);
    let Err(Error::Open { reason, .. }) = open(&path, Options::default()) else {
        panic!("opened")
    };
    assert!(reason.contains("invoices"), "{reason}");
}

#[test]
fn a_store_that_was_never_finished_is_begun_again() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    drop(open(&path, Options::default()).unwrap());
    fs::remove_file(path.join("version")).unwrap();
    assert!(
        matches!(open(&path, Options::default()), Err(Error::Open { .. })),
        "there are keyspaces"
    );
    fs::remove_dir_all(path.join("keyspaces")).unwrap();
    open(&path, Options::default()).unwrap();
}

#[test]
fn damaged_tables_are_reported_as_damage() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    let store = open(&path, Options::default()).unwrap();
    let mut batch = Batch::new();
    for n in 0..20_000u32 {
        batch.put(
            Family::Current,
            n.to_be_bytes().to_vec(),
            format!("value {n}").into_bytes(),
        );
    }
    store.write(batch).unwrap();
    store.reclaim().unwrap();
    drop(store);
    assert_eq!(read_all(&path).unwrap(), 20_000);

    let mut damaged = 0;
    for keyspace in fs::read_dir(path.join("keyspaces")).unwrap() {
        let tables = keyspace.unwrap().path().join("tables");
        for table in fs::read_dir(tables).into_iter().flatten() {
            let table = table.unwrap().path();
            let mut bytes = fs::read(&table).unwrap();
            if bytes.len() > 100_000 {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0xff;
                fs::write(table, bytes).unwrap();
                damaged += 1;
            }
        }
    }
    assert_eq!(damaged, 1, "the table of the family");
    assert!(matches!(read_all(&path), Err(Error::Corrupt(_))));
}

fn read_all(path: &Path) -> storage::Result<usize> {
    let store = open(path, Options::default())?;
    let snapshot = store.snapshot()?;
    let mut cursor = snapshot.scan(Family::Current, (Unbounded, Unbounded))?;
    let mut rows = 0;
    while cursor.next()?.is_some() {
        rows += 1;
    }
    Ok(rows)
}
