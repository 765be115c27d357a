//! One history against one pair of servers.

use crate::compare::{self, Difference};
use crate::dialect::Dialect;
use crate::process::Pair;
use crate::session::Session;
use crate::step::Step;
use std::path::PathBuf;
use std::time::Duration;

/// How long watchers may take to be told everything.
const WATCH_PATIENCE: Duration = Duration::from_secs(10);
/// How long they are given in any case: more may come to both.
const WATCH_GRACE: Duration = Duration::from_millis(300);

/// Which servers, and where their files go.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Path of the server under test.
    pub ours: PathBuf,
    /// Path of the one it is compared with.
    pub theirs: PathBuf,
    /// What the other one knows.
    pub dialect: Dialect,
    /// Where data directories are made, and removed again.
    pub dir: PathBuf,
}

/// A history that was played.
#[derive(Debug)]
pub struct Trial {
    /// The steps as they were sent to ours.
    pub sent: Vec<Step>,
    /// Of them those that were refused.
    pub refused: usize,
    /// What came of it.
    pub verdict: Verdict,
}

/// Whether two servers did the same.
#[derive(Debug)]
pub enum Verdict {
    /// They did.
    Same,
    /// They did not, first of all here.
    Differs(Difference),
}

impl Setup {
    /// Starts a pair and plays the history to both.
    pub async fn play(&self, history: &[Step]) -> anyhow::Result<Trial> {
        let pair = Pair::start(&self.ours, &self.theirs, &self.dir).await?;
        let mut ours = Session::new(&pair.ours.endpoint, self.dialect);
        let mut theirs = Session::new(&pair.theirs.endpoint, self.dialect);
        let (our_outcomes, their_outcomes) = tokio::join!(ours.play(history), theirs.play(history));
        let refused = their_outcomes
            .iter()
            .filter(|outcome| outcome.is_refusal())
            .count();
        let verdict = match compare::outcomes(&our_outcomes, &their_outcomes) {
            Some(index) => Verdict::Differs(Difference::Answer {
                index,
                ours: our_outcomes[index].to_string(),
                theirs: their_outcomes[index].to_string(),
            }),
            None => watched(&ours, &theirs).await,
        };
        Ok(Trial {
            sent: ours.into_sent(),
            refused,
            verdict,
        })
    }
}

/// Compares what watchers were told, as soon as it is all there.
async fn watched(ours: &Session<'_>, theirs: &Session<'_>) -> Verdict {
    if ours.flows().is_empty() && theirs.flows().is_empty() {
        return Verdict::Same;
    }
    tokio::time::sleep(WATCH_GRACE).await;
    let deadline = tokio::time::Instant::now() + WATCH_PATIENCE;
    loop {
        match compare::flows(&ours.flows(), &theirs.flows()) {
            None => return Verdict::Same,
            Some(difference) if tokio::time::Instant::now() > deadline => {
                return Verdict::Differs(difference);
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
