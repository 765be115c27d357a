//! Quoted strings as `strconv` has them.

/// `%q`: printable text stays, everything else is escaped; bytes that are no UTF-8 as `\x..`.
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::from('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out += "\\\"",
                '\\' => out += "\\\\",
                '\x07' => out += "\\a",
                '\x08' => out += "\\b",
                '\x0c' => out += "\\f",
                '\n' => out += "\\n",
                '\r' => out += "\\r",
                '\t' => out += "\\t",
                '\x0b' => out += "\\v",
                c if is_printable(c) => out.push(c),
                c if c < ' ' || c == '\x7f' => out += &format!("\\x{:02x}", c as u32),
                c if (c as u32) < 0x10000 => out += &format!("\\u{:04x}", c as u32),
                c => out += &format!("\\U{:08x}", c as u32),
            }
        }
        for byte in chunk.invalid() {
            out += &format!("\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

fn is_printable(c: char) -> bool {
    // The standard library's notion but for marks, which it escapes only at the start of a string.
    let mut text = String::from("a");
    text.push(c);
    text.escape_debug().count() == 2
}

/// Reads a quoted string at the start of `text`; returns it and what follows it.
pub fn scan_quoted(text: &str) -> Option<(Vec<u8>, &str)> {
    if let Some(rest) = text.strip_prefix('`') {
        let end = rest.find('`')?;
        return Some((rest[..end].replace('\r', "").into_bytes(), &rest[end + 1..]));
    }
    let rest = text.strip_prefix('"')?;
    let mut end = 0;
    let bytes = rest.as_bytes();
    loop {
        match bytes.get(end)? {
            b'"' => break,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    Some((unescape(rest.get(..end)?)?, &rest[end + 1..]))
}

/// Reads a text that is one quoted string.
pub fn unquote(text: &str) -> Option<Vec<u8>> {
    match scan_quoted(text)? {
        (unquoted, "") => Some(unquoted),
        _ => None,
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == '\n' {
            return None;
        }
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.chars().next()?;
        rest = &rest[escape.len_utf8()..];
        let mut number = |len: usize, radix: u32| {
            let digits = rest.get(..len)?;
            if !digits.chars().all(|c| c.is_digit(radix)) {
                return None;
            }
            rest = &rest[len..];
            u32::from_str_radix(digits, radix).ok()
        };
        let mut push = |c: char| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        match escape {
            'a' => push('\x07'),
            'b' => push('\x08'),
            'f' => push('\x0c'),
            'n' => push('\n'),
            'r' => push('\r'),
            't' => push('\t'),
            'v' => push('\x0b'),
            '\\' | '"' => push(escape),
            'u' => push(char::from_u32(number(4, 16)?)?),
            'U' => push(char::from_u32(number(8, 16)?)?),
            'x' => {
                let byte = number(2, 16)?;
                out.push(byte as u8);
            }
            '0'..='7' => {
                let high = escape.to_digit(8)? << 6;
                let byte = u8::try_from(high + number(2, 8)?).ok()?;
                out.push(byte);
            }
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_reads_back() {
        for (bytes, quoted) in [
            (&b"plain"[..], r#""plain""#),
            (b"a\"b\\c", r#""a\"b\\c""#),
            (b"\x00\x07\n\x7f", r#""\x00\a\n\x7f""#),
            (b"\xff\xc3\xa9", r#""\xffé""#),
            (
                "\u{a0}\u{200b}\u{1f600}e\u{301}".as_bytes(),
                "\"\\u00a0\\u200b\u{1f600}e\u{301}\"",
            ),
        ] {
            assert_eq!(quote(bytes), quoted);
            assert_eq!(unquote(quoted).unwrap(), bytes);
        }
        assert_eq!(unquote(r#""\101\x41\u0041\U00000041""#).unwrap(), b"AAAA");
        assert_eq!(unquote("`a\\n`").unwrap(), b"a\\n");
        assert_eq!(
            scan_quoted(r#""a") > "0""#).unwrap(),
            (b"a".to_vec(), ") > \"0\"")
        );
        for bad in [
            "",
            "a",
            r#"""#,
            r#""\q""#,
            r#""\x4""#,
            r#""\""#,
            r#""a"b"#,
            r#""\400""#,
            r#"'a'"#,
        ] {
            assert!(unquote(bad).is_none(), "{bad}");
        }
    }
}
