//! Commands that wait for a partition's loop.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

use base::answers::Reply as Waiting;
use base::{Code, Error, Result, codes, limits};
use machines::{Address, Command, Reply};
use parking_lot::{Mutex, MutexGuard};

/// A command and where it comes from.
pub(crate) struct Queued {
    pub(crate) address: Address,
    pub(crate) command: Command,
    pub(crate) sender: Sender,
}

impl Queued {
    fn bytes(&self) -> usize {
        self.command.held_bytes()
    }
}

pub(crate) enum Sender {
    /// Waits for an answer.
    Caller(Caller),
    /// Another partition's letter.
    Partition { from: u16, number: u64 },
    /// The host itself.
    Host,
}

pub(crate) struct Caller {
    /// The request's number, made when it was sent, so that its sender can name it when it has gone.
    pub(crate) number: u64,
    pub(crate) waiting: Waiting<Result<Reply>>,
}

/// What the loop takes at once.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) commands: VecDeque<Queued>,
    /// From which partition, and up to which of the letters to it.
    pub(crate) receipts: BTreeMap<u16, u64>,
}

#[derive(Default)]
pub(crate) struct Inbox(Mutex<State>);

#[derive(Default)]
struct State {
    queue: VecDeque<Queued>,
    /// Of the commands in the queue.
    bytes: usize,
    receipts: BTreeMap<u16, u64>,
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
        // What frees things is told to machines in any case: a lock would stay taken. Letters have a limit of their own.
        let is_bounded = matches!(queued.sender, Sender::Caller(_)) && !queued.command.frees();
        let bytes = state.bytes + queued.bytes();
        let is_full = state.queue.len() >= limits::INBOX_COMMANDS_MAX || bytes > limits::INBOX_BYTES_MAX;
        if is_full && is_bounded {
            let message = format!(
                "{} commands of {} bytes wait for their partition already",
                state.queue.len(),
                state.bytes
            );
            return Err(Error::new(codes::ENGINE_QUEUE_FULL, message));
        }
        state.bytes = bytes;
        state.queue.push_back(queued);
        wake(state);
        Ok(())
    }

    /// A partition has received the letters up to that number.
    pub(crate) fn receipt(&self, from: u16, number: u64) {
        let mut state = self.0.lock();
        let known = state.receipts.entry(from).or_default();
        *known = number.max(*known);
        wake(state);
    }

    /// What waits, at most so many commands; `None` when the inbox is closed and empty.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, max: usize) -> Poll<Option<Mail>> {
        let mut state = self.0.lock();
        if state.queue.is_empty() && state.receipts.is_empty() {
            if state.closed.is_some() {
                return Poll::Ready(None);
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let rest = state.queue.len().min(max);
        let rest = state.queue.split_off(rest);
        let commands = std::mem::replace(&mut state.queue, rest);
        state.bytes -= commands.iter().map(Queued::bytes).sum::<usize>();
        Poll::Ready(Some(Mail {
            commands,
            receipts: std::mem::take(&mut state.receipts),
        }))
    }

    /// What was taken and is for the next batch.
    pub(crate) fn put_back(&self, mut commands: VecDeque<Queued>) {
        if commands.is_empty() {
            return;
        }
        let mut state = self.0.lock();
        state.bytes += commands.iter().map(Queued::bytes).sum::<usize>();
        commands.append(&mut state.queue);
        state.queue = commands;
    }

    /// How many commands wait, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.0.lock();
        (state.queue.len(), state.bytes)
    }

    /// From now on everything is refused with this code. Returns what waited.
    pub(crate) fn close(&self, code: Code) -> VecDeque<Queued> {
        let mut state = self.0.lock();
        state.closed.get_or_insert(code);
        state.receipts.clear();
        state.bytes = 0;
        let waiting = std::mem::take(&mut state.queue);
        wake(state);
        waiting
    }

    pub(crate) fn closed(&self) -> Option<Code> {
        self.0.lock().closed
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
