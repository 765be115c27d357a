//! What no file may hold.

use std::path::Path;

fn each(check: impl Fn(&Path, &str) -> Option<String>) {
    let files = crate::files();
    let wrong: Vec<String> = files
        .iter()
        .filter_map(|file| {
            let fault = check(file, &crate::read(file)?)?;
            Some(format!("{}: {fault}", file.display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn has_extension(file: &Path, extensions: &[&str]) -> bool {
    file.extension()
        .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
}

#[test]
fn nothing_is_left_for_later() {
    // Split, so that this file does not find itself.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
        concat!("dbg", "!("),
    ];
    each(|file, text| {
        let found = words.iter().find(|word| text.contains(**word));
        found
            .filter(|_| has_extension(file, &["rs", "proto", "sh", "yaml"]))
            .map(|word| format!("holds {word}"))
    });
}

#[test]
fn documents_have_one_title() {
    each(|file, text| {
        if !has_extension(file, &["md"]) {
            return None;
        }
        let mut in_code = false;
        let titles = text.lines().filter(|line| {
            in_code ^= line.starts_with("```");
            !in_code && line.starts_with("# ")
        });
        let titles = titles.count();
        (titles != 1).then(|| format!("{titles} titles"))
    });
}

#[test]
fn lines_end_cleanly() {
    each(|file, text| {
        if !has_extension(file, &["rs", "md", "proto", "toml", "yaml", "yml"]) {
            return None;
        }
        let trailing = text.lines().position(|line| line.ends_with([' ', '\t', '\r']));
        match trailing {
            Some(line) => Some(format!("white space at the end of line {}", line + 1)),
            None => (!text.is_empty() && !text.ends_with('\n')).then(|| "no newline at the end".to_owned()),
        }
    });
}

#[test]
fn every_crate_says_what_it_is() {
    each(|file, text| {
        let is_root = file.ends_with("src/lib.rs") || file.ends_with("src/main.rs");
        (is_root && !text.starts_with("//!")).then(|| "does not begin with a crate comment".to_owned())
    });
}

#[test]
fn files_stay_readable() {
    each(|file, text| {
        let lines = text.lines().count();
        (has_extension(file, &["rs"]) && lines > 800).then(|| format!("{lines} lines"))
    });
}
