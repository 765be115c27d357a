use std::fs;
use std::ops::Bound::Unbounded;
use std::path::Path;
use std::process::Command;
use storage::{Backend, Batch, Error, Family};
use storage_rocksdb::{Options, open};

fn fill(store: &dyn Backend) {
    let mut batch = Batch::new();
    for n in 0..2000u32 {
        batch.put(
            Family::Current,
            n.to_be_bytes().to_vec(),
            format!("value {n}").into_bytes(),
        );
    }
    store.write(batch).unwrap();
    store.flush().unwrap();
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

/// The test runs itself as the other process.
#[test]
fn a_store_in_use_by_another_process_is_locked() {
    const STORE: &str = "QUORATE_TEST_STORE";
    if let Some(path) = std::env::var_os(STORE) {
        assert!(matches!(
            open(Path::new(&path), Options::default()),
            Err(Error::Locked { .. })
        ));
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    let _store = open(&path, Options::default()).unwrap();
    let name = "directory::a_store_in_use_by_another_process_is_locked";
    let other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(STORE, &path)
        .output()
        .unwrap();
    assert!(
        other.status.success(),
        "{}",
        String::from_utf8_lossy(&other.stdout)
    );
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

    let file = path.join("holiday.jpg");
    assert!(
        matches!(open(&file, Options::default()), Err(Error::Open { .. })),
        "a file is no directory"
    );
}

#[test]
fn the_database_of_another_program_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    drop(rocksdb::DB::open_cf(&options, &path, ["invoices"]).unwrap());
    let Err(Error::Open { reason, .. }) = open(&path, Options::default()) else {
        panic!("opened")
    };
    assert!(reason.contains("invoices"), "{reason}");
    let families = rocksdb::DB::list_cf(&options, &path).unwrap();
    assert_eq!(families, ["default", "invoices"], "nothing was added");
}

/// One bit made the second record of a manifest one of a reused log, and RocksDB read it for ever.
#[test]
fn a_manifest_without_an_end_is_damage() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    fill(&*open(&path, Options::default()).unwrap());
    let manifest = path.join(fs::read_to_string(path.join("CURRENT")).unwrap().trim_end());
    let mut bytes = fs::read(&manifest).unwrap();
    let second = 7 + usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    assert_eq!(bytes[second + 6], 1, "a whole record");
    bytes[second + 6] = 5;
    fs::write(&manifest, bytes).unwrap();

    let Err(Error::Corrupt(damage)) = open(&path, Options::default()) else {
        panic!("opened")
    };
    assert!(damage.contains(&format!("at byte {second}")), "{damage}");
}

#[test]
fn damaged_files_are_reported_as_damage() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("store");
    fill(&*open(&path, Options::default()).unwrap());
    let good = scratch.path().join("good");
    copy(&path, &good);

    // A manifest that is cut off is missing: RocksDB takes that for a crash and opens at an older flush.
    type Damage = fn(&mut Vec<u8>);
    let kinds: [(&str, &str, &[Damage]); 3] = [
        (".sst", "", &[flip, cut, remove_all]),
        ("", "MANIFEST-", &[flip, remove_all]),
        ("", "CURRENT", &[flip, cut, remove_all]),
    ];
    for (suffix, prefix, damages) in kinds {
        for damage in damages {
            fs::remove_dir_all(&path).unwrap();
            copy(&good, &path);
            for file in fs::read_dir(&path).unwrap() {
                let file = file.unwrap();
                let name = file.file_name().into_string().unwrap();
                if name.ends_with(suffix) && name.starts_with(prefix) {
                    let mut bytes = fs::read(file.path()).unwrap();
                    damage(&mut bytes);
                    fs::write(file.path(), bytes).unwrap();
                }
            }
            match read_all(&path) {
                Err(Error::Corrupt(_) | Error::Open { .. }) => {}
                other => panic!("{prefix}*{suffix}: {other:?}"),
            }
        }
    }

    fs::remove_dir_all(&path).unwrap();
    copy(&good, &path);
    assert_eq!(read_all(&path).unwrap(), 2000);
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

fn flip(bytes: &mut Vec<u8>) {
    let at = bytes.len() / 3;
    let flipped = bytes[at] ^ 0xff;
    bytes.splice(at..=at, [flipped]);
}

fn cut(bytes: &mut Vec<u8>) {
    bytes.truncate(bytes.len() / 2);
}

fn remove_all(bytes: &mut Vec<u8>) {
    bytes.clear();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
