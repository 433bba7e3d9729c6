//! Where a consumer and the reader of its group meet: events go one way, settlements the other.
//!
//! | the consumer | events that it has not taken | that it has taken | settlements that were sent |
//! |---|---|---|---|
//! | reads | wait here, until their deadline | are waited for, until their deadline | count |
//! | has closed | go back at once | are waited for, and none is refused by being dropped | count |
//! | has left | go back at once | go back at once, later settlements are too late | count |
//!
//! The deadline begins when an event is handed out: a consumer that does not read holds it no longer than one that does not
//! answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use ports::kv::Position;
use ports::pubsub::{self, Deliveries, Delivery, Settle, Settlement, Subscription};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::book::Next;
use super::topic::DeadLetters;

/// A consumer, as the reader of its group sees it. Dropping it ends the consumer's events.
pub(super) struct Member {
    desk: Arc<Desk>,
    deadline: Duration,
    pub(super) in_flight_max: usize,
    pub(super) deliveries_max: u32,
    pub(super) dead_letters: Option<DeadLetters>,
}

/// The consumer's end. Dropping it ends the subscription.
pub(super) struct Consumer(Arc<Desk>);

struct Desk {
    topic: Arc<str>,
    state: Mutex<State>,
    /// Wakes the consumer.
    handed: Notify,
    /// Wakes the reader. All consumers of its group have the same.
    news: OnceLock<Arc<Notify>>,
}

struct State {
    consumer: Presence,
    /// The reader has gone.
    ended: bool,
    /// Number of the last delivery.
    delivery: u64,
    handed: VecDeque<Handed>,
    /// Deliveries that can be settled. In order of their deadlines, too.
    waiting: BTreeMap<u64, Waiting>,
    answers: Vec<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Reads,
    Closed,
    Left,
}

/// An event that the consumer has not taken yet.
struct Handed {
    delivery: u64,
    attempt: u32,
    envelope: Bytes,
}

struct Waiting {
    position: Position,
    until: Instant,
}

/// What became of an event at the consumer. `None`: nothing, it is as if it had never been there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) position: Position,
    pub(super) settlement: Option<Settlement>,
}

/// The two ends.
pub(super) fn sit_down(subscription: &Subscription, dead_letters: Option<DeadLetters>) -> (Member, Consumer) {
    let desk = Arc::new(Desk {
        topic: (&*subscription.topic).into(),
        state: Mutex::new(State {
            consumer: Presence::Reads,
            ended: false,
            delivery: 0,
            handed: VecDeque::new(),
            waiting: BTreeMap::new(),
            answers: vec![],
        }),
        handed: Notify::new(),
        news: OnceLock::new(),
    });
    let member = Member {
        desk: desk.clone(),
        deadline: subscription.deadline,
        in_flight_max: subscription.in_flight_max,
        deliveries_max: subscription.deliveries_max,
        dead_letters,
    };
    (member, Consumer(desk))
}

impl Member {
    /// `news` is notified from here on. Look for news once: some may be there already.
    pub(super) fn tell(&self, news: &Arc<Notify>) {
        // A member has one reader in its life.
        let _ = self.desk.news.set(news.clone());
    }

    /// `false`: the consumer takes no more.
    pub(super) fn hand_out(&self, next: Next, now: Instant) -> bool {
        let mut state = self.desk.state.lock();
        if state.consumer != Presence::Reads {
            return false;
        }
        state.delivery += 1;
        let delivery = state.delivery;
        let waiting = Waiting {
            position: next.position,
            until: now + self.deadline,
        };
        state.waiting.insert(delivery, waiting);
        state.handed.push_back(Handed {
            delivery,
            attempt: next.attempt,
            envelope: next.envelope,
        });
        drop(state);
        self.desk.handed.notify_one();
        true
    }

    /// What has been answered, or has not been in time. A consumer that has left is waited for no more.
    pub(super) fn take_news(&self, now: Instant) -> (Vec<Answer>, Presence) {
        let mut state = self.desk.state.lock();
        let mut answers = std::mem::take(&mut state.answers);
        let mut late = false;
        while let Some(first) = state.waiting.first_entry()
            && first.get().until <= now
        {
            let position = first.remove().position;
            let settlement = Some(Settlement::Retry);
            answers.push(Answer { position, settlement });
            late = true;
        }
        if late {
            let State { handed, waiting, .. } = &mut *state;
            handed.retain(|handed| waiting.contains_key(&handed.delivery));
        }
        (answers, state.consumer)
    }

    /// When the first of its events is late.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.desk.state.lock();
        state.waiting.first_key_value().map(|(_, first)| first.until)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.desk.state.lock();
        state.ended = true;
        state.handed.clear();
        state.waiting.clear();
        drop(state);
        self.desk.handed.notify_one();
    }
}

impl Desk {
    fn notify_reader(&self) {
        if let Some(news) = self.news.get() {
            news.notify_one();
        }
    }
}

impl pubsub::Desk for Desk {
    fn settle(&self, delivery: u64, settlement: Option<Settlement>) -> bool {
        let mut state = self.state.lock();
        let Some(Waiting { position, .. }) = state.waiting.remove(&delivery) else {
            return false;
        };
        let dropped = match state.consumer {
            Presence::Reads => Some(Settlement::Retry),
            Presence::Closed | Presence::Left => None,
        };
        let settlement = settlement.or(dropped);
        state.answers.push(Answer { position, settlement });
        drop(state);
        self.notify_reader();
        true
    }

    fn waits(&self, delivery: u64) -> bool {
        self.state.lock().waiting.contains_key(&delivery)
    }
}

#[async_trait]
impl Deliveries for Consumer {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            {
                let mut state = self.0.state.lock();
                if let Some(handed) = state.handed.pop_front() {
                    return Some(Delivery {
                        topic: self.0.topic.clone(),
                        envelope: handed.envelope,
                        attempt: handed.attempt,
                        settle: Settle::at(self.0.clone(), handed.delivery),
                    });
                }
                if state.ended || state.consumer != Presence::Reads {
                    return None;
                }
            }
            // What is handed out meanwhile has notified already.
            self.0.handed.notified().await;
        }
    }

    fn close(&mut self) {
        let mut state = self.0.state.lock();
        state.consumer = Presence::Closed;
        for Handed { delivery, .. } in std::mem::take(&mut state.handed) {
            if let Some(Waiting { position, .. }) = state.waiting.remove(&delivery) {
                let settlement = None;
                state.answers.push(Answer { position, settlement });
            }
        }
        drop(state);
        self.0.notify_reader();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.consumer = Presence::Left;
        state.handed.clear();
        state.waiting.clear();
        drop(state);
        self.0.notify_reader();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures::FutureExt;
    use ports::kv::Version;
    use ports::pubsub::{Start, TooLate};

    use super::*;

    fn desk() -> (Member, Consumer) {
        let subscription = Subscription {
            topic: "t".into(),
            group: "g".into(),
            start: Start::Oldest,
            dead_letter_topic: None,
            deliveries_max: 0,
            in_flight_max: 8,
            deadline: Duration::from_secs(60),
        };
        sit_down(&subscription, None)
    }

    fn position(number: u64) -> Position {
        let version = Version(number);
        Position { version, index: 0 }
    }

    fn hand_out(member: &Member, number: u64) -> bool {
        let next = Next {
            position: position(number),
            attempt: 1,
            envelope: Bytes::new(),
            consumer: super::super::consumers::Consumers::default().join(1),
        };
        member.hand_out(next, Instant::now())
    }

    fn news(member: &Member) -> (Vec<(u64, Option<Settlement>)>, Presence) {
        let (answers, presence) = member.take_news(Instant::now());
        let answers = answers.into_iter();
        let answers = answers.map(|answer| (answer.position.version.0, answer.settlement));
        (answers.collect(), presence)
    }

    async fn next(consumer: &mut Consumer) -> Delivery {
        consumer.next().await.expect("the reader is there")
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_once_and_in_time() {
        let (member, mut consumer) = desk();
        (1..=3).for_each(|number| assert!(hand_out(&member, number)));
        let (one, two) = (next(&mut consumer).await, next(&mut consumer).await);
        let three = next(&mut consumer).await;
        two.settle.send(Settlement::Ack).expect("in time");
        drop(three);
        let expected = vec![(2, Some(Settlement::Ack)), (3, Some(Settlement::Retry))];
        assert_eq!(news(&member), (expected, Presence::Reads));
        assert!(!one.settle.is_closed());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(news(&member).0, [(1, Some(Settlement::Retry))]);
        assert!(one.settle.is_closed());
        assert_eq!(one.settle.send(Settlement::Ack), Err(TooLate));
        assert_eq!(news(&member).0, []);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_taken_in_time_is_not_taken_any_more() {
        let (member, mut consumer) = desk();
        assert!(hand_out(&member, 1));
        let deadline = member.deadline().expect("one waits");
        assert_eq!(deadline, Instant::now() + Duration::from_secs(60));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(news(&member).0, [(1, Some(Settlement::Retry))]);
        assert_eq!(member.deadline(), None);
        assert!(hand_out(&member, 2));
        drop(next(&mut consumer).await);
        assert_eq!(news(&member).0, [(2, Some(Settlement::Retry))]);
    }

    #[tokio::test]
    async fn a_consumer_that_closes_gives_back_and_can_still_settle() {
        let (member, mut consumer) = desk();
        (1..=4).for_each(|number| assert!(hand_out(&member, number)));
        let (one, two) = (next(&mut consumer).await, next(&mut consumer).await);
        consumer.close();
        drop(one);
        two.settle.send(Settlement::Ack).expect("it is still there");
        let expected = vec![(3, None), (4, None), (1, None), (2, Some(Settlement::Ack))];
        assert_eq!(news(&member), (expected, Presence::Closed));
        assert!(!hand_out(&member, 5));
        assert!(consumer.next().await.is_none());
    }

    #[tokio::test]
    async fn a_consumer_that_leaves_settles_nothing_any_more() {
        let (member, mut consumer) = desk();
        (1..=2).for_each(|number| assert!(hand_out(&member, number)));
        let (one, two) = (next(&mut consumer).await, next(&mut consumer).await);
        one.settle.send(Settlement::Ack).expect("in time");
        drop(consumer);
        assert_eq!(two.settle.send(Settlement::Ack), Err(TooLate));
        assert_eq!(news(&member), (vec![(1, Some(Settlement::Ack))], Presence::Left));
    }

    #[tokio::test]
    async fn a_reader_that_ends_wakes_the_consumer() {
        let (member, mut consumer) = desk();
        let mut next = consumer.next();
        assert!(next.as_mut().now_or_never().is_none());
        drop(member);
        assert!(next.await.is_none());
    }

    #[tokio::test]
    async fn a_call_that_is_cut_short_loses_nothing() {
        let (member, mut consumer) = desk();
        {
            let mut waits = consumer.next();
            let polled = futures::future::poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx).is_pending()));
            assert!(polled.await);
            assert!(hand_out(&member, 1));
        }
        next(&mut consumer).await;
    }
}
