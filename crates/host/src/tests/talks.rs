//! Conversations with user code: begun after the commit, again after a new start, and hung up.

use machines::engine::Talk;
use machines::relay::{About, Command, Get};
use machines::{Callee, Stored};
use parking_lot::Mutex;

use super::*;

/// User code that answers every n-th call, and notes what it hears.
struct Code {
    answers: u64,
    heard: Mutex<Vec<(Address, Option<About>)>>,
}

impl Code {
    fn answering(answers: u64) -> Arc<Code> {
        Arc::new(Code {
            answers,
            heard: Mutex::default(),
        })
    }

    fn options(self: &Arc<Code>) -> Options {
        Options {
            callee: Some(self.clone()),
            ..Options::default()
        }
    }
}

impl Callee for Code {
    fn talk(&self, engine: Arc<dyn Engine>, address: &Address, talk: Talk) {
        let about = About::from_row(&talk.about).expect("what the machine gave");
        let mut heard = self.heard.lock();
        heard.push((address.clone(), Some(about)));
        if (heard.len() as u64).is_multiple_of(self.answers) {
            let said = Command::Said {
                question: about.question,
                attempt: about.attempt,
            };
            drop(base::task::spawn("user code", said.call(&*engine, address)));
        }
    }

    fn hang_up(&self, address: &Address) {
        self.heard.lock().push((address.clone(), None));
    }
}

fn someone() -> Address {
    Address::relay("someone")
}

async fn ask(host: &Host) {
    Command::Ask
        .call(host, &someone())
        .await
        .expect("no other question is open");
}

async fn until_answered(world: &World, host: &Host, questions: u64) {
    for _ in 0..100 {
        if Get.ask(host, &someone()).await.expect("a relay").answered == questions {
            return;
        }
        world.clock.advance(Duration::from_millis(50));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("question {questions} was not answered");
}

#[tokio::test(start_paused = true)]
async fn user_code_is_asked_until_it_answers_and_then_not_any_more() {
    let world = World::new();
    let code = Code::answering(3);
    let host = world.open_with(code.options()).await;
    ask(&host).await;
    until_answered(&world, &host, 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let about = |attempt| Some(About { question: 1, attempt });
    let heard: Vec<_> = code.heard.lock().iter().map(|(_, about)| *about).collect();
    assert_eq!(heard, [about(1), about(2), about(3), None]);
}

#[tokio::test(start_paused = true)]
async fn an_open_conversation_begins_again_with_a_new_start() {
    let world = World::new();
    let silent = Code::answering(u64::MAX);
    let host = world.open_with(silent.options()).await;
    ask(&host).await;
    host.close();
    let code = Code::answering(1);
    let host = world.open_with(code.options()).await;
    until_answered(&world, &host, 1).await;
    let first = code.heard.lock()[0].clone();
    assert_eq!(
        first,
        (
            someone(),
            Some(About {
                question: 1,
                attempt: 1
            })
        )
    );
    host.close();
    let idle = Code::answering(1);
    let host = world.open_with(idle.options()).await;
    ask(&host).await;
    until_answered(&world, &host, 2).await;
    assert_eq!(
        idle.heard.lock()[0].1,
        Some(About {
            question: 2,
            attempt: 1
        }),
        "what is over stays over"
    );
}

/// A refused batch has begun nothing.
#[tokio::test(start_paused = true)]
async fn user_code_hears_of_what_is_stored_only() {
    let world = World::new();
    let code = Code::answering(1);
    let host = world.open_with(code.options()).await;
    world.kv.inject([Fault::Refuse { n: 2 }]);
    Command::Ask.call(&host, &someone()).await.expect_err("refused");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(code.heard.lock().is_empty());
}
