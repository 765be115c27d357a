//! The smallest HTTP client: what is tested here is the server.

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Status and body of `GET path` on a port of this machine.
pub async fn get(port: u16, path: &str) -> anyhow::Result<(u16, String)> {
    send(port, "GET", path, "").await
}

/// Status and body of the answer to `PUT path`.
pub async fn put(port: u16, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
    send(port, "PUT", path, body).await
}

async fn send(port: u16, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).context("a status line")?.parse()?;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .context("an empty line after the head")?;
    Ok((status, body.to_owned()))
}
