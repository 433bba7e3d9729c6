use proptest::prelude::*;

use super::*;
use crate::key::Table;
use crate::step::{self, Command as Step};
use crate::testing::{Bench, Got};

/// A candidate's session unless a test says otherwise: that of its name.
fn session_of(name: &str) -> Session {
    Session(
        name.bytes()
            .fold(7, |session, byte| session * 31 + u128::from(byte)),
    )
}

fn enter(name: &str) -> Step {
    enter_as(name, session_of(name))
}

fn enter_as(name: &str, session: Session) -> Step {
    let candidate = name.to_owned();
    Command::Enter { candidate, session }.into()
}

macro_rules! commands {
    ($($function:ident = $command:ident),*) => {
        $(fn $function(name: &str) -> Step {
            Command::$command { candidate: name.to_owned() }.into()
        })*
    };
}

commands!(
    withdraw = Withdraw,
    anoint = Anoint,
    promote = Promote,
    demote = Demote,
    evict = Evict
);

fn close(name: &str) -> Step {
    over(session_of(name))
}

fn over(session: Session) -> Step {
    let over_at = Timestamp(0);
    Step::SessionLost { session, over_at }
}

fn shown(term: &Term) -> String {
    let leader = term.leader.as_deref().unwrap_or("-");
    format!("{} {leader} [{}]", term.term, term.candidates.join(" "))
}

fn term(bench: &mut Bench) -> Term {
    let reply = bench.read(Query::GetTerm).expect("a term is always there");
    Reply::try_from(reply).expect("an election's reply")
}

fn event(event: &crate::step::Event) -> Term {
    match event {
        crate::step::Event::Primitive(super::super::Event::LeaderElection(Event(term))) => term.clone(),
        other => panic!("no event of an election: {other:?}"),
    }
}

/// Each command and the term it leaves. What differs from the line before is told, once, and nothing else is.
#[track_caller]
fn check(history: &[(Step, &str)]) -> Bench {
    let mut bench = Bench::new();
    let mut before = "0 - []".to_owned();
    for (command, expected) in history {
        bench.events.clear();
        match bench.apply(command.clone()) {
            Got::Now(step::Reply::Done) => {}
            Got::Now(reply) => {
                let answered = Reply::try_from(reply).expect("an election's reply");
                assert_eq!(shown(&answered), *expected, "answer to {command:?}");
            }
            other => panic!("an election answers at once: {other:?}"),
        }
        let now = term(&mut bench);
        assert_eq!(shown(&now), *expected, "after {command:?}");
        let told: Vec<_> = bench.events.iter().map(event).collect();
        let expected_events = if *expected == before { vec![] } else { vec![now] };
        assert_eq!(told, expected_events, "told of {command:?}");
        (*expected).clone_into(&mut before);
    }
    bench
}

#[test]
fn the_trace_of_the_sdks_test() {
    check(&[
        (enter("c1"), "1 c1 []"),
        (enter("c2"), "1 c1 [c2]"),
        (enter("c3"), "1 c1 [c2 c3]"),
        (promote("c3"), "1 c1 [c3 c2]"),
        (promote("c3"), "2 c3 [c1 c2]"),
        (anoint("c2"), "3 c2 [c3 c1]"),
        (withdraw("c2"), "4 c3 [c1]"),
        (evict("c3"), "5 c1 []"),
        (enter("c2"), "5 c1 [c2]"),
        (anoint("c2"), "6 c2 [c1]"),
        (close("c2"), "7 c1 []"),
        (close("c1"), "7 - []"),
        (close("c3"), "7 - []"),
    ]);
}

#[test]
fn before_anybody_enters_nothing_happens() {
    check(&[
        (withdraw("a"), "0 - []"),
        (anoint("a"), "0 - []"),
        (promote("a"), "0 - []"),
        (demote("a"), "0 - []"),
        (evict("a"), "0 - []"),
    ]);
}

#[test]
fn entering_again_changes_nothing() {
    check(&[
        (enter("a"), "1 a []"),
        (enter("b"), "1 a [b]"),
        (enter("a"), "1 a [b]"),
        (enter("b"), "1 a [b]"),
    ]);
}

#[test]
fn demoting_moves_one_place_back() {
    check(&[
        (enter("a"), "1 a []"),
        (demote("a"), "1 a []"),
        (enter("b"), "1 a [b]"),
        (enter("c"), "1 a [b c]"),
        (enter("d"), "1 a [b c d]"),
        (demote("b"), "1 a [c b d]"),
        (demote("d"), "1 a [c b d]"),
        (demote("a"), "2 c [a b d]"),
        (demote("nobody"), "2 c [a b d]"),
    ]);
}

#[test]
fn anointing_and_promoting_who_leads_or_is_unknown_changes_nothing() {
    check(&[
        (enter("a"), "1 a []"),
        (enter("b"), "1 a [b]"),
        (anoint("a"), "1 a [b]"),
        (promote("a"), "1 a [b]"),
        (anoint("x"), "1 a [b]"),
        (promote("x"), "1 a [b]"),
    ]);
}

#[test]
fn one_in_the_queue_can_leave_it() {
    check(&[
        (enter("a"), "1 a []"),
        (enter("b"), "1 a [b]"),
        (enter("c"), "1 a [b c]"),
        (withdraw("b"), "1 a [c]"),
        (evict("c"), "1 a []"),
    ]);
}

#[test]
fn the_term_goes_on_after_everybody_has_left() {
    let bench = check(&[
        (enter("a"), "1 a []"),
        (withdraw("a"), "1 - []"),
        (enter("b"), "2 b []"),
        (evict("b"), "2 - []"),
    ]);
    assert_eq!(bench.count(Table::Session), 0);
}

#[test]
fn a_name_may_be_empty() {
    let mut bench = check(&[(enter(""), "1  []"), (enter("b"), "1  [b]")]);
    assert_eq!(term(&mut bench).leader.as_deref(), Some(""));
    bench.apply(withdraw(""));
    assert_eq!(shown(&term(&mut bench)), "2 b []");
}

#[test]
fn who_enters_under_a_known_name_takes_it_over() {
    check(&[
        (enter_as("a", Session(1)), "1 a []"),
        (enter_as("b", Session(1)), "1 a [b]"),
        (enter_as("a", Session(2)), "1 a [b]"),
        (over(Session(1)), "1 a []"),
        (over(Session(2)), "1 - []"),
    ]);
}

#[test]
fn a_session_takes_all_its_candidates_along_in_one_term() {
    let bench = check(&[
        (enter_as("a", Session(1)), "1 a []"),
        (enter_as("b", Session(1)), "1 a [b]"),
        (enter_as("c", Session(2)), "1 a [b c]"),
        (over(Session(1)), "2 c []"),
    ]);
    assert_eq!(bench.count(Table::Session), 1);
}

#[test]
fn a_lost_session_leads_until_its_end() {
    let mut bench = check(&[(enter("a"), "1 a []"), (enter("b"), "1 a [b]")]);
    let over_at = Timestamp(bench.now.0 + 100);
    bench.restart();
    bench.apply(Step::SessionLost {
        session: session_of("a"),
        over_at,
    });
    bench.advance(99);
    assert_eq!(shown(&term(&mut bench)), "1 a [b]");
    bench.advance(1);
    assert_eq!(shown(&term(&mut bench)), "2 b []");
    assert_eq!(bench.count(Table::Timer), 0);
}

#[test]
fn there_is_an_end_to_the_queue() {
    let mut election = Election::default();
    for number in 0..=limits::ELECTION_CANDIDATES_MAX {
        election
            .enter(&number.to_string(), Session(1))
            .expect("there is room");
    }
    let refused = election
        .enter("one more", Session(1))
        .expect_err("there is no room");
    assert_eq!(refused.code(), codes::TOO_MANY_REQUESTS);
}

/// Written by the first version, and readable for ever.
#[test]
fn its_rows_are_read_as_they_were_first_written() {
    let candidate = |name: &str| Candidate {
        name: name.to_owned(),
        session: StoredSession { high: 1, low: 2 },
    };
    let election = Election {
        term: 3,
        leader: Some(candidate("")),
        queue: vec![candidate("b")],
        version: 4,
    };
    let row = bytes::Bytes::from_static(
        b"\x01\x08\x03\x12\x14\x12\x12\x09\x01\0\0\0\0\0\0\0\x11\x02\0\0\0\0\0\0\0\
          \x1a\x17\x0a\x01b\x12\x12\x09\x01\0\0\0\0\0\0\0\x11\x02\0\0\0\0\0\0\0\x20\x04",
    );
    assert_eq!(Election::from_row(&row).ok(), Some(election.clone()));
    assert_eq!(election.to_row(), row);
}

fn act() -> impl Strategy<Value = (u8, usize, u128)> {
    (0u8..7, 0usize..5, 1u128..4)
}

proptest! {
    /// Against one list whose first one leads.
    #[test]
    fn it_is_a_list_whose_first_one_leads(history in prop::collection::vec(act(), 0..60)) {
        let names = ["", "a", "b", "c", "d"];
        let mut bench = Bench::new();
        let mut model: Vec<(&str, u128)> = vec![];
        let mut last = Term::default();
        for (act, name, session) in history {
            let name = names[name];
            let place = model.iter().position(|(found, _)| *found == name);
            let (command, expected) = match (act, place) {
                (0, None) => {
                    model.push((name, session));
                    (enter_as(name, Session(session)), None)
                }
                (0, Some(place)) => {
                    model[place].1 = session;
                    (enter_as(name, Session(session)), None)
                }
                (1 | 2, place) => {
                    place.map(|place| model.remove(place));
                    (if act == 1 { withdraw(name) } else { evict(name) }, None)
                }
                // The leader, then the old leader, then the rest.
                (3, place) => (anoint(name), place.map(|place| (place, 0))),
                (4, place) => (promote(name), place.map(|place| (place, place.saturating_sub(1)))),
                (5, place) => (demote(name), place.map(|place| (place, (place + 1).min(model.len() - 1)))),
                _ => {
                    model.retain(|(_, found)| *found != session);
                    (over(Session(session)), None)
                }
            };
            if let Some((from, to)) = expected {
                let moved = model.remove(from);
                model.insert(to, moved);
            }
            bench.events.clear();
            bench.apply(command);
            let now = term(&mut bench);
            let order: Vec<_> = now.leader.iter().chain(&now.candidates).map(String::as_str).collect();
            let expected: Vec<_> = model.iter().map(|(name, _)| *name).collect();
            prop_assert_eq!(order, expected);
            prop_assert_eq!(now.leader.is_none(), model.is_empty());
            let newly_led = now.leader.is_some() && now.leader != last.leader;
            prop_assert_eq!(now.term, last.term + u64::from(newly_led));
            let changed = Term { version: 0, ..now.clone() } != Term { version: 0, ..last.clone() };
            prop_assert_eq!(bench.events.len(), usize::from(changed));
            let sessions: BTreeSet<_> = model.iter().map(|(_, session)| session).collect();
            prop_assert_eq!(bench.count(Table::Session), sessions.len());
            last = now;
        }
    }
}
