//! Go's ways of writing things, which are part of etcdctl's output.

mod duration;
mod json;
mod quote;
mod size;
mod table;

pub use duration::{format_duration, parse_duration};
pub use json::{Array, Object, json_bytes, json_string};
pub use quote::{quote, scan_quoted, unquote};
pub use size::bytes;
pub use table::table;

/// An error of the system in Go's words: without its number, and not as the start of a sentence.
pub fn io_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
