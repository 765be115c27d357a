//! Sizes as etcdctl shows them: decimal units, two digits.

/// `20 kB`, `2.1 GB`, `7 B`.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if size < 10 {
        return format!("{size} B");
    }
    let exponent = (size as f64).log(1000.0).floor();
    let unit = UNITS[exponent as usize];
    let value = (size as f64 / 1000f64.powf(exponent) * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_have_two_digits() {
        for (size, shown) in [
            (0, "0 B"),
            (9, "9 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (20_480, "20 kB"),
            (2_147_483_648, "2.1 GB"),
            (82_854_982, "83 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(super::bytes(size), shown);
        }
    }
}
