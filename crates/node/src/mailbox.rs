//! What passes between the engine's threads and a thread that runs requests, in bunches.
//!
//! A task woken from another thread costs a system call, and spoils batching: woken one by one, each writes its own
//! answer to its connection before the next is awake. So the engine's threads put answers into the mailbox of the
//! thread that waits for them and wake that thread once. It then wakes its tasks itself, all of them before any runs,
//! and what they answer leaves each connection in one write. The other way round, what the tasks of one turn propose
//! or want confirmed goes to the engine together.

use crate::core::{Core, refused};
use crate::waiters::{Answer, Requests};
use bytes::Bytes;
use parking_lot::Mutex;
use raft_engine::{ProposeError, ReadError};
use std::cell::RefCell;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::{Notify, oneshot};

thread_local! {
    /// The mailbox of this thread, while somebody attends to it.
    static MAILBOX: RefCell<Option<Arc<Mailbox>>> = const { RefCell::new(None) };
}

/// What a read barrier waits for.
pub(crate) type Confirmed = Result<u64, ReadError>;

/// One thread's mailbox.
pub(crate) struct Mailbox {
    core: Weak<Core>,
    /// From the engine.
    incoming: Mutex<Vec<Letter>>,
    /// Nobody attends to it any more: what is posted is delivered by who posts it. Changes under the lock of `incoming`.
    closed: AtomicBool,
    /// To the engine; touched by this thread alone.
    outgoing: Mutex<Outgoing>,
    filled: Notify,
}

/// An answer and who gets it.
pub(crate) enum Letter {
    Applied(oneshot::Sender<Answer>, Answer),
    Confirmed(Vec<oneshot::Sender<Confirmed>>, Confirmed),
}

#[derive(Default)]
struct Outgoing {
    /// Request ids and entries.
    proposals: Vec<(u64, Bytes)>,
    readers: Vec<oneshot::Sender<Confirmed>>,
}

impl Letter {
    fn deliver(self) {
        // An error means that the caller has gone.
        match self {
            Letter::Applied(addressee, answer) => drop(addressee.send(answer)),
            Letter::Confirmed(addressees, answer) => {
                for addressee in addressees {
                    let _ = addressee.send(answer);
                }
            }
        }
    }
}

impl Mailbox {
    /// This thread's mailbox for this node.
    pub fn of(core: &Core) -> Option<Arc<Mailbox>> {
        MAILBOX.with_borrow(|mailbox| {
            let ours = |mailbox: &&Arc<Mailbox>| std::ptr::eq(mailbox.core.as_ptr(), core);
            mailbox.as_ref().filter(ours).cloned()
        })
    }

    /// From any thread: answers for tasks of this one.
    pub fn post(&self, letters: &mut Vec<Letter>) {
        let mut incoming = self.incoming.lock();
        if self.closed.load(Ordering::Relaxed) {
            drop(incoming);
            return letters.drain(..).for_each(Letter::deliver);
        }
        let was_empty = incoming.is_empty();
        incoming.append(letters);
        drop(incoming);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// From this thread: proposes an entry at the end of the turn. A refusal reaches whoever waits for the request.
    pub fn propose(&self, id: u64, entry: Bytes) {
        let mut outgoing = self.outgoing.lock();
        let first = outgoing.proposals.is_empty() && outgoing.readers.is_empty();
        outgoing.proposals.push((id, entry));
        drop(outgoing);
        if first {
            self.filled.notify_one();
        }
    }

    /// From this thread: asks for a read barrier at the end of the turn; one is enough for all that ask in it.
    pub fn read(&self) -> oneshot::Receiver<Confirmed> {
        let (sender, receiver) = oneshot::channel();
        let mut outgoing = self.outgoing.lock();
        let first = outgoing.proposals.is_empty() && outgoing.readers.is_empty();
        outgoing.readers.push(sender);
        drop(outgoing);
        if first {
            self.filled.notify_one();
        }
        receiver
    }

    /// Sends what has gathered both ways.
    fn empty(self: &Arc<Self>, core: &Core) {
        let Outgoing { proposals, readers } = mem::take(&mut *self.outgoing.lock());
        if !proposals.is_empty() {
            propose(core, proposals);
        }
        if !readers.is_empty() {
            self.confirm(core, readers);
        }
        let letters = mem::take(&mut *self.incoming.lock());
        letters.into_iter().for_each(Letter::deliver);
    }

    fn confirm(self: &Arc<Self>, core: &Core, readers: Vec<oneshot::Sender<Confirmed>>) {
        let Ok(engine) = core.engine() else {
            return Letter::Confirmed(readers, Err(ReadError::Stopped)).deliver();
        };
        let mailbox = Arc::clone(self);
        engine.read_index(Box::new(move |confirmed| {
            mailbox.post(&mut vec![Letter::Confirmed(readers, confirmed)]);
        }));
    }

    fn close(&self) {
        let letters = {
            let mut incoming = self.incoming.lock();
            self.closed.store(true, Ordering::Relaxed);
            mem::take(&mut *incoming)
        };
        letters.into_iter().for_each(Letter::deliver);
    }
}

/// The engine takes all or none: one that is too much must not take the others with it.
fn propose(core: &Core, proposals: Vec<(u64, Bytes)>) {
    let Ok(engine) = core.engine() else {
        return refuse(&core.requests, &proposals, ProposeError::Stopped);
    };
    let entries = proposals.iter().map(|(_, entry)| entry.clone()).collect();
    match engine.propose(entries) {
        Ok(()) => {}
        Err(error) if proposals.len() == 1 => refuse(&core.requests, &proposals, error),
        Err(_) => {
            for proposal in proposals {
                if let Err(error) = engine.propose(vec![proposal.1.clone()]) {
                    refuse(&core.requests, &[proposal], error);
                }
            }
        }
    }
}

fn refuse(requests: &Requests, proposals: &[(u64, Bytes)], error: ProposeError) {
    for (id, _) in proposals {
        if let Some(waiting) = requests.take(*id) {
            let _ = waiting.sender.send(Err(refused(error)));
        }
    }
}

/// Attends to a mailbox of the current thread until dropped. For a thread whose runtime runs tasks on it alone.
pub(crate) async fn attend(core: &Arc<Core>) {
    /// Takes the mailbox from the thread when the attending future goes.
    struct Attended(Arc<Mailbox>);
    impl Drop for Attended {
        fn drop(&mut self) {
            self.0.close();
            // Fails only while the thread itself ends, and the mailbox with it.
            let _ = MAILBOX.try_with(|mailbox| mailbox.take());
        }
    }

    let mailbox = Arc::new(Mailbox {
        core: Arc::downgrade(core),
        incoming: Mutex::default(),
        outgoing: Mutex::default(),
        filled: Notify::new(),
        closed: AtomicBool::new(false),
    });
    MAILBOX.set(Some(Arc::clone(&mailbox)));
    let attended = Attended(mailbox);
    loop {
        attended.0.filled.notified().await;
        attended.0.empty(core);
    }
}

/// Sorts answers by mailbox, so that each is filled once.
#[derive(Default)]
pub(crate) struct Sorter {
    boxes: Vec<(Arc<Mailbox>, Vec<Letter>)>,
}

impl Sorter {
    /// Adds an answer; one for a thread without a mailbox is delivered at once.
    pub fn add(&mut self, mailbox: Option<Arc<Mailbox>>, letter: Letter) {
        let Some(mailbox) = mailbox else {
            return letter.deliver();
        };
        match self
            .boxes
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, &mailbox))
        {
            Some((_, letters)) => letters.push(letter),
            None => self.boxes.push((mailbox, vec![letter])),
        }
    }

    /// Posts what was added. Keeps the boxes: the next group is for the same few threads.
    pub fn post(&mut self) {
        for (mailbox, letters) in &mut self.boxes {
            if !letters.is_empty() {
                mailbox.post(letters);
            }
        }
        self.boxes
            .retain(|(mailbox, _)| !mailbox.closed.load(Ordering::Relaxed));
    }
}
