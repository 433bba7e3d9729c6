//! Load for user functions' entities and actions, a user function of its own, and the bare hop to hold the front door against.
//!
//!   entities function --listen A          event sourced bench.Counters, dialect N
//!   entities echo --listen A              answers any unary call with the request, bare tonic, a runtime per core
//!   entities hop --listen A --to B        forwards any unary call, bare tonic on both sides, a runtime per core
//!   entities load --to A --message KIND   closed loop; one row
//!       KIND is cart, counter, number, direct-number (past the proxy, to the function itself) or bytes in hex, without prefix
//!       --path /pkg.S/M  another method than the kind's own: its answer must be the request (hex: is not looked at)
//!       --conc 64  --conns 8  --secs 5  --warm 1  --name KIND
//!       --pid P+Q..  of the server, for its CPU; --others P+Q..  what else is no foreigner
//!   entities fill --to A --entities N --events E     counters counter-0 to counter-N-1; --conc 256  --conns 8
//!   entities activate --to A --entities N --rate R   open loop: Get once on each, timed from when it was due; --events E is
//!                                                    the sum that each must have; --conns 8  --pid  --others
//!   entities ready --admin A              until /ready answers 200, one minute at most
//!   entities first --admin A --to B --since SECONDS --events E     from that Unix time to /health and to the first Get

mod bare;
mod function;
mod grpc;
mod load;
mod many;
mod message;
mod proc;
mod start;

use std::collections::HashMap;
use std::str::FromStr;

fn main() {
    if let Err(e) = command() {
        eprintln!("entities: {e}");
        std::process::exit(1);
    }
}

fn command() -> Result<(), String> {
    let o = Options::parse()?;
    match o.command.as_str() {
        "function" => function::serve(&o.text("listen")?),
        "echo" => bare::serve(&o.text("listen")?, None),
        "hop" => bare::serve(&o.text("listen")?, Some(o.text("to")?)),
        "load" => load::run(&o),
        "fill" => many::fill(&o),
        "activate" => many::activate(&o),
        "ready" => start::ready(&o),
        "first" => start::first(&o),
        c => Err(format!("no command {c:?}; the head of src/main.rs lists them")),
    }
}

struct Options {
    command: String,
    values: HashMap<String, String>,
}

impl Options {
    fn parse() -> Result<Options, String> {
        let mut arguments = std::env::args().skip(1);
        let command = arguments.next().unwrap_or_default();
        let mut values = HashMap::new();
        while let Some(name) = arguments.next() {
            let Some(name) = name.strip_prefix("--") else {
                return Err(format!("expected an option, not {name:?}"));
            };
            let value = arguments.next().ok_or(format!("--{name} needs a value"))?;
            values.insert(name.to_owned(), value);
        }
        Ok(Options { command, values })
    }

    fn text(&self, name: &str) -> Result<String, String> {
        let value = self.values.get(name);
        Ok(value.ok_or(format!("--{name} is missing"))?.clone())
    }

    fn number<T: FromStr>(&self, name: &str, otherwise: T) -> Result<T, String> {
        match self.values.get(name) {
            Some(text) => text.parse().map_err(|_| format!("--{name} {text}: not a number")),
            None => Ok(otherwise),
        }
    }

    fn pids(&self, name: &str) -> Result<Vec<u32>, String> {
        let all = self.values.get(name).map(String::as_str).unwrap_or_default();
        let pids = all.split('+').filter(|pid| !pid.is_empty());
        pids.map(|pid| pid.parse().map_err(|_| format!("--{name} {pid}: not a process")))
            .collect()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
}
