//! `cargo xtask codegen`: `proto/<family>` becomes `crates/wire/src/gen/<family>`.
//!
//! Each family gets one file per protobuf package, a `mod.rs` that nests them as the packages nest, and its descriptors
//! for gRPC reflection. The compiler is protox, so that no machine needs protoc.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use prost_build::{Config, Module};

use crate::workspace;

/// Every protocol family: the name of its folder under `proto/` and of its module in `wire`.
pub const FAMILIES: &[&str] = &["layotto", "atomix", "restate", "cloudstate"];

const GENERATED: &str = "crates/wire/src/gen";

/// Files by their path from the workspace's root.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Writes what the protos say and removes what they no longer say.
pub fn write() -> Result<()> {
    let root = workspace::root();
    let wanted = generate(&root)?;
    for path in stale(&committed(&root)?, &wanted) {
        let file = root.join(&path);
        match wanted.get(&path) {
            None => fs::remove_file(&file).with_context(|| format!("remove {}", path.display()))?,
            Some(content) => workspace::write(&file, content)?,
        }
    }
    Ok(())
}

/// Fails when the committed files are not what the protos say.
pub fn check() -> Result<()> {
    let root = workspace::root();
    let stale = stale(&committed(&root)?, &generate(&root)?);
    if stale.is_empty() {
        return Ok(());
    }
    let list: String = stale
        .iter()
        .map(|path| format!("\n  {}", path.display()))
        .collect();
    bail!("generated code differs from proto/, run `cargo xtask codegen`:{list}");
}

/// Paths that are missing, different or left over.
fn stale(committed: &Files, wanted: &Files) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = committed.keys().chain(wanted.keys()).cloned().collect();
    paths.sort();
    paths.dedup();
    paths.retain(|path| committed.get(path) != wanted.get(path));
    paths
}

fn committed(root: &Path) -> Result<Files> {
    workspace::files_below(&root.join(GENERATED))?
        .into_iter()
        .map(|path| {
            let content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            Ok((path.strip_prefix(root)?.to_owned(), content))
        })
        .collect()
}

fn generate(root: &Path) -> Result<Files> {
    let mut files = Files::new();
    for family in FAMILIES {
        let folder = Path::new(GENERATED).join(family);
        let generated = generate_family(&root.join("proto").join(family))
            .with_context(|| format!("generate code of family {family}"))?;
        files.extend(
            generated
                .into_iter()
                .map(|(name, content)| (folder.join(name), content)),
        );
    }
    Ok(files)
}

/// Compiles every .proto below a folder; the result is by file name.
fn generate_family(protos: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut sources = workspace::files_below(protos)?;
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    if sources.is_empty() {
        bail!("no .proto file below {}", protos.display());
    }
    let mut compiler = protox::Compiler::new([protos])?;
    compiler.include_imports(true).open_files(&sources)?;
    let descriptors = compiler.include_source_info(false).encode_file_descriptor_set();

    let described = compiler.include_source_info(true).file_descriptor_set();
    let modules = described
        .file
        .into_iter()
        .map(|file| (Module::from_protobuf_package_name(file.package()), file))
        .collect();
    let generated = config().generate(modules)?;

    let mut files = BTreeMap::from([("descriptors.bin".to_owned(), descriptors)]);
    files.insert("mod.rs".to_owned(), module_tree(generated.keys()).into_bytes());
    for (module, code) in generated {
        files.insert(file_name(&module), code.into_bytes());
    }
    Ok(files)
}

fn config() -> Config {
    // Without a constructor called `connect`: families have methods of that name.
    let services = tonic_prost_build::configure()
        .build_transport(false)
        .service_generator();
    let mut config = Config::new();
    // A payload shares the buffer that it was received in.
    config.bytes(["."]).service_generator(services);
    config
}

fn file_name(module: &Module) -> String {
    module.to_file_name_or("root")
}

/// Nested `pub mod` blocks which include each package's file: generated code names other packages by `super::`.
fn module_tree<'a>(modules: impl Iterator<Item = &'a Module>) -> String {
    let mut modules: Vec<&Module> = modules.collect();
    modules.sort();
    let mut text = "// Made by `cargo xtask codegen`.\n".to_owned();
    let mut open: Vec<&str> = Vec::new();
    for module in modules {
        let parts: Vec<&str> = module.parts().collect();
        let shared = open.iter().zip(&parts).take_while(|(a, b)| a == b).count();
        close_to(shared, &mut open, &mut text);
        for part in &parts[shared..] {
            text.push_str(&format!("{}pub mod {part} {{\n", indent(open.len())));
            open.push(part);
        }
        text.push_str(&format!(
            "{}include!({:?});\n",
            indent(open.len()),
            file_name(module)
        ));
    }
    close_to(0, &mut open, &mut text);
    text
}

fn close_to(depth: usize, open: &mut Vec<&str>, text: &mut String) {
    while open.len() > depth {
        open.pop();
        text.push_str(&format!("{}}}\n", indent(open.len())));
    }
}

fn indent(depth: usize) -> String {
    "    ".repeat(depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_code_is_what_the_protos_say() {
        check().expect("run `cargo xtask codegen`");
    }

    #[test]
    fn missing_changed_and_left_over_files_are_stale() {
        let files = |list: &[(&str, &str)]| -> Files {
            list.iter()
                .map(|(path, text)| (path.into(), text.as_bytes().to_vec()))
                .collect()
        };
        let committed = files(&[("changed", "1"), ("left over", "2"), ("same", "3")]);
        let wanted = files(&[("changed", "4"), ("missing", "5"), ("same", "3")]);
        let expected = ["changed", "left over", "missing"].map(PathBuf::from);
        assert_eq!(stale(&committed, &wanted), expected);
    }

    #[test]
    fn packages_nest_as_their_names_do() {
        let modules = ["a.b", "a", "c"].map(Module::from_protobuf_package_name);
        let expected = "// Made by `cargo xtask codegen`.\n\
            pub mod a {\n    include!(\"a.rs\");\n    pub mod b {\n        include!(\"a.b.rs\");\n    }\n}\n\
            pub mod c {\n    include!(\"c.rs\");\n}\n";
        assert_eq!(module_tree(modules.iter()), expected);
    }
}
