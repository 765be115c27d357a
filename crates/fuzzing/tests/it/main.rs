//! Every target with its seeds, and with mutations of them.

mod mutations;
mod seeds;

use std::path::PathBuf;

/// The seeds of a target that are under version control, by name.
fn committed(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory(target)).expect("every target has seeds") {
        let path = entry.expect("the directory can be read").path();
        let name = path
            .file_name()
            .expect("a file has a name")
            .to_string_lossy()
            .into_owned();
        found.push((name, std::fs::read(path).expect("a seed can be read")));
    }
    found.sort();
    found
}

fn directory(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(target)
}
