//! The files of a descriptor set, repaired: what SDKs send is not always what a compiler would have sent (spec 5.3, 8.7).
//!
//! | found                                           | done                                                 |
//! |-------------------------------------------------|------------------------------------------------------|
//! | dependents before dependencies                  | sorted, dependencies first                           |
//! | the same file again                             | left out                                             |
//! | another file of the same name                   | refused                                              |
//! | an empty file                                   | left out                                             |
//! | an empty syntax                                 | left out: it is that of proto2                       |
//! | `google/protobuf/*`, or nothing where it is imported | our own copy is used                            |
//! | an import that differs from a file in its folder only | taken for that file, with a note               |
//! | an import of nothing in the set                 | left out, with a note: what defines options is often missing |
//! | files that import each other in a circle        | refused, with the chain                              |
//!
//! An import that was left out and is needed after all shows when descriptors are built: [`Files::missing_below`] tells the chain.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::{Bytes, BytesMut};
use prost::Message;
use prost_reflect::DescriptorPool;

/// prost-reflect follows chains of public imports by recursion.
const FILES_MAX: usize = 2048;

/// One file, as it is added to the pool.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) encoded: Bytes,
    /// Imports that are in the set or well known.
    imports: Vec<String>,
    missing: Vec<String>,
}

/// All files of a set, dependencies first.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) sorted: Vec<File>,
    /// What was repaired in a way people should know.
    pub(crate) notes: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    files: Vec<Bytes>,
}

/// The part of a `FileDescriptorProto` that names files, and its syntax.
#[derive(Clone, PartialEq, prost::Message)]
struct Head {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "3")]
    imports: Vec<String>,
    #[prost(int32, repeated, packed = "false", tag = "10")]
    public: Vec<i32>,
    #[prost(int32, repeated, packed = "false", tag = "11")]
    weak: Vec<i32>,
    #[prost(string, optional, tag = "12")]
    syntax: Option<String>,
}

impl Files {
    /// The error is what people are told.
    pub(crate) fn repair(set: &[u8], known: &DescriptorPool) -> Result<Self, String> {
        let raw =
            RawSet::decode(set).map_err(|error| format!("the descriptor set cannot be read: {error}"))?;
        let heads = distinct(raw.files, known)?;
        if heads.len() > FILES_MAX {
            return Err(format!("the descriptor set has more than {FILES_MAX} files"));
        }
        let mut notes = vec![];
        let names = Names {
            own: heads.keys().cloned().collect(),
            known,
        };
        let files = heads.into_values().map(|(head, encoded)| {
            let file = link(&head, encoded, &names, &mut notes);
            (head.name, file)
        });
        let files: BTreeMap<String, File> = files.collect();
        let sorted = sort(files)?;
        Ok(Self { sorted, notes })
    }

    /// Imports that were left out of a file or of what it imports, each with the chain that leads to it.
    pub(crate) fn missing_below(&self, name: &str) -> Vec<String> {
        let by_name: HashMap<&str, &File> = self
            .sorted
            .iter()
            .map(|file| (file.name.as_str(), file))
            .collect();
        let mut chains = vec![];
        let mut seen = HashSet::new();
        let mut open = vec![vec![name]];
        while let Some(chain) = open.pop() {
            let Some(file) = chain.last().and_then(|name| by_name.get(name)) else {
                continue;
            };
            for missing in &file.missing {
                chains.push(told(chain.iter().copied().chain([missing.as_str()])));
            }
            for import in file.imports.iter().filter(|import| seen.insert(import.as_str())) {
                let mut longer = chain.clone();
                longer.push(import);
                open.push(longer);
            }
        }
        chains
    }
}

fn told<'a>(chain: impl Iterator<Item = &'a str>) -> String {
    chain.collect::<Vec<_>>().join(" -> ")
}

/// Files by name, without empty ones, repetitions and those that are well known.
fn distinct(files: Vec<Bytes>, known: &DescriptorPool) -> Result<BTreeMap<String, (Head, Bytes)>, String> {
    let mut distinct: BTreeMap<String, (Head, Bytes)> = BTreeMap::new();
    for encoded in files.into_iter().filter(|encoded| !encoded.is_empty()) {
        let mut head = Head::decode(encoded.clone())
            .map_err(|error| format!("a file of the descriptor set cannot be read: {error}"))?;
        if head.name.is_empty() {
            return Err("a file of the descriptor set has no name".into());
        }
        if known.get_file_by_name(&head.name).is_some() {
            continue;
        }
        check_syntax(&head)?;
        let encoded = match head.syntax.take_if(|syntax| syntax.is_empty()) {
            Some(_) => without(&encoded, &[SYNTAX]).into(),
            None => encoded,
        };
        match distinct.get(&head.name) {
            Some((_, first)) if same(first, &encoded) => {}
            Some(_) => {
                let name = head.name;
                return Err(format!(
                    "{name} is in the descriptor set twice, with different content"
                ));
            }
            None => {
                distinct.insert(head.name.clone(), (head, encoded));
            }
        }
    }
    Ok(distinct)
}

/// Of a file.
const SYNTAX: u32 = 12;

/// prost-reflect panics at others.
fn check_syntax(head: &Head) -> Result<(), String> {
    let Head { name, syntax, .. } = head;
    match syntax.as_deref() {
        None | Some("" | "proto2" | "proto3") => Ok(()),
        Some(syntax) => Err(format!(
            "{name} has syntax {syntax:?}: only proto2 and proto3 are known"
        )),
    }
}

/// Comments and positions, the only thing that compilers leave out at will, do not count.
fn same(first: &Bytes, second: &Bytes) -> bool {
    const SOURCE_INFO: u32 = 9;
    first == second || without(first, &[SOURCE_INFO]) == without(second, &[SOURCE_INFO])
}

/// What a file can import.
struct Names<'k> {
    own: HashSet<String>,
    known: &'k DescriptorPool,
}

impl Names<'_> {
    fn find(&self, wanted: &str, importer: &str) -> Option<String> {
        if self.own.contains(wanted) || self.known.get_file_by_name(wanted).is_some() {
            return Some(wanted.to_owned());
        }
        let others = self.own.iter().filter(|name| *name != importer);
        let mut found =
            others.filter(|name| differ_in_folder(name, wanted) || differ_in_folder(wanted, name));
        match (found.next(), found.next()) {
            (Some(only), None) => Some(only.clone()),
            _ => None,
        }
    }
}

/// Whether the longer name is the shorter one with folders before it.
fn differ_in_folder(longer: &str, shorter: &str) -> bool {
    let folder = longer.strip_suffix(shorter);
    folder.is_some_and(|folder| folder.ends_with('/'))
}

/// A file whose imports are those that exist.
fn link(head: &Head, encoded: Bytes, names: &Names<'_>, notes: &mut Vec<String>) -> File {
    let (mut imports, mut missing) = (vec![], vec![]);
    let mut places = vec![];
    for wanted in &head.imports {
        let found = names.find(wanted, &head.name);
        match &found {
            Some(found) if found != wanted => {
                notes.push(format!("{} imports {wanted}: {found} is taken for it", head.name));
            }
            Some(_) => {}
            None => {
                notes.push(format!("{} imports {wanted}, which is not in the set", head.name));
                missing.push(wanted.clone());
            }
        }
        places.push(found.map(|found| place(&mut imports, found)));
    }
    let encoded = match imports == head.imports {
        true => encoded,
        false => relinked(head, &encoded, &imports, &places),
    };
    File {
        name: head.name.clone(),
        encoded,
        imports,
        missing,
    }
}

/// The index of an import in the list, which it joins when it is new.
fn place(imports: &mut Vec<String>, import: String) -> usize {
    imports
        .iter()
        .position(|known| *known == import)
        .unwrap_or_else(|| {
            imports.push(import);
            imports.len() - 1
        })
}

/// The file with other imports; all else, unknown fields included, stays as it is.
fn relinked(head: &Head, encoded: &Bytes, imports: &[String], places: &[Option<usize>]) -> Bytes {
    let moved = |index: &i32| {
        let place = places.get(usize::try_from(*index).ok()?)?;
        i32::try_from((*place)?).ok()
    };
    let replaced = Head {
        name: head.name.clone(),
        imports: imports.to_vec(),
        public: head.public.iter().filter_map(moved).collect(),
        weak: head.weak.iter().filter_map(moved).collect(),
        syntax: head.syntax.clone(),
    };
    let mut file = BytesMut::from(without(encoded, &[1, 3, 10, 11, SYNTAX]).as_slice());
    file.extend_from_slice(&replaced.encode_to_vec());
    file.freeze()
}

/// The message without some of its fields.
fn without(message: &[u8], numbers: &[u32]) -> Vec<u8> {
    use prost::encoding::{DecodeContext, decode_key, skip_field};
    let mut kept = vec![];
    let mut rest = message;
    while !rest.is_empty() {
        let field = rest;
        let Ok((number, wire_type)) = decode_key(&mut rest) else {
            break;
        };
        if skip_field(wire_type, number, &mut rest, DecodeContext::default()).is_err() {
            break;
        }
        if !numbers.contains(&number) {
            kept.extend_from_slice(&field[..field.len() - rest.len()]);
        }
    }
    kept
}

/// Dependencies first. Without recursion, as a set may be one long chain.
fn sort(mut files: BTreeMap<String, File>) -> Result<Vec<File>, String> {
    let mut sorted = vec![];
    while let Some(name) = files.keys().next().cloned() {
        let mut chain = vec![name];
        while let Some(name) = chain.last() {
            let waits_for = files
                .get(name)
                .and_then(|file| file.imports.iter().find(|import| files.contains_key(*import)));
            match waits_for {
                Some(import) if chain.contains(import) => {
                    let circle = chain.iter().skip_while(|name| *name != import);
                    let circle = told(circle.chain([import]).map(String::as_str));
                    return Err(format!("files import each other in a circle: {circle}"));
                }
                Some(import) => chain.push(import.clone()),
                None => {
                    sorted.extend(files.remove(name));
                    chain.pop();
                }
            }
        }
    }
    Ok(sorted)
}
