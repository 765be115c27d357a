//! Sending one request: choice of endpoint, token, deadline, retries.

use crate::connection::{Refusal, channel};
use crate::{Error, Options, Result};
use api::etcdserverpb::auth_client::AuthClient;
use model::Rejection;
use model::pb::etcdserverpb::AuthenticateRequest;
use prost::Message;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::RwLock;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

/// A connection to the cluster. Cheap to clone; clones share connections and token.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    timeout: Option<Duration>,
}

struct Shared {
    options: Options,
    channels: Vec<Channel>,
    refusals: Vec<Refusal>,
    /// Number of the endpoint that last answered.
    current: AtomicUsize,
    token: RwLock<Option<MetadataValue<Ascii>>>,
}

/// Whether a request may be sent again when nobody knows what became of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing.
    Freely,
    /// Only if it surely did not reach a server.
    Unsent,
}

/// Attempts in all, with a pause after each round of the endpoints, as etcd's client has them.
const ATTEMPTS_MAX: usize = 100;
const PAUSE: Duration = Duration::from_millis(25);

impl Client {
    /// Prepares the connections, and fetches a token if there are credentials. Without credentials nothing is sent.
    pub async fn connect(options: Options) -> Result<Client> {
        if options.endpoints.is_empty() {
            return Err(Error::Endpoint {
                endpoint: String::new(),
                reason: "no endpoint given".into(),
            });
        }
        let (channels, refusals) = options
            .endpoints
            .iter()
            .map(|endpoint| channel(endpoint.trim(), &options))
            .collect::<Result<_>>()?;
        let token = match &options.token {
            Some(token) => Some(header(token)?),
            None => None,
        };
        let client = Client {
            timeout: options.timeout,
            shared: Arc::new(Shared {
                options,
                channels,
                refusals,
                current: AtomicUsize::new(0),
                token: RwLock::new(token),
            }),
        };
        if client.shared.options.credentials.is_some() {
            client.within(client.authenticate()).await?;
        }
        Ok(client)
    }

    /// The same client with another time allowed for each call.
    pub fn with_timeout(&self, timeout: Option<Duration>) -> Client {
        Client {
            timeout,
            ..self.clone()
        }
    }

    /// The endpoints it was made with.
    pub fn endpoints(&self) -> &[String] {
        &self.shared.options.endpoints
    }

    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Sends one request and returns its answer, trying again where that is safe.
    pub(crate) async fn unary<Q, A, F>(
        &self,
        repeat: Repeat,
        request: Q,
        call: impl Fn(Channel, Request<Q>) -> F,
    ) -> Result<A>
    where
        Q: Message + Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let (bytes, bytes_max) = (request.encoded_len(), self.shared.options.request_bytes_max);
        if bytes > bytes_max {
            return Err(Error::Refused {
                code: Code::ResourceExhausted,
                message: format!("trying to send message larger than max ({bytes} vs. {bytes_max})"),
            });
        }
        let attempt = || async {
            let (number, channel) = self.channel();
            let sent = self.request(request.clone()).await;
            match call(channel, sent).await {
                Ok(response) => Ok(response.into_inner()),
                Err(status) => Err((number, status)),
            }
        };
        self.within(self.repeated(repeat, attempt)).await
    }

    /// Opens a stream; the answer to the request is its first response. Not bound by the timeout.
    pub(crate) async fn open<Q, A, F>(&self, request: Q, call: impl Fn(Channel, Request<Q>) -> F) -> Result<A>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let attempt = || async {
            let (number, channel) = self.channel();
            let sent = self.request(request.clone()).await;
            match call(channel, sent).await {
                Ok(response) => Ok(response.into_inner()),
                Err(status) => Err((number, status)),
            }
        };
        self.repeated(Repeat::Freely, attempt).await
    }

    async fn repeated<A, F>(&self, repeat: Repeat, attempt: impl Fn() -> F) -> Result<A>
    where
        F: Future<Output = Result<A, (usize, Status)>>,
    {
        let mut renewed = false;
        let mut attempts = 0;
        loop {
            let (number, status) = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            attempts += 1;
            // Refused by the handshake: another server may believe our certificate, this one will not.
            if let Some(message) = self.shared.refusals[number].take() {
                if attempts >= self.shared.channels.len() {
                    let code = Code::Unavailable;
                    return Err(Error::Refused { code, message });
                }
                self.leave(number);
                continue;
            }
            if !renewed && self.renews(status.message()) {
                renewed = true;
                self.authenticate().await?;
                continue;
            }
            let unsent = never_sent(&status);
            let error = Error::from(status);
            let again = error.is_unavailable() && (unsent || repeat == Repeat::Freely);
            if !again || attempts >= ATTEMPTS_MAX {
                return Err(error);
            }
            self.leave(number);
            if attempts % self.shared.channels.len() == 0 {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Bounds a whole call.
    async fn within<A>(&self, call: impl Future<Output = Result<A>>) -> Result<A> {
        match self.timeout {
            None => call.await,
            Some(timeout) => tokio::time::timeout(timeout, call)
                .await
                .unwrap_or(Err(Error::Timeout)),
        }
    }

    pub(crate) fn channel(&self) -> (usize, Channel) {
        let number = self.shared.current.load(Ordering::Relaxed) % self.shared.channels.len();
        (number, self.shared.channels[number].clone())
    }

    /// The endpoint of that number is no good: the next one shall be tried.
    pub(crate) fn leave(&self, number: usize) {
        let next = (number + 1) % self.shared.channels.len();
        // Only if nobody has moved on already.
        _ = self
            .shared
            .current
            .compare_exchange(number, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) async fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        if let Some(token) = &*self.shared.token.read().await {
            request.metadata_mut().insert("token", token.clone());
        }
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        request
    }

    /// Whether a new token may help against a refusal with this text.
    pub(crate) fn renews(&self, message: &str) -> bool {
        let expired = [
            Rejection::InvalidAuthToken,
            Rejection::AuthOldRevision,
            Rejection::UserEmpty,
        ];
        // Refusals of watches carry the status code in the text.
        self.shared.options.credentials.is_some()
            && expired
                .iter()
                .any(|rejection| message.ends_with(rejection.message()))
    }

    /// Fetches a token. A cluster without authentication needs none, whatever credentials we have.
    pub(crate) async fn authenticate(&self) -> Result<()> {
        let Some((name, password)) = self.shared.options.credentials.clone() else {
            return Ok(());
        };
        let request = AuthenticateRequest { name, password };
        let mut attempts = 0;
        let status = loop {
            let (number, channel) = self.channel();
            match AuthClient::new(channel).authenticate(request.clone()).await {
                Ok(response) => {
                    let token = header(&response.into_inner().token)?;
                    *self.shared.token.write().await = Some(token);
                    return Ok(());
                }
                Err(status) => {
                    attempts += 1;
                    if status.code() != Code::Unavailable || attempts >= ATTEMPTS_MAX {
                        break status;
                    }
                    self.leave(number);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        if status.message() == Rejection::AuthNotEnabled.message() {
            *self.shared.token.write().await = None;
            return Ok(());
        }
        Err(status.into())
    }
}

fn header(token: &str) -> Result<MetadataValue<Ascii>> {
    token
        .parse()
        .map_err(|_| Error::Malformed("the token does not fit into a header".into()))
}

/// Whether the connection failed before anything was sent.
fn never_sent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}
