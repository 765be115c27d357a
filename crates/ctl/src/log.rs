//! Lines for the standard error in the form of etcd's logs, which tools that wrap etcdctl know to leave out.

use crate::go::{Object, json_string};

/// Says something that is not part of the output.
pub fn log(level: &str, message: &str, fields: &[(&str, &str)]) {
    let mut line = Object::new()
        .field("level", json_string(level))
        .string("msg", message);
    for (name, value) in fields {
        line = line.field(name, json_string(value));
    }
    eprintln!("{}", line.finish());
}
