//! Many one-way calls, and what came of them: `/Counter/{prefix}{number}/add/send`, and the sum of all counters.

use crate::http::{Conn, Request};
use crate::{Opt, Res, expect, hostport, post};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Requests in flight.
const CLIENTS: u64 = 64;

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() as u64)
}

struct Many {
    ingress: String,
    prefix: String,
    keys: u64,
    count: u64,
    /// When they are due, milliseconds since the epoch; 0: at once.
    due: u64,
}

impl Many {
    fn of(o: &Opt) -> Many {
        Many {
            ingress: hostport(&o.s("ingress", "http://127.0.0.1:8080")),
            prefix: o.s("prefix", "m"),
            keys: o.n("keys", 1_000),
            count: o.n("count", 100_000),
            due: o.n("due", 0),
        }
    }

    async fn send(&self, c: &mut Conn, number: u64) -> Res<()> {
        let delay = match self.due {
            0 => String::new(),
            due => format!("?delay={}ms", due.saturating_sub(now_ms())),
        };
        let path = format!("/Counter/{}{}/add/send{delay}", self.prefix, number % self.keys);
        expect(post(c, &path, "", "1").await, 202, None)
    }

    async fn get(&self, c: &mut Conn, number: u64) -> Res<u64> {
        let path = format!("/Counter/{}{number}/get", self.prefix);
        let answer = post(c, &path, "", "").await.map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        text.parse().map_err(|_| format!("{} {text}", answer.status))
    }
}

/// Does `work` for every number below `count`, and adds up what it returns.
async fn all<F>(many: &Arc<Many>, count: u64, work: fn(Arc<Many>, Conn, u64) -> F) -> Res<u64>
where
    F: Future<Output = (Conn, Res<u64>)> + Send + 'static,
{
    let next = Arc::new(AtomicU64::new(0));
    let clients = (0..CLIENTS).map(|_| {
        let (many, next) = (many.clone(), next.clone());
        tokio::spawn(async move {
            let (mut conn, mut sum) = (Conn::new(&many.ingress), 0);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<u64, String>(sum);
                }
                let (back, done) = work(many.clone(), conn, number).await;
                conn = back;
                sum += done?;
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut sum = 0;
    for client in clients {
        sum += client.await.map_err(|e| e.to_string())??;
    }
    Ok(sum)
}

/// `loadgen send`: they are accepted.
pub async fn send(o: &Opt) -> Res<()> {
    let many = Arc::new(Many::of(o));
    let start = Instant::now();
    let sent = all(&many, many.count, |many, mut conn, number| async move {
        let sent = many.send(&mut conn, number).await.map(|()| 1);
        (conn, sent)
    });
    println!("sent {} in {:.2} s", sent.await?, start.elapsed().as_secs_f64());
    Ok(())
}

/// `loadgen wait`: until all are done, each once.
pub async fn wait(o: &Opt) -> Res<()> {
    let many = Arc::new(Many::of(o));
    let (start, since) = (Instant::now(), now_ms().max(many.due));
    tokio::time::sleep(Duration::from_millis(since - now_ms().min(since))).await;
    loop {
        let sum = all(&many, many.keys, |many, mut conn, number| async move {
            let value = many.get(&mut conn, number).await;
            (conn, value)
        });
        let sum = sum.await?;
        let seconds = (now_ms() - since) as f64 / 1e3;
        if sum == many.count {
            println!("all {sum} done after {seconds:.2} s");
            return Ok(());
        }
        if sum > many.count || start.elapsed() > Duration::from_secs(o.n("max-wait", 600)) {
            return Err(format!("{sum} of {} done after {seconds:.2} s", many.count));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// `loadgen first`: the first answer to a greeting, from now on.
pub async fn first(o: &Opt) -> Res<()> {
    let ingress = hostport(&o.s("ingress", "http://127.0.0.1:8080"));
    let start = Instant::now();
    loop {
        let mut conn = Conn::new(&ingress);
        let greeting = Request {
            method: "POST",
            path: "/Greeter/greet",
            headers: "",
            body: b"\"x\"",
        };
        if expect(conn.send(&greeting).await, 200, Some("\"Hello x\"")).is_ok() {
            println!("first answer after {:.3} s", start.elapsed().as_secs_f64());
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(60) {
            return Err("no answer in 60 s".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
