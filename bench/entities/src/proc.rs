//! What a run cost, from /proc. Processes that cannot be read count as nothing.

use std::fs;
use std::time::Instant;

/// USER_HZ is 100 on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of CPU so far.
pub struct Reading {
    at: Instant,
    server: f64,
    others: f64,
    busy: f64,
}

pub struct Cost {
    /// Seconds.
    pub server: f64,
    /// Cores in use by neither the server, nor the others, nor this program.
    pub foreign: f64,
}

impl Reading {
    pub fn take(server: &[u32], others: &[u32]) -> Reading {
        Reading {
            at: Instant::now(),
            server: server.iter().filter_map(|pid| of(*pid)).sum(),
            others: others
                .iter()
                .chain([&std::process::id()])
                .filter_map(|pid| of(*pid))
                .sum(),
            busy: machine().unwrap_or_default(),
        }
    }

    pub fn until(&self, later: &Reading) -> Cost {
        let server = later.server - self.server;
        let known = server + later.others - self.others;
        let foreign = (later.busy - self.busy - known).max(0.0);
        Cost {
            server,
            foreign: foreign / later.at.duration_since(self.at).as_secs_f64(),
        }
    }
}

fn of(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the parenthesis may have spaces in it. Then user and system time are the fields 12 and 13.
    let (_, rest) = stat.rsplit_once(") ")?;
    let ticks = rest.split(' ').skip(11).take(2);
    Some(ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND)
}

/// Everything but idle and waiting for disks.
fn machine() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields = stat.lines().next()?.split_whitespace().skip(1);
    let ticks: Vec<f64> = fields.filter_map(|t| t.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|i| ticks.get(*i));
    Some(busy.sum::<f64>() / TICKS_PER_SECOND)
}
