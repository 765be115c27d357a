//! A seed that is refused is worth nothing: mutations would not get past the first check.

use fuzzing::{TARGETS, Target};

/// Those of connections wait for an answer only for a moment, which a busy machine may need for something else.
fn taken(target: &Target, bytes: &[u8]) -> bool {
    let attempts = if matches!(target.name, "gateway" | "link" | "dns") {
        50
    } else {
        1
    };
    (0..attempts).any(|_| (target.run)(bytes))
}

/// With `QUORATE_WRITE_SEEDS` set, what our encoders make now replaces the seeds first.
#[test]
fn every_seed_is_taken() {
    if std::env::var_os("QUORATE_WRITE_SEEDS").is_some() {
        for target in TARGETS {
            let directory = crate::directory(target.name);
            std::fs::create_dir_all(&directory).unwrap();
            for (name, bytes) in fuzzing::seeds(target.name) {
                std::fs::write(directory.join(name), bytes).unwrap();
            }
        }
    }
    let mut refused = Vec::new();
    for target in TARGETS {
        let seeds = crate::committed(target.name);
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for (name, bytes) in seeds {
            assert!(
                bytes.len() < 8192,
                "{}/{name} has {} bytes",
                target.name,
                bytes.len()
            );
            if !taken(target, &bytes) {
                refused.push(format!("{}/{name}", target.name));
            }
        }
    }
    assert!(refused.is_empty(), "refused: {refused:?}");
}

/// A change of a format must not leave the committed seeds behind unnoticed.
#[test]
fn what_our_encoders_make_is_taken() {
    let mut refused = Vec::new();
    for target in TARGETS {
        for (name, bytes) in fuzzing::seeds(target.name) {
            if !taken(target, &bytes) {
                refused.push(format!("{}/{name}", target.name));
            }
        }
    }
    assert!(refused.is_empty(), "refused: {refused:?}");
}
