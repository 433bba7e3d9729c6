//! `fill` and `activate`: many counters, each called once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Uri;
use tokio::sync::mpsc;

use crate::Options;
use crate::grpc::{Connection, frame};
use crate::load::Tally;
use crate::message::{add, number};
use crate::proc::Reading;

/// Counters are called in steps of this prime, not in the order in which they are stored.
const STEP: usize = 7919;

/// One call of one counter, and what its sum must be then.
pub struct Call {
    connection: Connection,
    uri: Uri,
    message: Vec<u8>,
    sum: i64,
}

impl Call {
    pub fn add(connection: Connection, id: usize, events: i32) -> Result<Call, String> {
        Ok(Call {
            uri: connection.uri("/bench.Counters/Add")?,
            connection,
            message: add(&name(id), events),
            sum: events.into(),
        })
    }

    pub fn get(connection: Connection, id: usize, sum: i64) -> Result<Call, String> {
        Ok(Call {
            uri: connection.uri("/bench.Counters/Get")?,
            connection,
            message: add(&name(id), 0),
            sum,
        })
    }

    pub async fn make(self) -> Result<(), String> {
        let answer = self.connection.unary(&self.uri, frame(&self.message)).await?;
        match number(&answer) {
            Some(sum) if sum == self.sum => Ok(()),
            sum => Err(format!("the sum is {sum:?}, not {}", self.sum)),
        }
    }
}

fn name(id: usize) -> String {
    format!("counter-{id}")
}

pub fn fill(o: &Options) -> Result<(), String> {
    let (entities, events) = (o.number("entities", 1000)?, o.number("events", 1)?);
    let began = Instant::now();
    let mut tally = crate::runtime().block_on(async {
        let connections = Connection::open_all(&o.text("to")?, o.number("conns", 8)?).await?;
        let next = Arc::new(AtomicUsize::new(0));
        let mut all = tokio::task::JoinSet::new();
        for worker in 0..o.number("conc", 256)? {
            let connection = connections[worker % connections.len()].clone();
            all.spawn(fill_some(connection, next.clone(), entities, events));
        }
        let mut tally = Tally::default();
        while let Some(done) = all.join_next().await {
            tally.add(done.map_err(|e| e.to_string())?);
        }
        Ok::<_, String>(tally)
    })?;
    let took = began.elapsed().as_secs_f64();
    tally.finish();
    println!(
        "filled: {entities} entities of {events} events in {took:.1} s, {:.0}/s, p50 {:.2} ms, p99 {:.2} ms, {} errors",
        entities as f64 / took,
        tally.quantile(0.50),
        tally.quantile(0.99),
        tally.errors
    );
    Ok(())
}

async fn fill_some(connection: Connection, next: Arc<AtomicUsize>, entities: usize, events: i32) -> Tally {
    let mut tally = Tally::default();
    loop {
        let id = next.fetch_add(1, Ordering::Relaxed);
        if id >= entities {
            return tally;
        }
        let began = Instant::now();
        match Call::add(connection.clone(), id, events) {
            Ok(call) => match call.make().await {
                Ok(()) => tally.times.push(began.elapsed()),
                Err(e) => tally.failed(e),
            },
            Err(e) => tally.failed(e),
        }
    }
}

pub fn activate(o: &Options) -> Result<(), String> {
    let (entities, rate): (usize, f64) = (o.number("entities", 3000)?, o.number("rate", 500.0)?);
    if entities % STEP == 0 {
        return Err(format!("--entities must not be a multiple of {STEP}"));
    }
    let (server, others) = (o.pids("pid")?, o.pids("others")?);
    let before = Reading::take(&server, &others);
    let mut tally = crate::runtime().block_on(async {
        let connections = Connection::open_all(&o.text("to")?, o.number("conns", 8)?).await?;
        let mut all = tokio::task::JoinSet::new();
        let mut due = schedule(entities, rate);
        while let Some((turn, at)) = due.recv().await {
            let connection = connections[turn % connections.len()].clone();
            let call = Call::get(connection, turn * STEP % entities, o.number("events", 100)?)?;
            all.spawn(async move { (call.make().await, at.elapsed()) });
        }
        let mut tally = Tally::default();
        while let Some(done) = all.join_next().await {
            match done.map_err(|e| e.to_string())? {
                (Ok(()), took) => tally.times.push(took),
                (Err(e), _) => tally.failed(e),
            }
        }
        Ok::<_, String>(tally)
    })?;
    let cost = before.until(&Reading::take(&server, &others));
    tally.finish();
    println!(
        "| {} | {entities} | {rate:.0} | {:.3} | {:.3} | {:.3} | {:.1} | {:.2} | {} |",
        o.text("name").unwrap_or("activate".into()),
        tally.quantile(0.50),
        tally.quantile(0.99),
        tally.quantile(1.0),
        cost.server * 1e6 / entities.max(1) as f64,
        cost.foreign,
        tally.errors
    );
    Ok(())
}

/// Turns and when they are due. A thread of its own keeps the time: the runtime's timers are rounded up to milliseconds.
fn schedule(turns: usize, rate: f64) -> mpsc::UnboundedReceiver<(usize, Instant)> {
    let (tx, rx) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let began = Instant::now();
        for turn in 0..turns {
            let at = began + Duration::from_secs_f64(turn as f64 / rate);
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if tx.send((turn, at)).is_err() {
                return;
            }
        }
    });
    rx
}
