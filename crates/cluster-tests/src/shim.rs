//! Libraries that are loaded before the C library of the server: system calls that fail, and another time of day.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The compiled library.
pub struct Shim {
    dir: TempDir,
    library: PathBuf,
}

/// Which call fails, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Name of the call, as programs/c/faults.c knows it.
    pub call: &'static str,
    /// Which of the calls, from 1.
    pub nth: u32,
    /// What it fails with; 0 for a write of half the data.
    pub errno: i32,
    /// All later ones fail, too.
    pub lasts: bool,
}

/// Compiles a library. `None`, with the reason printed, where there is no C compiler.
fn compile(source: &str) -> Option<(TempDir, PathBuf)> {
    let dir = TempDir::with_prefix("quorate-shim-").expect("a directory for the library");
    let library = dir.path().join("shim.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("programs/c")
        .join(source);
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-w", "-o"])
        .args([library.as_os_str(), source.as_os_str()])
        .arg("-ldl")
        .output();
    match compiled {
        Ok(output) if output.status.success() => Some((dir, library)),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            println!("left out: no C compiler for {} ({error})", source.display());
            None
        }
    }
}

/// The time of day that one process sees.
pub struct Clock {
    library: PathBuf,
    dir: TempDir,
}

impl Clock {
    /// Compiles the library. `None`, with the reason printed, where there is no C compiler.
    pub fn build() -> Option<Clock> {
        let (dir, library) = compile("clock.c")?;
        let clock = Clock { dir, library };
        clock.jump(0);
        Some(clock)
    }

    /// Environment for a server that goes by this clock.
    pub fn env(&self) -> Vec<(String, String)> {
        vec![
            ("LD_PRELOAD".to_owned(), self.library.display().to_string()),
            ("CLOCK_FILE".to_owned(), self.file().display().to_string()),
        ]
    }

    /// From now on it shows the true time and so many seconds.
    pub fn jump(&self, seconds: i64) {
        use std::io::Write;
        // In place: the server has mapped it.
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.file());
        let written = file.and_then(|mut file| file.write_all(&seconds.to_ne_bytes()));
        written.expect("the clock can be set");
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }
}

impl Shim {
    /// Compiles the library. `None`, with the reason printed, where there is no C compiler.
    pub fn build() -> Option<Shim> {
        let (dir, library) = compile("faults.c")?;
        Some(Shim { dir, library })
    }

    /// Environment for a server whose files below `data` meet `fault`.
    pub fn env(&self, data: &Path, fault: Fault) -> Vec<(String, String)> {
        let _ = std::fs::remove_file(self.note());
        let pair = |name: &str, value: String| (name.to_owned(), value);
        vec![
            pair("LD_PRELOAD", self.library.display().to_string()),
            pair("FAULT_DIR", data.display().to_string()),
            pair("FAULT_CALL", fault.call.to_owned()),
            pair("FAULT_NTH", fault.nth.to_string()),
            pair("FAULT_ERRNO", fault.errno.to_string()),
            pair("FAULT_LASTS", u8::from(fault.lasts).to_string()),
            pair("FAULT_NOTE", self.note().display().to_string()),
        ]
    }

    fn note(&self) -> PathBuf {
        self.dir.path().join("note")
    }

    /// When the fault struck, in nanoseconds on the kernel's monotonic clock, and which file; `None` if it has not.
    pub fn struck(&self) -> Option<(u64, String)> {
        let note = std::fs::read_to_string(self.note()).ok()?;
        let (time, file) = note.lines().next()?.split_once(' ')?;
        Some((time.parse().ok()?, file.to_owned()))
    }
}
