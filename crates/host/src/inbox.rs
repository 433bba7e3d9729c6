//! Commands that wait for a partition's loop.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use base::answers::Reply as Waiting;
use base::{Code, Error, Result, codes, limits};
use machines::{Address, Command, Reply};
use parking_lot::Mutex;

/// A command and where its answer goes.
pub(crate) struct Queued {
    pub(crate) address: Address,
    pub(crate) command: Command,
    pub(crate) caller: Option<Caller>,
}

pub(crate) struct Caller {
    /// The request's number, made when it was sent, so that its sender can name it when it has gone.
    pub(crate) number: u64,
    pub(crate) waiting: Waiting<Result<Reply>>,
}

#[derive(Default)]
pub(crate) struct Inbox(Mutex<State>);

#[derive(Default)]
struct State {
    queue: VecDeque<Queued>,
    requests: u64,
    waker: Option<Waker>,
    closed: Option<Code>,
}

impl Inbox {
    /// A number for the next request.
    pub(crate) fn number(&self) -> u64 {
        let mut state = self.0.lock();
        state.requests += 1;
        state.requests
    }

    /// Errors: `ENGINE_QUEUE_FULL`; why the loop has stopped.
    pub(crate) fn put(&self, queued: Queued) -> Result<()> {
        let mut state = self.0.lock();
        if let Some(code) = state.closed {
            return Err(Error::new(code, code.title));
        }
        // What frees things is told to machines in any case: a lock would stay taken.
        if state.queue.len() >= limits::INBOX_COMMANDS_MAX && !queued.command.frees() {
            let message = format!("{} commands wait for their partition already", state.queue.len());
            return Err(Error::new(codes::ENGINE_QUEUE_FULL, message));
        }
        state.queue.push_back(queued);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// What waits, at most so many; `None` when the inbox is closed and empty.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, max: usize) -> Poll<Option<VecDeque<Queued>>> {
        let mut state = self.0.lock();
        if state.queue.is_empty() {
            if state.closed.is_some() {
                return Poll::Ready(None);
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let rest = state.queue.len().min(max);
        let rest = state.queue.split_off(rest);
        Poll::Ready(Some(std::mem::replace(&mut state.queue, rest)))
    }

    /// What was taken and is for the next batch.
    pub(crate) fn put_back(&self, mut commands: VecDeque<Queued>) {
        if commands.is_empty() {
            return;
        }
        let mut state = self.0.lock();
        commands.append(&mut state.queue);
        state.queue = commands;
    }

    /// From now on everything is refused with this code. Returns what waited.
    pub(crate) fn close(&self, code: Code) -> VecDeque<Queued> {
        let mut state = self.0.lock();
        state.closed.get_or_insert(code);
        let waker = state.waker.take();
        let waiting = std::mem::take(&mut state.queue);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        waiting
    }

    pub(crate) fn closed(&self) -> Option<Code> {
        self.0.lock().closed
    }
}
