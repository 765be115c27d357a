//! A history played to one server.

use crate::catalog::only_reads;
use crate::dialect::Dialect;
use crate::endpoint::Endpoint;
use crate::mask;
use crate::step::Step;
use crate::watching::{Flow, Watching};
use bytes::Bytes;
use futures::future::join_all;
use prost::Message;
use prost_reflect::{DynamicMessage, Value};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tonic::Status;

/// Reads under way at once.
const READS_MAX: usize = 16;
/// A server that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of a step, with what may differ made equal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Reply(DynamicMessage),
    Refusal {
        code: tonic::Code,
        message: String,
    },
    /// Went to a watch stream, whose responses are compared at the end.
    Sent,
    /// No answer for a long time.
    Silence,
}

/// One server while a history is played to it.
pub(crate) struct Session<'a> {
    endpoint: &'a Endpoint,
    dialect: Dialect,
    /// Last token of each user.
    tokens: HashMap<String, String>,
    /// Watch streams by name.
    streams: BTreeMap<String, Watching>,
    /// Highest revision seen in a header.
    revision: i64,
    /// Every step as it was sent.
    sent: Vec<Step>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(endpoint: &'a Endpoint, dialect: Dialect) -> Session<'a> {
        Session {
            endpoint,
            dialect,
            tokens: HashMap::new(),
            streams: BTreeMap::new(),
            revision: 1,
            sent: Vec::new(),
        }
    }

    /// Plays everything; outcome `n` belongs to step `n`.
    pub(crate) async fn play(&mut self, history: &[Step]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(history.len());
        while let Some(step) = history.get(outcomes.len()) {
            let rest = &history[outcomes.len()..];
            let reads = rest.iter().take_while(|step| only_reads(&step.method));
            match reads.take(READS_MAX).count() {
                0 => outcomes.push(self.play_one(step).await),
                reads => outcomes.extend(self.play_reads(&rest[..reads]).await),
            }
        }
        self.settle().await;
        outcomes
    }

    /// What the watchers were told so far, by stream.
    pub(crate) fn flows(&self) -> BTreeMap<String, Flow> {
        let flows = self.streams.iter();
        flows
            .map(|(name, stream)| (name.clone(), stream.flow()))
            .collect()
    }

    /// Every step as it was sent.
    pub(crate) fn into_sent(self) -> Vec<Step> {
        self.sent
    }

    async fn play_one(&mut self, step: &Step) -> Outcome {
        let step = step.at(self.revision);
        self.sent.push(step.clone());
        match step.method.name() {
            "Watch" => return self.watch(&step).await,
            // A watcher that has not caught up either gets its events or is told that they are gone.
            "Compact" => self.settle().await,
            _ => {}
        }
        let answer = call(self.endpoint, &step, self.token(&step)).await;
        self.note(&step, &answer);
        self.outcome(&step, answer)
    }

    async fn play_reads(&mut self, steps: &[Step]) -> Vec<Outcome> {
        let steps: Vec<_> = steps.iter().map(|step| step.at(self.revision)).collect();
        self.sent.extend_from_slice(&steps);
        let calls = steps
            .iter()
            .map(|step| call(self.endpoint, step, self.token(step)));
        let answers = join_all(calls).await;
        let mut outcomes = Vec::with_capacity(steps.len());
        for (step, answer) in steps.iter().zip(answers) {
            self.note(step, &answer);
            outcomes.push(self.outcome(step, answer));
        }
        outcomes
    }

    fn token<'s>(&'s self, step: &'s Step) -> Option<&'s str> {
        let user = step.user.as_ref()?;
        // A user who never came in sends something that is no token.
        Some(self.tokens.get(user).map_or(user.as_str(), String::as_str))
    }

    fn note(&mut self, step: &Step, answer: &Option<Result<DynamicMessage, Status>>) {
        let Some(Ok(response)) = answer else { return };
        if let Some(header) = response.get_field_by_name("header")
            && let Some(header) = header.as_message()
            && let Some(revision) = header.get_field_by_name("revision")
        {
            self.revision = self.revision.max(revision.as_i64().unwrap_or(0));
        }
        if step.method.name() == "Authenticate" {
            let text = |message: &DynamicMessage, field| {
                let value = message.get_field_by_name(field);
                value.and_then(|value| value.as_str().map(str::to_owned))
            };
            if let (Some(user), Some(token)) = (text(&step.request, "name"), text(response, "token")) {
                self.tokens.insert(user, token);
            }
        }
    }

    fn outcome(&self, step: &Step, answer: Option<Result<DynamicMessage, Status>>) -> Outcome {
        match answer {
            Some(Ok(mut response)) => {
                mask::response(step, &mut response);
                self.dialect.adapt(step, &mut response);
                Outcome::Reply(response)
            }
            Some(Err(status)) => Outcome::Refusal {
                code: status.code(),
                message: status.message().to_owned(),
            },
            None => Outcome::Silence,
        }
    }

    async fn watch(&mut self, step: &Step) -> Outcome {
        // The end of a watcher drops what it has not been told yet, and ends by compaction come in the background.
        self.settle().await;
        let name = self.stream_of(step);
        let stream = match self.streams.remove(&name) {
            Some(stream) => self.streams.entry(name).or_insert(stream),
            None => {
                let token = self.token(step).map(str::to_owned);
                let stream = Watching::open(self.endpoint, token);
                self.streams.entry(name).or_insert(stream)
            }
        };
        stream.send(&step.request).await;
        Outcome::Sent
    }

    /// Each user has two streams: no progress is reported on one with a watcher that begins in the future.
    fn stream_of(&self, step: &Step) -> String {
        let user = step.user.as_deref().unwrap_or("nobody");
        let create = step.request.get_field_by_name("create_request");
        let start = create.as_ref().and_then(|create| {
            let start = create.as_message()?.get_field_by_name("start_revision")?;
            start.as_i64()
        });
        match start {
            Some(start) if start > self.revision => format!("{user}, future"),
            _ => user.to_owned(),
        }
    }

    async fn settle(&mut self) {
        for (name, stream) in &mut self.streams {
            if !name.ends_with(", future") {
                stream.settle().await;
            }
        }
        if self.dialect.reports_progress_too_early() && !self.streams.is_empty() {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

/// `None`: no answer in time.
async fn call(
    endpoint: &Endpoint,
    step: &Step,
    token: Option<&str>,
) -> Option<Result<DynamicMessage, Status>> {
    let request = Bytes::from(step.request.encode_to_vec());
    let called = async {
        let requests = futures::stream::iter([request]);
        let mut answers = endpoint.call(&step.method, token, requests).await?;
        // Chunks merge to what one message would have been: lists are joined, later numbers win.
        let mut whole = DynamicMessage::new(step.method.output());
        while let Some(answer) = answers.message().await? {
            let merged = whole.merge(answer);
            merged.map_err(|error| Status::internal(format!("the answer is none: {error}")))?;
        }
        Ok(whole)
    };
    tokio::time::timeout(PATIENCE, called).await.ok()
}

impl Outcome {
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Outcome::Refusal { .. })
    }
}

/// For messages about differences.
impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Reply(reply) => write!(f, "{}", Value::Message(reply.clone())),
            Outcome::Refusal { code, message } => write!(f, "{code:?}: {message}"),
            Outcome::Sent => write!(f, "sent"),
            Outcome::Silence => write!(f, "no answer"),
        }
    }
}
