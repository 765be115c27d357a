//! What every engine must do, as one suite that each of them runs.

mod damaged;
mod killed;
mod model;
mod stories;

pub use damaged::damaged;
pub use killed::killed_while_writing;

use crate::backend::{Backend, Result};
use std::path::Path;
use std::sync::Arc;

/// An engine under test.
pub trait Engine {
    /// Opens the store in `dir`, an empty one if there is none.
    fn open(&self, dir: &Path) -> Result<Arc<dyn Backend>>;

    /// Leaves in the new directory `image` what a crash at this moment would leave of the store that is open at
    /// `dir`, such that [`Engine::open`] takes it. Called while nobody writes.
    fn crash(&self, dir: &Path, image: &Path);
}

/// Runs all of it, in directories of its own under the existing directory `scratch`.
///
/// # Panics
/// When the engine breaks the contract. Prints the story, and the seed where chance is in it; a seed in the
/// environment variable `QUORATE_SEED` is run in place of the built-in ones.
pub fn suite(engine: &dyn Engine, scratch: &Path) {
    for (name, story) in stories::ALL {
        println!("story: {name}");
        let scratch = scratch.join(name);
        std::fs::create_dir(&scratch).expect("a scratch directory");
        story(engine, &scratch);
    }
    for seed in seeds() {
        println!("random history of seed {seed}");
        let scratch = scratch.join(format!("random-{seed}"));
        std::fs::create_dir(&scratch).expect("a scratch directory");
        model::random_history(engine, &scratch, seed);
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("QUORATE_SEED") {
        Ok(seed) => vec![seed.parse().expect("QUORATE_SEED is a number")],
        Err(_) => (1..=4).collect(),
    }
}
