//! Belay: one program beside an application that holds what must not fall.

use std::io::Write;
use std::process::ExitCode;

use base::Result;
use belay::config::Loaded;
use belay::{cli, compose};

/// Measured: steady commits gain 40 %, their worst pauses halve (`docs/adr/002-embedded-engine.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages: an idle Belay would hold twice the memory. Where that cannot be, it does.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    cli::run(std::env::args_os(), serve).into()
}

fn serve(loaded: Loaded) -> Result<()> {
    let (dev, shown) = (loaded.dev, loaded.config.clone());
    compose::run(loaded.config, drivers::all(), move |endpoints| {
        // Whoever started it may have closed the output; serving goes on.
        drop(std::io::stdout().write_all(cli::welcome(dev, endpoints, &shown).as_bytes()));
    })
}
