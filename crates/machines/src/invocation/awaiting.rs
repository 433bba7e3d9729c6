//! What a suspended invocation waits for: a tree of futures, and when it is ready.
//!
//! | combinator | ready when | as |
//! |---|---|---|
//! | `Unknown` | the first child is | one cannot tell |
//! | `FirstCompleted` | the first child is | that child |
//! | `AllCompleted` | all children are | success |
//! | `FirstSucceeded` | one child succeeded, or one of which one cannot tell is ready, or all failed | that |
//! | `AllSucceeded` | one child failed, or one of which one cannot tell is ready, or all succeeded | that |
//!
//! Waking too often costs a replay, waking too rarely hangs: where one cannot tell, it wakes.

use super::rows::{Came, Name};

/// Nodes of a tree, parents before children; the first is the root.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Awaited {
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<Node>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    #[prost(enumeration = "Combinator", tag = "1")]
    pub combinator: i32,
    #[prost(uint32, repeated, tag = "2")]
    pub completions: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub signals: Vec<u32>,
    #[prost(string, repeated, tag = "4")]
    pub named_signals: Vec<String>,
    /// Places of further nodes, each behind this one.
    #[prost(uint32, repeated, tag = "5")]
    pub nested: Vec<u32>,
    /// Leaves that are ready already.
    #[prost(enumeration = "Class", repeated, tag = "6")]
    pub ready: Vec<i32>,
}

/// Numbers are stored and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Combinator {
    Unknown = 0,
    FirstCompleted = 1,
    AllCompleted = 2,
    FirstSucceeded = 3,
    AllSucceeded = 4,
}

/// How something that is ready came out. Numbers are stored and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Class {
    /// One cannot tell.
    Either = 0,
    Success = 1,
    Failure = 2,
}

impl Class {
    pub fn of(came: &Came) -> Class {
        match came {
            Came::Failure(_) => Class::Failure,
            Came::Void(_) | Came::Value(_) | Came::Invocation(_) | Came::Keys(_) => Class::Success,
        }
    }
}

impl Awaited {
    /// Any of these.
    pub fn any(completions: Vec<u32>, signals: Vec<u32>, named_signals: Vec<String>) -> Awaited {
        let root = Node {
            combinator: Combinator::FirstCompleted.into(),
            completions,
            signals,
            named_signals,
            ..Node::default()
        };
        Awaited { nodes: vec![root] }
    }

    /// Nothing at all could make it ready.
    pub fn is_empty(&self) -> bool {
        self.nodes.iter().all(|node| {
            node.completions.is_empty()
                && node.signals.is_empty()
                && node.named_signals.is_empty()
                && node.ready.is_empty()
        })
    }

    /// All completions that are waited for.
    pub fn completions(&self) -> impl Iterator<Item = u32> {
        self.nodes
            .iter()
            .flat_map(|node| node.completions.iter().copied())
    }

    /// Whether anything but a completion could make it ready, cancelling (signal 1) aside.
    pub fn waits_for_signals(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| !node.named_signals.is_empty() || node.signals.iter().any(|signal| *signal != 1))
    }

    /// That one is ready now.
    pub fn settle(&mut self, name: &Name, class: Class) {
        for node in &mut self.nodes {
            let before = node.leaves();
            match name {
                Name::Completion(id) => node.completions.retain(|other| other != id),
                Name::Signal(id) => node.signals.retain(|other| other != id),
                Name::NamedSignal(name) => node.named_signals.retain(|other| other != name),
            }
            let settled = before - node.leaves();
            node.ready.extend(std::iter::repeat_n(i32::from(class), settled));
        }
    }

    /// `None`: not yet.
    pub fn ready(&self) -> Option<Class> {
        let mut results: Vec<Option<Class>> = vec![None; self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate().rev() {
            let nested = node.nested.iter().filter(|child| **child as usize > place);
            let nested = nested.map(|child| results.get(*child as usize).copied().flatten());
            let ready = node.ready().map(Some);
            let waiting = std::iter::repeat_n(None, node.leaves());
            results[place] = node.combinator().ready(ready.chain(waiting).chain(nested));
        }
        results.first().copied().flatten()
    }
}

impl Node {
    fn leaves(&self) -> usize {
        self.completions.len() + self.signals.len() + self.named_signals.len()
    }
}

impl Combinator {
    fn ready(self, children: impl Iterator<Item = Option<Class>>) -> Option<Class> {
        let children: Vec<_> = children.collect();
        let first = |class: Class| children.iter().flatten().copied().find(|child| *child == class);
        let all = || children.iter().all(Option::is_some);
        match self {
            Combinator::Unknown => children.iter().flatten().next().map(|_| Class::Either),
            Combinator::FirstCompleted => children.iter().flatten().copied().next(),
            Combinator::AllCompleted => all().then_some(Class::Success),
            Combinator::FirstSucceeded => first(Class::Success)
                .or_else(|| first(Class::Either))
                .or_else(|| all().then_some(Class::Failure)),
            Combinator::AllSucceeded => first(Class::Failure)
                .or_else(|| first(Class::Either))
                .or_else(|| all().then_some(Class::Success)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(id: u32) -> Node {
        Node {
            completions: vec![id],
            ..Node::default()
        }
    }

    fn tree(combinator: Combinator, leaves: &[u32]) -> Awaited {
        let root = Node {
            combinator: combinator.into(),
            completions: leaves.to_vec(),
            ..Node::default()
        };
        Awaited { nodes: vec![root] }
    }

    /// The tree after each of these has come.
    #[track_caller]
    fn check(mut awaited: Awaited, came: &[(u32, Class)], expected: &[Option<Class>]) {
        let seen: Vec<_> = came
            .iter()
            .map(|(id, class)| {
                awaited.settle(&Name::Completion(*id), *class);
                awaited.ready()
            })
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn combinators() {
        use Class::{Either, Failure, Success};
        use Combinator::{AllCompleted, AllSucceeded, FirstCompleted, FirstSucceeded, Unknown};
        check(tree(Unknown, &[1, 2]), &[(2, Failure)], &[Some(Either)]);
        check(
            tree(FirstCompleted, &[1, 2]),
            &[(3, Success), (2, Failure)],
            &[None, Some(Failure)],
        );
        let both = [(1, Failure), (2, Success)];
        check(tree(AllCompleted, &[1, 2]), &both, &[None, Some(Success)]);
        check(tree(FirstSucceeded, &[1, 2]), &both, &[None, Some(Success)]);
        check(tree(FirstSucceeded, &[1]), &[(1, Failure)], &[Some(Failure)]);
        check(
            tree(AllSucceeded, &[1, 2]),
            &both,
            &[Some(Failure), Some(Failure)],
        );
        check(tree(AllSucceeded, &[2]), &[(2, Success)], &[Some(Success)]);
        check(tree(FirstSucceeded, &[1, 2]), &[(1, Either)], &[Some(Either)]);
    }

    #[test]
    fn an_all_inside_a_first_does_not_wake_on_its_first_child() {
        let root = Node {
            combinator: Combinator::FirstCompleted.into(),
            signals: vec![1],
            nested: vec![1],
            ..Node::default()
        };
        let all = Node {
            combinator: Combinator::AllCompleted.into(),
            completions: vec![2, 3],
            ..Node::default()
        };
        let mut awaited = Awaited {
            nodes: vec![root, all],
        };
        awaited.settle(&Name::Completion(2), Class::Success);
        assert_eq!(awaited.ready(), None);
        let mut cancelled = awaited.clone();
        cancelled.settle(&Name::Signal(1), Class::Success);
        assert_eq!(cancelled.ready(), Some(Class::Success));
        awaited.settle(&Name::Completion(3), Class::Failure);
        assert_eq!(awaited.ready(), Some(Class::Success));
    }

    #[test]
    fn an_unknown_inside_others_wakes() {
        let root = Node {
            combinator: Combinator::AllSucceeded.into(),
            completions: vec![9],
            nested: vec![1],
            ..Node::default()
        };
        let mut awaited = Awaited {
            nodes: vec![root, leaf(1)],
        };
        awaited.settle(&Name::Completion(1), Class::Success);
        assert_eq!(awaited.ready(), Some(Class::Either));
    }

    #[test]
    fn a_node_that_names_an_earlier_one_does_not_hang() {
        let mut node = leaf(1);
        node.nested = vec![0, 7];
        let awaited = Awaited {
            nodes: vec![node.clone(), node],
        };
        assert_eq!(awaited.ready(), None);
        assert!(!awaited.is_empty());
        assert!(Awaited::default().is_empty());
    }
}
