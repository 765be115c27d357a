//! The system fails at every single operation: nothing acknowledged is lost, and a failed log takes nothing more.

use crate::util::{METADATA, commit, entries, marker, options};
use std::sync::Arc;
use wal::{Error, FaultyDir, MemoryDir, Result, Wal};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// A life with rotation, markers, releases and a reset; says after each step how far it was acknowledged.
fn live(dir: FaultyDir, acknowledged: &mut u64) -> Result<()> {
    let mut wal = Wal::create_in(Arc::new(dir), METADATA, options())?;
    let result = run(&mut wal, acknowledged);
    if result.is_err() {
        assert!(matches!(
            commit(&mut wal, &entries(1, 1, 1), b"s"),
            Err(Error::Poisoned | Error::OutOfOrder(_))
        ));
        assert!(matches!(wal.sync(), Err(Error::Poisoned)));
        assert!(matches!(wal.append(&[]), Err(Error::Poisoned)));
        assert!(matches!(wal.release(1), Err(Error::Poisoned)));
    }
    result
}

fn run(wal: &mut Wal, acknowledged: &mut u64) -> Result<()> {
    for first in (1..200).step_by(10) {
        commit(wal, &entries(first, first + 9, 1), b"s")?;
        *acknowledged = first + 9;
        if first % 50 == 1 {
            wal.save_snapshot_marker(marker(first + 9, 1))?;
            wal.release(first + 9)?;
        }
    }
    wal.reset_to_snapshot(marker(500, 2), b"t")?;
    *acknowledged = 500;
    commit(wal, &entries(501, 510, 2), b"t")?;
    *acknowledged = 510;
    Ok(())
}

#[test]
fn every_operation_fails_once() {
    let whole = FaultyDir::new(Arc::new(MemoryDir::new()));
    live(whole.clone(), &mut 0).expect("without a fault");
    let operations = whole.operations();
    assert!(operations > 50);
    for errno in [EIO, ENOSPC] {
        for failing in 0..operations {
            let memory = MemoryDir::new();
            let dir = FaultyDir::new(Arc::new(memory.clone()));
            dir.fail_after(failing, errno);
            let mut acknowledged = 0;
            let error = live(dir, &mut acknowledged).expect_err("the fault shows");
            assert!(matches!(error, Error::Io { .. }), "{error}");
            // The process ends; the machine may crash as well.
            for left in [memory.crash(failing), memory.crash(failing + 1), memory] {
                match Wal::open_in(Arc::new(left), options()) {
                    Ok((wal, recovered)) => {
                        assert!(
                            wal.last_index() >= acknowledged,
                            "operation {failing}: lost an acknowledged entry"
                        );
                        let first = recovered.marker.index + 1;
                        let term = if first > 500 { 2 } else { 1 };
                        assert_eq!(recovered.entries, entries(first, wal.last_index(), term));
                    }
                    // There never was a log.
                    Err(Error::Io { .. }) => assert_eq!(acknowledged, 0),
                    Err(error) => panic!("operation {failing}: {error}"),
                }
            }
        }
    }
}

#[test]
fn a_creation_that_failed_can_be_repeated() {
    for failing in 0.. {
        let memory = MemoryDir::new();
        let dir = FaultyDir::new(Arc::new(memory.clone()));
        dir.fail_after(failing, ENOSPC);
        if Wal::create_in(Arc::new(dir), METADATA, options()).is_ok() {
            break;
        }
        for left in [memory.crash(failing), memory.crash(failing + 100)] {
            match Wal::create_in(Arc::new(left.clone()), METADATA, options()) {
                Ok(_) => {}
                Err(Error::Exists { .. }) => {
                    Wal::open_in(Arc::new(left), options()).expect("whole");
                }
                Err(error) => panic!("operation {failing}: {error}"),
            }
        }
    }
}
