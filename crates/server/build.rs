//! Compiles the pages of the error codes in, for `belay explain`. A page that is missing fails a test of that command, not
//! the build: a new code and its page may come in two edits.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

#[allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&root).join("../../docs/errors");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut pages: Vec<_> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_stem()
                .is_some_and(|stem| stem.to_string_lossy().starts_with("BLY"))
        })
        .collect();
    pages.sort();
    let mut source = String::from("const PAGES: &[(&str, &str)] = &[\n");
    for page in pages {
        let id = page
            .file_stem()
            .expect("it was looked at above")
            .to_string_lossy();
        writeln!(
            source,
            "    ({id:?}, include_str!({:?})),",
            page.display().to_string()
        )
        .expect("a String takes it");
    }
    source.push_str("];\n");
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("error_pages.rs");
    fs::write(target, source).expect("cargo's folder can be written");
}
