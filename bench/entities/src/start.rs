//! `ready` and `first`: how long a server takes until it answers.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Options;
use crate::grpc::Connection;
use crate::many::Call;

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(1);

pub fn ready(o: &Options) -> Result<(), String> {
    let admin = o.text("admin")?;
    crate::runtime().block_on(until("/ready", || ok(&admin, "/ready")))
}

pub fn first(o: &Options) -> Result<(), String> {
    let (admin, to): (String, String) = (o.text("admin")?, o.text("to")?);
    let since = UNIX_EPOCH + Duration::from_secs_f64(o.number("since", 0.0)?);
    let events = o.number("events", 1)?;
    let passed = || SystemTime::now().duration_since(since).unwrap_or_default();
    crate::runtime().block_on(async {
        until("/health", || ok(&admin, "/health")).await?;
        let healthy = passed();
        until("the first Get", || get(&to, events)).await?;
        println!(
            "/health after {:.3} s, the first Get after {:.3} s",
            healthy.as_secs_f64(),
            passed().as_secs_f64()
        );
        Ok(())
    })
}

/// The error is the last one.
async fn until<F>(what: &str, attempt: impl Fn() -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>>,
{
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(()) => return Ok(()),
            Err(e) if Instant::now() > end => return Err(format!("{what}: {e}")),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn get(to: &str, events: i64) -> Result<(), String> {
    Call::get(Connection::open(to).await?, 0, events)?.make().await
}

/// Whether a GET of HTTP/1.1 answers 200.
async fn ok(admin: &str, path: &str) -> Result<(), String> {
    let answer = async {
        let mut stream = TcpStream::connect(admin).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = vec![];
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = answer.await.map_err(|e| format!("{admin}: {e}"))?;
    let text = String::from_utf8_lossy(&answer);
    let good = text.starts_with("HTTP/1.1 200");
    good.then_some(()).ok_or_else(|| text.into_owned())
}
