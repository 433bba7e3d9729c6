//! A command on its way: queued in the call, answered on the caller's runtime.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base::answers::Reply as Waiting;
use base::{Error, Result, codes};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use machines::{Address, Command, Reply};
use tokio::sync::oneshot;

use crate::Gate;
use crate::inbox::{Caller, Queued, Sender};

pub(crate) fn submit(
    gate: Arc<Gate>,
    address: Address,
    command: Command,
) -> BoxFuture<'static, Result<Reply>> {
    let (waiting, answer) = Waiting::here();
    let number = gate.inbox.number();
    let abandoned = command.abandoned(gate.request(number));
    let taker = abandoned.map(|abandoned| Taker {
        gate: gate.clone(),
        address: address.clone(),
        abandoned,
    });
    let queued = Queued {
        address,
        command,
        sender: Sender::Caller(Caller { number, waiting }),
    };
    match gate.inbox.put(queued) {
        Ok(()) => Submitted { answer, taker }.boxed(),
        Err(error) => ready(Err(error)).boxed(),
    }
}

struct Submitted {
    answer: oneshot::Receiver<Result<Reply>>,
    taker: Option<Taker>,
}

/// Tells the machine when its answer was not taken.
struct Taker {
    gate: Arc<Gate>,
    address: Address,
    abandoned: Command,
}

impl Future for Submitted {
    type Output = Result<Reply>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Reply>> {
        let polled = self.answer.poll_unpin(cx);
        polled.map(|answer| {
            self.taker = None;
            answer.unwrap_or_else(|_| {
                let message = "the partition has stopped: the command may or may not be stored";
                Err(Error::new(codes::HOST_STOPPED, message))
            })
        })
    }
}

impl Drop for Submitted {
    fn drop(&mut self) {
        let Some(taker) = self.taker.take() else { return };
        let queued = Queued {
            command: taker.abandoned,
            address: taker.address,
            sender: Sender::Host,
        };
        // A partition that has stopped has nobody waiting.
        drop(taker.gate.inbox.put(queued));
    }
}
