//! How answers get back to those who wait for them on other runtimes.
//!
//! Waking a task from another thread is a system call and one more turn of its runtime. Where a group of calls is answered at
//! once, what belongs to one runtime goes there as one parcel, and a task there wakes the waiting ones itself: one system
//! call for a group, and whatever they write to one connection leaves together.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use crate::task;

thread_local! {
    static DESK: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

/// Where an answer is to go.
pub struct Reply<T> {
    sender: oneshot::Sender<T>,
    desk: Option<Desk>,
}

/// The answers of one group, by the desk that hands them out.
#[derive(Default)]
pub struct Answers {
    parcels: Vec<(Desk, Vec<Answer>)>,
    direct: Vec<Answer>,
}

/// Gives one answer.
type Answer = Box<dyn FnOnce() + Send>;

/// One per single-threaded runtime that waits for answers.
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

impl<T: Send + 'static> Reply<T> {
    /// A reply to the current task.
    pub fn here() -> (Reply<T>, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        let desk = Desk::here();
        (Reply { sender, desk }, receiver)
    }

    /// Answers this one at once.
    pub fn send(self, answer: T) {
        // Whoever has gone does not want to know.
        drop(self.sender.send(answer));
    }
}

impl Answers {
    pub fn add<T: Send + 'static>(&mut self, reply: Reply<T>, answer: T) {
        let Reply { sender, desk } = reply;
        let answer: Answer = Box::new(move || drop(sender.send(answer)));
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

    pub fn send(self) {
        for (desk, parcel) in self.parcels {
            desk.take(parcel);
        }
        give(self.direct);
    }
}

fn give(answers: Vec<Answer>) {
    answers.into_iter().for_each(|answer| answer());
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
            give(parcel);
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
        give(answers);
        Poll::Pending
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        let mut tray = self.0.0.lock();
        tray.closed = true;
        let answers = std::mem::take(&mut tray.answers);
        drop(tray);
        give(answers);
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_group_is_one_parcel_per_runtime() {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let mut answers = Answers::default();
        let waiting: Vec<_> = runtime.block_on(async { (0..3).map(|_| Reply::here()).collect() });
        let mut receivers = vec![];
        for (reply, receiver) in waiting {
            answers.add(reply, 7);
            receivers.push(receiver);
        }
        assert_eq!((answers.parcels.len(), answers.direct.len()), (1, 0));
        std::thread::spawn(move || answers.send())
            .join()
            .expect("it does not panic");
        for receiver in receivers {
            assert!(runtime.block_on(receiver).expect("an answer") == 7);
        }
    }

    #[test]
    fn an_answer_outlives_the_runtime_it_was_for() {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let (early, late) = runtime.block_on(async { (Reply::here(), Reply::here()) });
        let mut answers = Answers::default();
        answers.add(early.0, 7);
        answers.send();
        drop(runtime);
        assert!(early.1.blocking_recv().expect("handed out at the end") == 7);
        let mut answers = Answers::default();
        answers.add(late.0, 7);
        answers.send();
        assert!(late.1.blocking_recv().expect("sent at once") == 7);
    }

    #[test]
    fn the_next_runtime_on_a_thread_has_a_desk_of_its_own() {
        for _ in 0..2 {
            let runtime = Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let (reply, receiver) = Reply::here();
                let mut answers = Answers::default();
                answers.add(reply, 7);
                answers.send();
                assert!(receiver.await.expect("an answer") == 7);
            });
        }
    }

    #[test]
    fn without_a_runtime_an_answer_is_sent_at_once() {
        let (reply, receiver) = Reply::here();
        let mut answers = Answers::default();
        answers.add(reply, 7);
        answers.send();
        assert_eq!(receiver.blocking_recv().expect("an answer"), 7);
    }
}
