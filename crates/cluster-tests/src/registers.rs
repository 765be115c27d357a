//! Clients that read, write and swap a few keys through all members and note what they see, for the judgement of
//! crate `histories`.

use crate::cluster::connect;
use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp, TxnOpResponse};
use histories::{Answer, Call, Operation, Verdict};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// A call without an answer is given up after this; it may still have an effect.
const PATIENCE: Duration = Duration::from_secs(2);

/// Steps of the search for each key: some seconds at most.
const STEPS: u64 = 20_000_000;

/// Clients at work on some keys.
pub struct Registers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<Vec<Operation>>>,
}

impl Registers {
    /// Starts `clients`, each with a member of its own in turn.
    pub fn start(endpoints: &[String], keys: u64, clients: u64) -> Registers {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let origin = Instant::now();
        let tasks = (0..clients).map(|number| {
            let endpoint = endpoints[number as usize % endpoints.len()].clone();
            let worker = Worker {
                number,
                keys,
                origin,
                stop: stop.clone(),
                answered: answered.clone(),
                chance: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            };
            tokio::spawn(worker.run(endpoint))
        });
        Registers {
            tasks: tasks.collect(),
            stop,
            answered,
        }
    }

    /// Answers so far.
    pub fn count(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more answers have come.
    pub async fn progress(&self, more: u64) {
        let goal = self.count() + more;
        crate::eventually(crate::cluster::PATIENCE, || async {
            anyhow::ensure!(self.count() >= goal, "{} of {goal} answers", self.count());
            Ok(())
        })
        .await;
    }

    /// Ends the clients and judges what they have seen; gives the number of operations.
    pub async fn finish_and_check(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut history = Vec::new();
        for task in self.tasks {
            history.extend(task.await.expect("a client does not panic"));
        }
        match histories::check(&history, STEPS) {
            Verdict::Linearizable => {}
            // A search without an end is no proof of anything.
            Verdict::Unknown { key } => println!("the history of {key} is too entangled to be judged"),
            Verdict::Violation {
                key,
                history,
                explained,
            } => {
                let lines: Vec<String> = history.iter().map(ToString::to_string).collect();
                panic!(
                    "the history of {key} is not linearizable, only {explained} of {} operations can be explained:\n{}",
                    history.len(),
                    lines.join("\n")
                );
            }
        }
        history.len()
    }
}

struct Worker {
    number: u64,
    keys: u64,
    origin: Instant,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    chance: u64,
}

impl Worker {
    fn below(&mut self, bound: u64) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn time(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    async fn run(mut self, endpoint: String) -> Vec<Operation> {
        let mut history = Vec::new();
        let mut client = connect(std::slice::from_ref(&endpoint)).await;
        let mut known = vec![None; self.keys as usize];
        for count in 0u64.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let place = self.below(self.keys);
            let key = format!("register/{place}");
            let value = self.number << 32 | count;
            let known = &mut known[place as usize];
            let call = match self.below(10) {
                0..4 => Call::Get,
                4..6 => Call::Put(value),
                6 => Call::Delete,
                _ => Call::Swap(*known, value),
            };
            let began = self.time();
            let answer = timeout(PATIENCE, carry_out(&mut client, &key, call)).await;
            let ended = self.time();
            let answer = answer.ok().and_then(Result::ok);
            if let Some(answer) = answer {
                self.answered.fetch_add(1, Ordering::Relaxed);
                *known = match (call, answer) {
                    (_, Answer::Value(seen) | Answer::Found(seen)) => seen,
                    (Call::Put(value), _) | (Call::Swap(_, value), Answer::Swapped(true)) => Some(value),
                    _ => None,
                };
            }
            // A read without an answer says nothing.
            if answer.is_some() || call != Call::Get {
                history.push(Operation {
                    client: self.number,
                    key,
                    call,
                    began,
                    ended: answer.map(|answer| (ended, answer)),
                });
            }
            // Unknown outcomes make the search long: a client that gets none does not try often.
            let pause = if answer.is_some() { 2 } else { 100 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        history
    }
}

async fn carry_out(client: &mut Client, key: &str, call: Call) -> anyhow::Result<Answer> {
    Ok(match call {
        Call::Get => {
            let answer = client.get(key, None).await?;
            Answer::Value(answer.kvs().first().map(number).transpose()?)
        }
        Call::Put(value) => {
            client.put(key, value.to_string(), None).await?;
            Answer::Done
        }
        Call::Delete => Answer::Deleted(client.delete(key, None).await?.deleted() > 0),
        Call::Swap(from, to) => {
            let compare = match from {
                Some(from) => Compare::value(key, CompareOp::Equal, from.to_string()),
                None => Compare::create_revision(key, CompareOp::Equal, 0),
            };
            let txn = Txn::new()
                .when([compare])
                .and_then([TxnOp::put(key, to.to_string(), None)])
                .or_else([TxnOp::get(key, None)]);
            let answer = client.txn(txn).await?;
            match answer.op_responses().first() {
                Some(TxnOpResponse::Get(found)) => {
                    Answer::Found(found.kvs().first().map(number).transpose()?)
                }
                _ => Answer::Swapped(answer.succeeded()),
            }
        }
    })
}

fn number(kv: &etcd_client::KeyValue) -> anyhow::Result<u64> {
    Ok(kv.value_str()?.parse()?)
}
