//! Durations as `time.Duration` reads and writes them.

use std::time::Duration;

/// Reads `300ms`, `1.5h`, `2h45m`; `0` needs no unit. Up to 292 years, as many nanoseconds as Go can count. Negative
/// durations are no use here and refused.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {}", super::quote(text.as_bytes()));
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("time: missing unit in duration {}", super::quote(text.as_bytes())))?;
        let number = &rest[..digits];
        rest = &rest[digits..];
        let unit_len = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..unit_len] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            unit => {
                return Err(format!(
                    "time: unknown unit {} in duration {}",
                    super::quote(unit.as_bytes()),
                    super::quote(text.as_bytes())
                ));
            }
        };
        rest = &rest[unit_len..];
        total = nanos(number, unit)
            .and_then(|nanos| total.checked_add(nanos))
            .filter(|total| *total <= i64::MAX as u64)
            .ok_or_else(invalid)?;
    }
    Ok(Duration::from_nanos(total))
}

/// A number with or without decimals, of a unit that has so many nanoseconds; what is less than one is left out.
fn nanos(number: &str, unit: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let mut nanos = match whole {
        "" if part.is_empty() => return None,
        "" => 0,
        whole => whole.parse::<u64>().ok()?.checked_mul(unit)?,
    };
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // No digit behind the eighteenth is worth a nanosecond, even of hours.
    let part = &part[..part.len().min(18)];
    if !part.is_empty() {
        let scaled = u128::from(part.parse::<u64>().ok()?) * u128::from(unit) / 10u128.pow(part.len() as u32);
        nanos = nanos.checked_add(scaled as u64)?;
    }
    Some(nanos)
}

/// Writes `2.095242ms`, `1m30s`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let decimal = |nanos: u128, unit: u128, name: &str| {
        let (whole, part) = (nanos / unit, nanos % unit);
        let width = unit.ilog10() as usize;
        let part = format!("{part:0width$}");
        let part = part.trim_end_matches('0');
        match part {
            "" => format!("{whole}{name}"),
            _ => format!("{whole}.{part}{name}"),
        }
    };
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return decimal(nanos, 1_000, "µs");
    }
    if nanos < 1_000_000_000 {
        return decimal(nanos, 1_000_000, "ms");
    }
    let minutes = duration.as_secs() / 60;
    let seconds = decimal(nanos - u128::from(minutes) * 60_000_000_000, 1_000_000_000, "s");
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, nanos, written) in [
            ("5s", 5_000_000_000u64, "5s"),
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            ("2h45m", 9_900_000_000_000, "2h45m0s"),
            ("300ms", 300_000_000, "300ms"),
            ("1.000001ms", 1_000_001, "1.000001ms"),
            ("12us", 12_000, "12µs"),
            ("7ns", 7, "7ns"),
            ("0", 0, "0s"),
            ("1m0.5s", 60_500_000_000, "1m0.5s"),
            (".5s", 500_000_000, "500ms"),
            ("0.3333333333333333333h", 1_199_999_999_999, "19m59.999999999s"),
            (
                "9223372036854775807ns",
                i64::MAX as u64,
                "2562047h47m16.854775807s",
            ),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_nanos(nanos), "{text}");
            assert_eq!(format_duration(duration), written);
        }
        for bad in [
            "",
            "5",
            "s",
            "5x",
            "-1s",
            "1..2s",
            "99999999999999999999999999h",
            ".s",
            "9223372036854775808ns",
            "2562048h",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }
}
