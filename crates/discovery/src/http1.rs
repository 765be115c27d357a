//! One HTTP request to a discovery service.

use crate::{Error, Result};
use bytes::Bytes;
use client::{Tls, tls_config};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::Url;

/// For connecting, asking and reading the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A list of some thousand members.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const REDIRECTS_MAX: usize = 5;

/// Asks and follows redirections; a body is sent as a form.
pub async fn ask(method: Method, url: &Url, form: Option<String>) -> Result<(StatusCode, Bytes)> {
    let mut url = url.clone();
    for _ in 0..=REDIRECTS_MAX {
        let asked = tokio::time::timeout(TIMEOUT, ask_once(&method, &url, form.clone())).await;
        let (status, next, body) = asked.map_err(|_| Error::Service(format!("{url} does not answer")))??;
        let Some(next) = next.filter(|_| status.is_redirection()) else {
            return Ok((status, body));
        };
        url = url
            .join(&next)
            .map_err(|error| Error::Service(format!("{url} points to {next:?}: {error}")))?;
    }
    Err(Error::Service(format!("{url} points to ever other places")))
}

async fn ask_once(
    method: &Method,
    url: &Url,
    form: Option<String>,
) -> Result<(StatusCode, Option<String>, Bytes)> {
    let fault = |error: &dyn std::fmt::Display| Error::Service(format!("{url}: {error}"));
    let host = url.host_str().ok_or_else(|| fault(&"it has no host"))?;
    let port = url.port_or_known_default().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .map_err(|error| fault(&error))?;
    let request = Request::builder()
        .method(method)
        .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header(
            header::HOST,
            &url[url::Position::BeforeHost..url::Position::AfterPort],
        )
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(form.unwrap_or_default())))
        .map_err(|error| fault(&error))?;
    match url.scheme() {
        "https" => {
            let config = tls_config(&Tls::default(), &["http/1.1"])?;
            let name =
                rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(|error| fault(&error))?;
            let stream = tokio_rustls::TlsConnector::from(config)
                .connect(name, stream)
                .await
                .map_err(|error| fault(&error))?;
            exchange(stream, request).await.map_err(|error| fault(&error))
        }
        _ => exchange(stream, request).await.map_err(|error| fault(&error)),
    }
}

type Answer = (StatusCode, Option<String>, Bytes);

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let next = response
        .headers()
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .map(str::to_owned);
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await?;
    driver.abort();
    Ok((status, next, body.to_bytes()))
}
