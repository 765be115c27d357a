//! The HTTP side of gofail: `GET /`, and `GET`, `PUT`, `DELETE` of a point.

use crate::points;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const BODY_BYTES_MAX: usize = 64 * 1024;
const LINES_MAX: usize = 100;
const TIMEOUT: Duration = Duration::from_secs(5);

/// Serves in a thread of its own, one request after the other, until the process ends.
pub fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    std::thread::Builder::new()
        .name("failpoints".into())
        .spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that says nothing sensible gets nothing.
                let _ = answer(client);
            }
        })?;
    Ok(())
}

fn answer(mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(TIMEOUT))?;
    let (method, path, body) = read(&client)?;
    let (status, text) = respond(&method, &path, &body);
    let reason = match status {
        200 => "OK",
        204 => "No Content",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Bad Request",
    };
    let length = match status {
        204 => String::new(),
        _ => format!("Content-Length: {}\r\n", text.len()),
    };
    write!(
        client,
        "HTTP/1.1 {status} {reason}\r\n{length}Connection: close\r\n\r\n{text}"
    )
}

fn read(client: &TcpStream) -> io::Result<(String, String, String)> {
    let mut reader = BufReader::new(client.take((BODY_BYTES_MAX * 2) as u64));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut length = 0;
    for _ in 0..LINES_MAX {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length.min(BODY_BYTES_MAX)];
    reader.read_exact(&mut body)?;
    Ok((method, path, String::from_utf8_lossy(&body).into_owned()))
}

fn respond(method: &str, path: &str, body: &str) -> (u16, String) {
    let name = path.trim_start_matches('/');
    let disabled = || {
        (
            404,
            "failed to GET: failpoint: failpoint is disabled\n".to_owned(),
        )
    };
    match (method, name) {
        ("GET", "") => (200, points::list()),
        ("GET", name) => match name.strip_suffix("/count") {
            Some(name) => points::get(name).map_or_else(disabled, |(_, hits)| (200, hits.to_string())),
            None => points::get(name).map_or_else(disabled, |(terms, _)| (200, format!("{terms}\n"))),
        },
        ("PUT", "failpoints") => done(points::set_all(body)),
        ("PUT", name) => done(points::set(name, body)),
        ("DELETE", name) => match points::clear(name) {
            true => (204, String::new()),
            false => (
                400,
                "failed to delete failpoint: failpoint is disabled\n".to_owned(),
            ),
        },
        _ => (405, "Method not allowed\n".to_owned()),
    }
}

fn done(result: Result<(), String>) -> (u16, String) {
    match result {
        Ok(()) => (204, String::new()),
        Err(error) => (400, format!("fail to set failpoint: {error}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_set_read_counted_and_cleared() {
        let name = "defragBeforeCopy";
        assert!(respond("GET", "/", "").1.contains("defragBeforeCopy=\n"));
        assert_eq!(respond("PUT", "/defragBeforeCopy", "1*return(\"x\")").0, 204);
        assert!(
            respond("GET", "/", "")
                .1
                .contains("defragBeforeCopy=1*return(\"x\")\n")
        );
        assert_eq!(crate::sync(name), Some("x".into()));
        assert_eq!(crate::sync(name), None);
        assert_eq!(respond("GET", "/defragBeforeCopy/count", "").1, "2");
        assert_eq!(respond("DELETE", "/defragBeforeCopy", "").0, 204);
        assert_eq!(respond("DELETE", "/defragBeforeCopy", "").0, 400);
        assert_eq!(respond("PUT", "/noSuchPoint", "panic").0, 400);
        assert_eq!(respond("PUT", "/defragBeforeCopy", "explode").0, 400);
    }
}
