//! What every directory must do; run on each.

use std::io::ErrorKind;
use std::sync::Arc;
use wal::{Dir, Disk, FaultyDir, MemoryDir};

fn suite(dir: &dyn Dir) {
    let sorted = || {
        let mut names = dir.list().expect("list");
        names.sort();
        names
    };
    assert!(sorted().is_empty());
    let missing = |error: std::io::Error| error.kind() == ErrorKind::NotFound;
    assert!(dir.open("a").err().is_some_and(missing));
    assert!(dir.rename("a", "b").err().is_some_and(missing));
    assert!(dir.remove("a").err().is_some_and(missing));

    let file = dir.create("a").expect("create");
    assert_eq!(file.size().expect("size"), 0);
    file.fill(10_000).expect("fill");
    assert_eq!(file.size().expect("size"), 10_000);
    let mut buf = vec![1; 20_000];
    assert_eq!(file.read_at(&mut buf, 0).expect("read"), 10_000);
    assert!(buf[..10_000].iter().all(|byte| *byte == 0));

    file.write_at(b"hello", 9_998).expect("write beyond the end");
    assert_eq!(file.size().expect("size"), 10_003);
    file.sync().expect("sync");
    dir.sync().expect("sync directory");
    assert_eq!(file.read_at(&mut buf[..3], 9_999).expect("read"), 3);
    assert_eq!(&buf[..3], b"ell");
    assert_eq!(file.read_at(&mut buf, 20_000).expect("read beyond the end"), 0);

    dir.create("b")
        .expect("create")
        .write_at(b"other", 0)
        .expect("write");
    dir.rename("a", "b").expect("rename over");
    assert_eq!(sorted(), ["b"]);
    file.write_at(b"J", 9_998).expect("the handle follows the file");
    let again = dir.open("b").expect("open");
    assert_eq!(again.read_at(&mut buf[..2], 9_998).expect("read"), 2);
    assert_eq!(&buf[..2], b"Je");

    dir.remove("b").expect("remove");
    assert!(sorted().is_empty());
    assert_eq!(
        file.read_at(&mut buf[..2], 9_998).expect("read what is removed"),
        2
    );
    dir.create("b").expect("create");
    assert_eq!(dir.create("b").expect("create again").size().expect("size"), 0);
}

#[test]
fn disk() {
    let temp = tempfile::tempdir().expect("tempdir");
    suite(&Disk::create(&temp.path().join("member/wal")).expect("create"));
}

#[test]
fn memory() {
    suite(&MemoryDir::new());
}

#[test]
fn faulty_without_a_fault() {
    suite(&FaultyDir::new(Arc::new(MemoryDir::new())));
}

#[test]
fn memory_keeps_what_was_synced_and_may_lose_the_rest() {
    let dir = MemoryDir::new();
    let file = dir.create("a").expect("create");
    file.write_at(&[1; 4096], 0).expect("write");
    file.sync().expect("sync");
    dir.sync().expect("sync directory");
    file.write_at(&[2; 2048], 1024).expect("write");
    dir.rename("a", "b").expect("rename");
    let (mut renamed, mut torn) = (0, 0);
    for seed in 0..64 {
        let left = dir.crash(seed);
        let name = if left.list().expect("list") == ["b"] {
            "b"
        } else {
            "a"
        };
        renamed += usize::from(name == "b");
        let bytes = left.read(name).expect("the file is there under one name");
        assert!(bytes[..1024].iter().chain(&bytes[3072..]).all(|byte| *byte == 1));
        for sector in bytes.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "sectors are whole");
        }
        torn += usize::from(bytes[1024..3072].contains(&1) && bytes.contains(&2));
    }
    assert!((16..48).contains(&renamed), "renamed {renamed} of 64");
    assert!(torn > 32, "torn {torn} of 64");
}
