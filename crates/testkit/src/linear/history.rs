//! Writes down what clients do, while they do it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Call, Model, Verdict, check};

/// The calls of all clients, by key. Cheap to clone.
pub struct Recorder<M: Model>(Arc<Mutex<Recorded<M>>>);

struct Recorded<M: Model> {
    /// Grows with every beginning and end.
    clock: u64,
    calls: BTreeMap<String, Vec<Call<M>>>,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum Ended<O> {
    With(O),
    /// It was certainly not done.
    NotDone,
    /// It may be done, now or later.
    Unknown,
}

impl<M: Model> Clone for Recorder<M> {
    fn clone(&self) -> Recorder<M> {
        Recorder(self.0.clone())
    }
}

impl<M: Model> Default for Recorder<M> {
    fn default() -> Recorder<M> {
        Recorder(Arc::new(Mutex::new(Recorded {
            clock: 0,
            calls: BTreeMap::new(),
        })))
    }
}

impl<M: Model> Recorder<M> {
    /// Runs one call, and says whether it was answered. When this future is dropped the call stays without an answer.
    pub async fn run(
        &self,
        key: &str,
        operation: M::Operation,
        call: impl Future<Output = Ended<M::Outcome>>,
    ) -> bool {
        let began = self.begin(key, operation);
        let ended = call.await;
        self.end(key, began, ended)
    }

    /// Notes that a call begins. Without its end it may be done at any time since, or never.
    pub fn begin(&self, key: &str, operation: M::Operation) -> u64 {
        let mut recorded = self.0.lock();
        recorded.clock += 1;
        let began = recorded.clock;
        let call = Call {
            began,
            operation,
            ended: None,
            lapsed: None,
        };
        recorded.calls.entry(key.to_owned()).or_default().push(call);
        began
    }

    /// The end of a call that was noted by [`Recorder::begin`]. Says whether it was answered.
    pub fn end(&self, key: &str, began: u64, ended: Ended<M::Outcome>) -> bool {
        let mut recorded = self.0.lock();
        recorded.clock += 1;
        let end = recorded.clock;
        let calls = recorded.calls.entry(key.to_owned()).or_default();
        let index = calls.binary_search_by_key(&began, |call| call.began);
        let index = index.expect("a history is checked when all its calls are over");
        match ended {
            Ended::With(outcome) => {
                calls[index].ended = Some((end, outcome));
                return true;
            }
            Ended::NotDone => drop(calls.remove(index)),
            Ended::Unknown => {}
        }
        false
    }

    /// Whoever was to carry them out is gone: calls without an answer so far are done by now or never, but for those that
    /// outlive it. None of these calls may end later.
    pub fn lapse(&self, outlives: impl Fn(&M::Operation) -> bool) {
        let mut recorded = self.0.lock();
        recorded.clock += 1;
        let now = recorded.clock;
        let calls = recorded.calls.values_mut().flatten();
        let open = calls.filter(|call| call.ended.is_none() && !outlives(&call.operation));
        for call in open {
            call.lapsed.get_or_insert(now);
        }
    }

    /// How many calls were answered.
    pub fn answered(&self) -> usize {
        let recorded = self.0.lock();
        let calls = recorded.calls.values().flatten();
        calls.filter(|call| call.ended.is_some()).count()
    }

    /// Checks every key's history, and forgets them all. What comes back says what is wrong with which key.
    pub fn check(&self) -> Result<(), String> {
        let calls = std::mem::take(&mut self.0.lock().calls);
        for (key, history) in calls {
            let count = history.len();
            match check(history) {
                Verdict::Linearizable => {}
                Verdict::Violation(why) => return Err(format!("{key} is not linearizable: {why}")),
                Verdict::Undecided { configurations } => {
                    return Err(format!(
                        "{key}: UNDECIDED, {configurations} configurations of {count} calls were tried; make histories shorter"
                    ));
                }
            }
        }
        Ok(())
    }
}
