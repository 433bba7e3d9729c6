//! `load`: so many workers, each of which asks again when it has its answer.

use std::time::{Duration, Instant};

use crate::Options;
use crate::grpc::Connection;
use crate::message::{Calls, Kind};
use crate::proc::Reading;

/// After an error, so that a server which is away is not asked as fast as it can refuse.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    to: Instant,
}

/// How long answers took, and what went wrong.
#[derive(Default)]
pub struct Tally {
    pub times: Vec<Duration>,
    pub errors: u64,
    first_error: Option<String>,
}

impl Tally {
    pub fn failed(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    pub fn add(&mut self, mut other: Tally) {
        self.times.append(&mut other.times);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    /// The first of the errors goes to standard error.
    pub fn finish(&mut self) {
        self.times.sort_unstable();
        if let Some(error) = &self.first_error {
            eprintln!("entities: {} errors, the first: {error}", self.errors);
        }
    }

    /// Milliseconds, of a tally that is finished.
    pub fn quantile(&self, q: f64) -> f64 {
        let last = self.times.len().saturating_sub(1);
        let at = (self.times.len() as f64 * q) as usize;
        self.times
            .get(at.min(last))
            .map_or(f64::NAN, |t| t.as_secs_f64() * 1e3)
    }
}

pub fn run(o: &Options) -> Result<(), String> {
    let message = o.text("message")?;
    let path = match (o.text("path"), Kind::parse(&message).path()) {
        (Ok(path), _) => path,
        (Err(_), Some(path)) => path.to_owned(),
        (Err(missing), None) => return Err(missing),
    };
    let (secs, warm) = (o.number("secs", 5.0)?, o.number("warm", 1.0)?);
    let from = Instant::now() + Duration::from_secs_f64(warm);
    let window = Window {
        from,
        to: from + Duration::from_secs_f64(secs),
    };
    let (server, others) = (o.pids("pid")?, o.pids("others")?);
    // The readings are taken beside the load, when its window begins and ends.
    let readings = std::thread::spawn(move || {
        [window.from, window.to].map(|at| {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            Reading::take(&server, &others)
        })
    });
    let conc: usize = o.number("conc", 64)?;
    let mut tally = crate::runtime().block_on(workers(o, &message, &path, window))?;
    let [before, after] = readings.join().map_err(|_| "the readings failed")?;
    tally.finish();
    let cost = before.until(&after);
    let count = tally.times.len();
    println!(
        "| {} | {conc} | {:.0} | {:.3} | {:.3} | {:.3} | {:.1} | {:.2} | {} |",
        o.text("name").unwrap_or(message),
        count as f64 / secs,
        tally.quantile(0.50),
        tally.quantile(0.90),
        tally.quantile(0.99),
        cost.server * 1e6 / count.max(1) as f64,
        cost.foreign,
        tally.errors
    );
    Ok(())
}

async fn workers(o: &Options, message: &str, path: &str, window: Window) -> Result<Tally, String> {
    let conc = o.number("conc", 64)?;
    let connections = Connection::open_all(&o.text("to")?, o.number("conns", 8)?.min(conc)).await?;
    let mut all = tokio::task::JoinSet::new();
    for worker in 0..conc {
        let connection = connections[worker % connections.len()].clone();
        let calls = Calls::new(message, path, worker)?;
        let uri = connection.uri(path)?;
        all.spawn(one(connection, uri, calls, window));
    }
    let mut tally = Tally::default();
    while let Some(done) = all.join_next().await {
        tally.add(done.map_err(|e| e.to_string())?);
    }
    Ok(tally)
}

async fn one(connection: Connection, uri: http::Uri, mut calls: Calls, window: Window) -> Tally {
    let mut tally = Tally::default();
    let mut began = Instant::now();
    while began < window.to {
        let answer = connection.unary(&uri, calls.framed.clone()).await;
        let ended = Instant::now();
        match answer.and_then(|answer| calls.check(&answer)) {
            Ok(()) if ended >= window.from && ended < window.to => tally.times.push(ended - began),
            Ok(()) => {}
            Err(e) => {
                tally.failed(e);
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
        began = Instant::now();
    }
    tally
}
