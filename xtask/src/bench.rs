//! `cargo xtask bench`: starts the measurements that live in `bench/`.

use anyhow::{Context, Result};

use crate::{command, workspace};

struct Bench {
    name: &'static str,
    about: &'static str,
    /// The first one that exists is run, from the workspace's root.
    scripts: &'static [&'static str],
}

/// Everything that can be measured.
const BENCHES: &[Bench] = &[Bench {
    name: "blocks",
    about: "building-block calls of this Belay, beside the bare limits of the machine",
    scripts: &["bench/belay.sh", "bench/blocks/run.sh"],
}];

/// Runs one by name, with the arguments for its script; lists all when no name is given.
pub fn run(name: Option<&str>, arguments: &[String]) -> Result<()> {
    let Some(name) = name else {
        for bench in BENCHES {
            println!("{:10} {}", bench.name, bench.about);
        }
        return Ok(());
    };
    let script = find(name)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    command::run(&mut command::program(script, &arguments))
}

fn find(name: &str) -> Result<&'static str> {
    let bench = BENCHES
        .iter()
        .find(|bench| bench.name == name)
        .with_context(|| format!("no bench is called {name}, `cargo xtask bench` lists them"))?;
    let root = workspace::root();
    let mut scripts = bench.scripts.iter().copied();
    scripts
        .find(|script| root.join(script).is_file())
        .with_context(|| {
            format!(
                "bench {name} has no script, expected {}",
                bench.scripts.join(" or ")
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bench_has_a_script() {
        for bench in BENCHES {
            find(bench.name).expect("its script is committed");
        }
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let error = find("speed").expect_err("there is none");
        assert!(error.to_string().contains("no bench is called speed"), "{error}");
    }
}
