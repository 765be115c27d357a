//! JSON as `encoding/json` writes Go's structs: fields in their order, numbers as numbers, bytes in base64, and zero
//! values left out where the struct's tags say so.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Display;

/// An object under construction.
pub struct Object(String);

impl Default for Object {
    fn default() -> Object {
        Object::new()
    }
}

impl Object {
    /// No fields yet.
    pub fn new() -> Object {
        Object(String::from('{'))
    }

    /// A field that is already JSON.
    pub fn field(mut self, name: &str, json: impl Display) -> Object {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0 += &json_string(name);
        self.0.push(':');
        self.0 += &json.to_string();
        self
    }

    /// A number or truth, unless it is zero or false.
    pub fn nonzero<T: Display + Default + PartialEq>(self, name: &str, value: T) -> Object {
        match value == T::default() {
            true => self,
            false => self.field(name, value),
        }
    }

    /// A string, unless it is empty.
    pub fn string(self, name: &str, value: &str) -> Object {
        match value.is_empty() {
            true => self,
            false => self.field(name, json_string(value)),
        }
    }

    /// Bytes, unless there are none.
    pub fn bytes(self, name: &str, value: &[u8]) -> Object {
        match value.is_empty() {
            true => self,
            false => self.field(name, json_bytes(value)),
        }
    }

    /// A list of JSON values, unless it is empty.
    pub fn list(self, name: &str, values: impl IntoIterator<Item = String>) -> Object {
        let array = Array::from(values);
        match array.is_empty() {
            true => self,
            false => self.field(name, array.finish()),
        }
    }

    /// Another object or anything else, unless there is none.
    pub fn optional(self, name: &str, value: Option<impl Display>) -> Object {
        match value {
            None => self,
            Some(json) => self.field(name, json),
        }
    }

    /// The text.
    pub fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A list of JSON values.
pub struct Array(Vec<String>);

impl Array {
    /// Of values that are already JSON.
    pub fn from(values: impl IntoIterator<Item = String>) -> Array {
        Array(values.into_iter().collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text; an empty one is `[]`.
    pub fn finish(self) -> String {
        format!("[{}]", self.0.join(","))
    }

    /// The text as of a Go slice: one that was never filled is `null`.
    pub fn finish_or_null(self) -> String {
        match self.is_empty() {
            true => "null".to_owned(),
            false => self.finish(),
        }
    }
}

/// Base64 in quotes.
pub fn json_bytes(bytes: &[u8]) -> String {
    format!("\"{}\"", STANDARD.encode(bytes))
}

/// A string in quotes. Go escapes what could end a script element, too.
pub fn json_string(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\x08' => out += "\\b",
            '\x0c' => out += "\\f",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => {
                out += &format!("\\u{:04x}", c as u32)
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_values_are_left_out_and_scripts_stay_closed() {
        let json = Object::new()
            .field("always", 0)
            .nonzero("never", 0)
            .nonzero("yes", true)
            .string("text", "a<b>\n\u{1}é")
            .bytes("bytes", b"\xff")
            .list("none", [])
            .finish();
        assert_eq!(
            json,
            r#"{"always":0,"yes":true,"text":"a\u003cb\u003e\n\u0001é","bytes":"/w=="}"#
        );
    }
}
