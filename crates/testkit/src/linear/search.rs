//! The search for an order.
//!
//! A configuration is: which answered calls are done, which of the unanswered ones were used, and the state. From it, every call
//! may be next that began before the first undone one ended. Two things keep unanswered calls, which stay possible to the end,
//! from doubling the work each:
//! - of configurations in which equally much is done, the one that used least of them is tried first;
//! - of equal ones, the earliest is used first;
//! - a configuration that has used more of them than a known one with the same calls done and the same state can do nothing
//!   that the known one cannot.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::fmt::Write;

use super::{Call, Model, Verdict};

/// Configurations that are tried before a history counts as undecided: some 200 bytes each.
pub const CONFIGURATIONS_MAX: usize = 1_000_000;

/// How many calls a report shows.
const REPORTED_CALLS: usize = 16;

/// Looks for an order of one key's calls.
pub fn check<M: Model>(history: Vec<Call<M>>) -> Verdict {
    check_within(history, CONFIGURATIONS_MAX)
}

pub fn check_within<M: Model>(mut history: Vec<Call<M>>, configurations_max: usize) -> Verdict {
    history.sort_by_key(|call| call.began);
    let (answered, open): (Vec<_>, Vec<_>) = history.into_iter().partition(|call| call.ended.is_some());
    Search::<M>::new(&answered, &open).run(configurations_max)
}

/// Which answered calls are done: all up to `first`, and some behind it, in order.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Done {
    first: u32,
    beyond: Vec<u32>,
}

#[derive(Clone)]
struct Configuration<S> {
    done: Done,
    /// Unanswered calls that took place, in order.
    used: Vec<u32>,
    state: S,
}

/// What is tried next: where most is done, then where least was used, then the newest.
struct Queued<S> {
    rank: (usize, Reverse<usize>, usize),
    configuration: Configuration<S>,
}

impl<S> Ord for Queued<S> {
    fn cmp(&self, other: &Queued<S>) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl<S> PartialOrd for Queued<S> {
    fn partial_cmp(&self, other: &Queued<S>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<S> PartialEq for Queued<S> {
    fn eq(&self, other: &Queued<S>) -> bool {
        self.rank == other.rank
    }
}

impl<S> Eq for Queued<S> {}

struct Search<'a, M: Model> {
    answered: &'a [Call<M>],
    open: &'a [Call<M>],
    /// For each unanswered call the one before it that is equal, and does not lapse later.
    twins: Vec<Option<u32>>,
    /// What was used in configurations that were tried.
    known: HashMap<(Done, M::State), Vec<Vec<u32>>>,
    /// The one in which most was done, for the report.
    farthest: Option<Configuration<M::State>>,
}

impl Done {
    fn has(&self, index: u32) -> bool {
        index < self.first || self.beyond.binary_search(&index).is_ok()
    }

    fn with(&self, index: u32) -> Done {
        let mut done = self.clone();
        if let Err(place) = done.beyond.binary_search(&index) {
            done.beyond.insert(place, index);
        }
        let gone = done
            .beyond
            .iter()
            .zip(done.first..)
            .take_while(|(index, next)| *index == next);
        let gone = gone.count();
        done.first += gone as u32;
        done.beyond.drain(..gone);
        done
    }

    fn count(&self) -> usize {
        self.first as usize + self.beyond.len()
    }
}

impl<'a, M: Model> Search<'a, M> {
    fn new(answered: &'a [Call<M>], open: &'a [Call<M>]) -> Search<'a, M> {
        let twin = |index: usize| {
            let (mut earlier, own) = (open[..index].iter(), &open[index]);
            earlier.rposition(|call| call.operation == own.operation && lapse(call) <= lapse(own))
        };
        let twins = (0..open.len()).map(|index| twin(index).map(|twin| twin as u32));
        Search {
            answered,
            open,
            twins: twins.collect(),
            known: HashMap::new(),
            farthest: None,
        }
    }

    fn run(mut self, configurations_max: usize) -> Verdict {
        let first = Configuration {
            done: Done::default(),
            used: vec![],
            state: M::State::default(),
        };
        let (mut queue, mut configurations) = (BinaryHeap::new(), 0);
        let mut pushed = 0;
        let mut push = |queue: &mut BinaryHeap<_>, configuration: Configuration<M::State>| {
            pushed += 1;
            let (done, used) = (configuration.done.count(), configuration.used.len());
            queue.push(Queued {
                rank: (done, Reverse(used), pushed),
                configuration,
            });
        };
        push(&mut queue, first);
        while let Some(Queued { configuration, .. }) = queue.pop() {
            if configuration.done.count() == self.answered.len() {
                return Verdict::Linearizable;
            }
            if !self.is_news(&configuration) {
                continue;
            }
            if configurations == configurations_max {
                return Verdict::Undecided { configurations };
            }
            configurations += 1;
            for next in self.after(&configuration) {
                push(&mut queue, next);
            }
            let farthest = self.farthest.as_ref().map(|farthest| farthest.done.count());
            if farthest.is_none_or(|farthest| configuration.done.count() > farthest) {
                self.farthest = Some(configuration);
            }
        }
        Verdict::Violation(self.report())
    }

    /// Notes it, unless a known one can do all that this one can.
    fn is_news(&mut self, configuration: &Configuration<M::State>) -> bool {
        let place = (configuration.done.clone(), configuration.state.clone());
        let known = self.known.entry(place).or_default();
        let includes = |less: &Vec<u32>| {
            less.iter()
                .all(|index| configuration.used.binary_search(index).is_ok())
        };
        if known.iter().any(includes) {
            return false;
        }
        known.push(configuration.used.clone());
        true
    }

    /// Everything that may come next, the likeliest last: unanswered calls are a last resort, and who ended first was
    /// probably first.
    fn after(&self, from: &Configuration<M::State>) -> Vec<Configuration<M::State>> {
        let (candidates, until) = self.candidates(&from.done);
        let mut next = vec![];
        let newest = self.newest(from);
        let may_be = |index: u32| {
            let is_used = from.used.binary_search(&index).is_ok();
            !is_used && lapse(&self.open[index as usize]) > newest
        };
        for (index, call) in (0..).zip(self.open) {
            if call.began > until {
                break;
            }
            let twin_waits = self.twins[index as usize].is_some_and(may_be);
            if !may_be(index) || twin_waits {
                continue;
            }
            let state = M::apply(&from.state, &call.operation, None);
            // What changes nothing need not have happened.
            if let Some(state) = state.filter(|state| *state != from.state) {
                let mut used = from.used.clone();
                used.insert(used.partition_point(|other| *other < index), index);
                let done = from.done.clone();
                next.push(Configuration { done, used, state });
            }
        }
        for index in candidates.into_iter().rev() {
            let call = &self.answered[index as usize];
            let outcome = call.ended.as_ref().map(|(_, outcome)| outcome);
            if let Some(state) = M::apply(&from.state, &call.operation, outcome) {
                next.push(Configuration {
                    done: from.done.with(index),
                    used: from.used.clone(),
                    state,
                });
            }
        }
        next
    }

    /// When the last of those began that are done or used.
    fn newest(&self, of: &Configuration<M::State>) -> u64 {
        let done = of.done.beyond.last().copied().or(of.done.first.checked_sub(1));
        let done = done.map(|index| self.answered[index as usize].began);
        let used = of.used.last().map(|index| self.open[*index as usize].began);
        done.max(used).unwrap_or(0)
    }

    /// Answered calls that may be next, by their ends, and the first of these ends.
    fn candidates(&self, done: &Done) -> (Vec<u32>, u64) {
        let mut until = u64::MAX;
        let mut candidates = vec![];
        for (index, call) in (done.first..).zip(&self.answered[done.first as usize..]) {
            if call.began > until {
                break;
            }
            if !done.has(index) {
                let end = call.ended.as_ref().map_or(u64::MAX, |(end, _)| *end);
                until = until.min(end);
                candidates.push((end, index));
            }
        }
        candidates.sort_unstable();
        (candidates.into_iter().map(|(_, index)| index).collect(), until)
    }

    fn report(&self) -> String {
        let Some(farthest) = &self.farthest else {
            return "nothing can come first".into();
        };
        let (candidates, until) = self.candidates(&farthest.done);
        let mut text = format!(
            "{} of {} calls fit into an order, then the state is {:?} and none of these can be next:",
            farthest.done.count(),
            self.answered.len(),
            farthest.state,
        );
        let all = self.answered.len();
        let around = (farthest.done.first as usize).saturating_sub(REPORTED_CALLS / 2);
        for index in candidates.iter().take(REPORTED_CALLS) {
            line(&mut text, &self.answered[*index as usize]);
        }
        text.push_str("\nunanswered, and not used:");
        let unused = (0..).zip(self.open);
        let unused = unused.filter(|(index, call)| !farthest.used.contains(index) && call.began < until);
        let unused: Vec<_> = unused.map(|(_, call)| call).collect();
        for call in unused.iter().rev().take(REPORTED_CALLS) {
            line(&mut text, call);
        }
        text.push_str("\naround them:");
        for call in &self.answered[around..all.min(around + REPORTED_CALLS)] {
            line(&mut text, call);
        }
        text
    }
}

/// When it cannot happen any more.
fn lapse<M: Model>(call: &Call<M>) -> u64 {
    call.lapsed.unwrap_or(u64::MAX)
}

fn line<M: Model>(text: &mut String, call: &Call<M>) {
    let (began, operation) = (call.began, &call.operation);
    let written = match &call.ended {
        Some((end, outcome)) => write!(text, "\n  {began}..{end} {operation:?} -> {outcome:?}"),
        None => match call.lapsed {
            Some(lapsed) => write!(text, "\n  {began}..({lapsed}) {operation:?}"),
            None => write!(text, "\n  {began}.. {operation:?}"),
        },
    };
    written.expect("a string takes all");
}
