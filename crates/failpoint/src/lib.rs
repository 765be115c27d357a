//! Places where a test can make a running server sleep, fail or die, set over HTTP in the words of etcd's gofail.
//!
//! ```text
//! GOFAIL_HTTP=127.0.0.1:22381 quorate …       curl -X PUT -d 'sleep("200ms")' http://127.0.0.1:22381/raftBeforeSave
//! GOFAIL_FAILPOINTS='raftBeforeSave=panic'    set from the start
//! ```
//!
//! Exists only in builds with the feature `on`; in others [`point!`] is nothing and this crate is empty. Names are
//! etcd's, each at the place of ours that corresponds. Knows no other crate.

#[cfg(feature = "on")]
mod http;
#[cfg(feature = "on")]
mod points;
#[cfg(feature = "on")]
mod term;

#[cfg(feature = "on")]
pub use points::{evaluate, start, sync};

/// A place where the thread sleeps, panics, or goes on, as is set. With `=> |text| …`, a `return("text")` that is set
/// runs the block, which returns from the function; with `if` one of two names counts.
#[cfg(feature = "on")]
#[macro_export]
macro_rules! point {
    ($name:literal) => {{
        $crate::sync($name);
    }};
    (if $condition:expr => $name:literal, $other:literal) => {{
        match $condition {
            true => $crate::sync($name),
            false => $crate::sync($other),
        };
    }};
    ($name:literal => |$text:ident| $block:expr) => {
        if let Some($text) = $crate::sync($name) {
            $block
        }
    };
}

/// A place where the thread sleeps, panics, or goes on, as is set; nothing in this build.
#[cfg(not(feature = "on"))]
#[macro_export]
macro_rules! point {
    ($name:literal) => {{}};
    (if $condition:expr => $name:literal, $other:literal) => {{}};
    ($name:literal => |$text:ident| $block:expr) => {{}};
}

/// Like [`point!`], for functions of an asynchronous runtime: only the task sleeps. The crate that uses it must have
/// tokio.
#[cfg(feature = "on")]
#[macro_export]
macro_rules! point_async {
    ($name:literal) => {
        if let Some(pause) = $crate::evaluate($name).pause {
            tokio::time::sleep(pause).await;
        }
    };
}

/// Nothing in this build.
#[cfg(not(feature = "on"))]
#[macro_export]
macro_rules! point_async {
    ($name:literal) => {{}};
}
