//! Keeping a lease: renewed at a third of its time, tried again when that fails, given up when it must have ended.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

/// What became of one renewal.
#[derive(Debug)]
pub(super) enum Renewal {
    Renewed,
    Lost(Lost),
    /// It may work the next time.
    Failed(String),
}

/// Why the lock is not held any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Nobody holds it.
    Ended,
    /// Another holds it.
    Taken,
    /// It could not be renewed in time; the last reason.
    NotRenewed(String),
}

/// Renews until the lease is lost, and says why; dropping it ends the renewals.
///
/// The lease ends, as far as this side can know, `ttl` after the last renewal that worked was asked for: never later than
/// by the server's clock.
pub(super) async fn keep<F>(asked: Instant, ttl: Duration, mut renew: impl FnMut() -> F) -> Lost
where
    F: Future<Output = Renewal>,
{
    let third = ttl / 3;
    let (mut ends, mut next) = (asked + ttl, asked + third);
    let mut reason = "no answer".to_owned();
    loop {
        sleep_until(next.min(ends)).await;
        let asked = Instant::now();
        if asked >= ends {
            return Lost::NotRenewed(reason);
        }
        match timeout_at(ends.min(asked + third), renew()).await {
            Ok(Renewal::Renewed) => (ends, next) = (asked + ttl, asked + third),
            Ok(Renewal::Lost(lost)) => return lost,
            Ok(Renewal::Failed(why)) => (reason, next) = (why, asked + third / 4),
            Err(_) => (reason, next) = ("no answer".to_owned(), Instant::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    enum Answer {
        Is(Renewal),
        Never,
    }

    /// Plays these answers; says what was lost, and when each renewal was asked for and the loss was known, in seconds.
    async fn played(answers: Vec<Answer>) -> (Lost, Vec<f64>) {
        tokio::time::pause();
        let start = Instant::now();
        let answers = RefCell::new(answers.into_iter());
        let times = RefCell::new(vec![]);
        let lost = keep(start, TTL, || {
            times.borrow_mut().push(start.elapsed());
            let answer = answers.borrow_mut().next();
            async move {
                match answer {
                    Some(Answer::Is(renewal)) => renewal,
                    Some(Answer::Never) => std::future::pending().await,
                    None => Renewal::Lost(Lost::Ended),
                }
            }
        })
        .await;
        times.borrow_mut().push(start.elapsed());
        let seconds = |time: Duration| (time.as_secs_f64() * 10.0).round() / 10.0;
        (lost, times.into_inner().into_iter().map(seconds).collect())
    }

    #[tokio::test]
    async fn it_is_renewed_at_a_third_of_its_time_until_another_has_it() {
        let renewed = || Answer::Is(Renewal::Renewed);
        let answers = vec![renewed(), renewed(), Answer::Is(Renewal::Lost(Lost::Taken))];
        assert_eq!(played(answers).await, (Lost::Taken, vec![10.0, 20.0, 30.0, 30.0]));
    }

    #[tokio::test]
    async fn a_renewal_that_fails_is_tried_again_soon() {
        let answers = vec![
            Answer::Is(Renewal::Failed("away".into())),
            Answer::Is(Renewal::Renewed),
        ];
        assert_eq!(played(answers).await, (Lost::Ended, vec![10.0, 12.5, 22.5, 22.5]));
    }

    #[tokio::test]
    async fn it_is_lost_when_it_could_not_be_renewed_in_time() {
        let answers = (0..100)
            .map(|_| Answer::Is(Renewal::Failed("away".into())))
            .collect();
        let (lost, times) = played(answers).await;
        assert_eq!(lost, Lost::NotRenewed("away".into()));
        assert_eq!(
            times.last(),
            Some(&30.0),
            "not before, and not after it has ended"
        );
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_costs_one_attempt_and_not_the_lease() {
        let answers = vec![
            Answer::Never,
            Answer::Is(Renewal::Renewed),
            Answer::Never,
            Answer::Never,
            Answer::Never,
        ];
        let (lost, times) = played(answers).await;
        assert_eq!(lost, Lost::NotRenewed("no answer".into()));
        assert_eq!(times, [10.0, 20.0, 30.0, 40.0, 50.0]);
    }
}
