//! Histories as text.

use differential::{Dialect, generate, read_script, write_script};

/// Whoever is handed a script must be able to play it.
#[test]
fn a_history_survives_being_written_down() {
    for seed in 0..20 {
        let history = generate(seed, 200, Dialect::V37);
        let script = write_script(&history);
        let read = read_script(&script).unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        assert_eq!(write_script(&read), script, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let twice = [0, 1].map(|_| write_script(&generate(7, 300, Dialect::V37)));
    assert_eq!(twice[0], twice[1]);
    assert_ne!(twice[0], write_script(&generate(8, 300, Dialect::V37)));
}

#[test]
fn comments_are_skipped_and_mistakes_are_named() {
    let history =
        read_script("# a comment\n\nKV/Put @alice key:\"a\",value:\"1\"\nAuth/AuthEnable\n").unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!(history[0].user.as_deref(), Some("alice"));
    let error = read_script("KV/Get key:\"a\"").unwrap_err();
    assert!(format!("{error:#}").contains("no method \"KV/Get\""), "{error:#}");
    let error = read_script("KV/Put\nKV/Put colour:\"red\"").unwrap_err();
    assert!(format!("{error:#}").contains("line 2"), "{error:#}");
}

/// A version is spared only what it does not know.
#[test]
fn an_older_version_is_spared_what_it_does_not_know() {
    let all = write_script(&generate(3, 2000, Dialect::V37));
    let some = write_script(&generate(3, 2000, Dialect::V34));
    assert!(all.contains("KV/RangeStream") && !some.contains("KV/RangeStream"));
    for name in [
        "KV/Range",
        "KV/Put",
        "KV/DeleteRange",
        "KV/Txn",
        "HashKV",
        "limit:",
        "sort_target:",
    ] {
        assert!(some.contains(name), "{name}");
    }
}
