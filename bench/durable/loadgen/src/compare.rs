//! Two servers' runs side by side: `loadgen compare NAME=FILE NAME=FILE`, files as `--json` writes them. The second is divided by
//! the first.

use std::collections::BTreeMap;

use serde_json::Value;

type Runs = BTreeMap<(String, usize, String), Vec<Value>>;

struct Server {
    name: String,
    runs: Runs,
}

pub fn print(arguments: &[String]) -> Result<(), String> {
    let servers = arguments.iter().map(|argument| read(argument));
    let servers = servers.collect::<Result<Vec<_>, _>>()?;
    let [first, second] = &servers[..] else {
        return Err("compare NAME=FILE NAME=FILE".into());
    };
    println!(
        "| scenario | load | server | req/s | range | p50 ms | p99 ms | server CPU s/10k | RSS MiB | disk B/req | foreign cores | errors |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for case in first.runs.keys() {
        for server in &servers {
            if let Some(runs) = server.runs.get(case) {
                println!("{}", row(case, &server.name, runs));
            }
        }
    }
    println!("\n| {} / {} | load | req/s | p50 | p99 | server CPU |", second.name, first.name);
    println!("|---|---|---|---|---|---|");
    for (case, runs) in &first.runs {
        let Some(others) = second.runs.get(case) else { continue };
        let ratio = |field: &str| median(others, field) / median(runs, field);
        let columns = ["rps", "p50_ms", "p99_ms", "server_cpu_s_per_10k"].map(|field| format!("{:.3}", ratio(field)));
        println!("| {} | {} | {} |", case.0, case.2, columns.join(" | "));
    }
    Ok(())
}

fn read(argument: &str) -> Result<Server, String> {
    let (name, file) = argument.split_once('=').ok_or_else(|| format!("{argument} is not NAME=FILE"))?;
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let mut runs = Runs::new();
    for line in text.lines() {
        let run: Value = serde_json::from_str(line).map_err(|error| format!("{file}: {error}"))?;
        let text = |field: &str| run[field].as_str().unwrap_or_default().to_owned();
        let load = text("load");
        let clients = load.trim_start_matches("c=").parse().unwrap_or(0);
        runs.entry((text("scenario"), clients, load)).or_default().push(run);
    }
    Ok(Server {
        name: name.to_owned(),
        runs,
    })
}

fn row((scenario, _, load): &(String, usize, String), server: &str, runs: &[Value]) -> String {
    let rates = sorted(runs, "rps");
    let errors: f64 = sorted(runs, "errors").iter().sum();
    format!(
        "| {scenario} | {load} | {server} | {:.0} | {:.0} to {:.0} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {:.2} | {errors} |",
        median(runs, "rps"),
        rates.first().unwrap_or(&f64::NAN),
        rates.last().unwrap_or(&f64::NAN),
        median(runs, "p50_ms"),
        median(runs, "p99_ms"),
        median(runs, "server_cpu_s_per_10k"),
        median(runs, "server_rss_mib"),
        median(runs, "disk_bytes_per_request"),
        median(runs, "foreign_cores"),
    )
}

fn sorted(runs: &[Value], field: &str) -> Vec<f64> {
    let mut all: Vec<f64> = runs.iter().filter_map(|run| run[field].as_f64()).collect();
    all.sort_by(f64::total_cmp);
    all
}

fn median(runs: &[Value], field: &str) -> f64 {
    let all = sorted(runs, field);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
