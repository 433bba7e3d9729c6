//! How answers get back to those who wait for a commit.
//!
//! Waking a task from another thread is a system call and one more turn of its runtime. A group of commits is answered at
//! once, so what belongs to one runtime goes there as one parcel, and a task there wakes the waiting ones itself: one
//! system call for a group, and whatever they write to one connection leaves together.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use base::{Error, Result, task};
use parking_lot::Mutex;
use ports::kv::Outcome;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

thread_local! {
    static DESK: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

/// Where a commit's answer is to go.
pub(super) struct Reply {
    sender: oneshot::Sender<Result<Outcome>>,
    desk: Option<Desk>,
}

/// The answers of one group, by the desk that hands them out.
#[derive(Default)]
pub(super) struct Answers {
    parcels: Vec<(Desk, Vec<Answer>)>,
    direct: Vec<Answer>,
}

struct Answer {
    sender: oneshot::Sender<Result<Outcome>>,
    outcome: Result<Outcome>,
}

/// One per single-threaded runtime that commits.
#[derive(Clone)]
struct Desk(Arc<Mutex<Tray>>);

#[derive(Default)]
struct Tray {
    answers: Vec<Answer>,
    clerk: Option<Waker>,
    /// The runtime has ended.
    closed: bool,
}

/// The task that empties a desk.
struct Clerk(Desk);

impl Reply {
    /// A reply to the current task.
    pub(super) fn here() -> (Reply, oneshot::Receiver<Result<Outcome>>) {
        let (sender, receiver) = oneshot::channel();
        let desk = Desk::here();
        (Reply { sender, desk }, receiver)
    }

    /// Answers this one at once.
    pub(super) fn send(self, outcome: Result<Outcome>) {
        // Whoever has gone does not want to know.
        drop(self.sender.send(outcome));
    }
}

impl Answers {
    pub(super) fn add(&mut self, reply: Reply, outcome: Result<Outcome>) {
        let Reply { sender, desk } = reply;
        let answer = Answer { sender, outcome };
        let Some(desk) = desk else {
            self.direct.push(answer);
            return;
        };
        // There are as many desks as cores.
        match self.parcels.iter_mut().find(|(known, _)| known.is(&desk)) {
            Some((_, parcel)) => parcel.push(answer),
            None => self.parcels.push((desk, vec![answer])),
        }
    }

    pub(super) fn send(self) {
        for (desk, parcel) in self.parcels {
            desk.take(parcel);
        }
        self.direct.into_iter().for_each(Answer::send);
    }

    /// Sends everybody the same error instead.
    pub(super) fn fail(mut self, error: impl Fn() -> Error) {
        let parcels = self.parcels.iter_mut().flat_map(|(_, parcel)| parcel);
        for answer in parcels.chain(&mut self.direct) {
            answer.outcome = Err(error());
        }
        self.send();
    }
}

impl Answer {
    fn send(self) {
        drop(self.sender.send(self.outcome));
    }
}

impl Desk {
    /// The desk of the current runtime, opened by the first who asks; none where threads share a runtime.
    fn here() -> Option<Desk> {
        let runtime = Handle::try_current().ok()?;
        if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
            return None;
        }
        DESK.with_borrow_mut(|known| {
            if known.as_ref().is_none_or(Desk::is_closed) {
                *known = Some(Desk::open());
            }
            known.clone()
        })
    }

    fn open() -> Desk {
        let desk = Desk(Arc::default());
        let mut clerk = Clerk(desk.clone());
        task::spawn("answers", async move { poll_fn(|cx| clerk.poll(cx)).await });
        desk
    }

    fn is(&self, other: &Desk) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    fn take(&self, parcel: Vec<Answer>) {
        let mut tray = self.0.lock();
        if tray.closed {
            drop(tray);
            parcel.into_iter().for_each(Answer::send);
            return;
        }
        tray.answers.extend(parcel);
        let clerk = tray.clerk.take();
        drop(tray);
        if let Some(clerk) = clerk {
            clerk.wake();
        }
    }
}

impl Clerk {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut tray = self.0.0.lock();
        let answers = std::mem::take(&mut tray.answers);
        tray.clerk = Some(cx.waker().clone());
        drop(tray);
        answers.into_iter().for_each(Answer::send);
        Poll::Pending
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        let mut tray = self.0.0.lock();
        tray.closed = true;
        let answers = std::mem::take(&mut tray.answers);
        drop(tray);
        answers.into_iter().for_each(Answer::send);
    }
}

#[cfg(test)]
mod tests {
    use ports::kv::Version;
    use tokio::runtime::Builder;

    use super::*;

    fn outcome() -> Result<Outcome> {
        Ok(Outcome::Committed {
            version: Version(7),
            sums: vec![],
        })
    }

    #[test]
    fn a_group_is_one_parcel_per_runtime() {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let mut answers = Answers::default();
        let waiting: Vec<_> = runtime.block_on(async { (0..3).map(|_| Reply::here()).collect() });
        let mut receivers = vec![];
        for (reply, receiver) in waiting {
            answers.add(reply, outcome());
            receivers.push(receiver);
        }
        assert_eq!((answers.parcels.len(), answers.direct.len()), (1, 0));
        std::thread::spawn(move || answers.send())
            .join()
            .expect("it does not panic");
        for receiver in receivers {
            assert!(runtime.block_on(receiver).expect("an answer").is_ok());
        }
    }

    #[test]
    fn an_answer_outlives_the_runtime_it_was_for() {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let (early, late) = runtime.block_on(async { (Reply::here(), Reply::here()) });
        let mut answers = Answers::default();
        answers.add(early.0, outcome());
        answers.send();
        drop(runtime);
        assert!(early.1.blocking_recv().expect("handed out at the end").is_ok());
        let mut answers = Answers::default();
        answers.add(late.0, outcome());
        answers.send();
        assert!(late.1.blocking_recv().expect("sent at once").is_ok());
    }

    #[test]
    fn the_next_runtime_on_a_thread_has_a_desk_of_its_own() {
        for _ in 0..2 {
            let runtime = Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let (reply, receiver) = Reply::here();
                let mut answers = Answers::default();
                answers.add(reply, outcome());
                answers.send();
                assert!(receiver.await.expect("an answer").is_ok());
            });
        }
    }

    #[test]
    fn without_a_runtime_an_answer_is_sent_at_once() {
        let (reply, receiver) = Reply::here();
        let mut answers = Answers::default();
        answers.add(reply, outcome());
        answers.fail(|| Error::new(base::codes::ENGINE_STOPPED, "stopped"));
        let error = receiver
            .blocking_recv()
            .expect("an answer")
            .expect_err("it failed");
        assert_eq!(error.code(), base::codes::ENGINE_STOPPED);
    }
}
