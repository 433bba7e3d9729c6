//! Rules for Rust files: their length, their functions' lengths, and what must not be written.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;
use super::tree::Tree;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Modules that turn our errors into gRPC statuses: `error.rs` and `status.rs`, and folders of these names.
const MAPPING_MODULES: &[&str] = &["error", "status"];
/// Folders and files that play the other side of the wire, whose answers are statuses of their own making.
const OTHER_SIDE: &[&str] = &["tests", "bench"];

/// Functions of `tonic::Status` that make one.
const STATUS_CONSTRUCTORS: &[&str] = &[
    "new",
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
    "from_error",
    "with_details",
    "with_details_and_metadata",
    "with_metadata",
];

/// Findings in every Rust file that people write. The load programs are workspaces of their own whose figures are compared
/// over years: they are left as they were when those were taken.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.texts(".rs")
        .filter(|(path, _)| !path.contains("/gen/") && !path.starts_with("bench/"))
        .flat_map(|(path, text)| check_file(path, text))
        .collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = file_length(path, text).into_iter().collect();
    let parsed = text
        .parse::<TokenStream>()
        .map_err(syn::Error::from)
        .and_then(|tokens| Ok((syn::parse2::<syn::File>(tokens.clone())?, tokens)));
    match parsed {
        Ok((syntax, tokens)) => {
            findings.extend(function_lengths(path, &syntax));
            findings.extend(forbidden_tokens(path, tokens));
        }
        Err(error) => {
            let line = error.span().start().line;
            findings.push(Finding::new(
                path,
                line,
                format!("does not parse, fix it first: {error}"),
            ));
        }
    }
    findings
}

fn file_length(path: &str, text: &str) -> Option<Finding> {
    let count = text.lines().count();
    let message = format!("{count} lines, more than {FILE_LINES_MAX}: split it by what changes together");
    (count > FILE_LINES_MAX).then(|| Finding::new(path, FILE_LINES_MAX, message))
}

fn function_lengths(path: &str, syntax: &syn::File) -> Vec<Finding> {
    let mut functions = Functions {
        path,
        findings: Vec::new(),
    };
    functions.visit_file(syntax);
    functions.findings
}

fn forbidden_tokens(path: &str, tokens: TokenStream) -> Vec<Finding> {
    let mut scan = Tokens {
        path,
        may_make_statuses: may_make_statuses(path),
        findings: Vec::new(),
    };
    scan.check(tokens);
    scan.findings
}

/// Finds functions that are too long.
struct Functions<'a> {
    path: &'a str,
    findings: Vec<Finding>,
}

impl Functions<'_> {
    /// Counts from the line of `fn` and its qualifiers to the closing brace; documentation is free.
    fn check(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let first = signature.span().start().line;
        let count = body.span().end().line - first + 1;
        if count > FUNCTION_LINES_MAX {
            let message = format!(
                "function {} has {count} lines, more than {FUNCTION_LINES_MAX}: move straight work to helpers",
                signature.ident
            );
            self.findings.push(Finding::new(self.path, first, message));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.check(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.check(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.check(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// Finds what must not be written. Looks at tokens and not at syntax, because much code stands in macros' arguments.
struct Tokens<'a> {
    path: &'a str,
    may_make_statuses: bool,
    findings: Vec<Finding>,
}

impl Tokens<'_> {
    fn check(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (index, token) in tokens.iter().enumerate() {
            if let Some(message) = self.forbidden(&tokens[index..]) {
                let line = token.span().start().line;
                self.findings.push(Finding::new(self.path, line, message));
            }
            if let TokenTree::Group(group) = token {
                self.check_group(group, &tokens[..index]);
            }
        }
    }

    /// Tests play the other side of the wire, so theirs are the statuses they like.
    fn check_group(&mut self, group: &Group, before: &[TokenTree]) {
        let outside = self.may_make_statuses;
        self.may_make_statuses |= opens_test_module(before);
        self.check(group.stream());
        self.may_make_statuses = outside;
    }

    /// What is wrong with the first of these tokens, seen with those that follow.
    fn forbidden(&self, tokens: &[TokenTree]) -> Option<&'static str> {
        if is_unfinished(tokens) {
            return Some("unfinished code, finish it or return an error of kind Unimplemented");
        }
        if ignores_test(tokens) {
            return Some("an ignored test checks nothing, run it behind BELAY_LONG or delete it");
        }
        if makes_status(tokens) && !self.may_make_statuses {
            return Some(
                "gRPC status outside the error and status modules, return a base::Error and map it there",
            );
        }
        None
    }
}

/// Whether these tokens start with `todo!(..)` or `unimplemented!(..)`.
fn is_unfinished(tokens: &[TokenTree]) -> bool {
    match tokens {
        [
            TokenTree::Ident(name),
            TokenTree::Punct(bang),
            TokenTree::Group(_),
            ..,
        ] => bang.as_char() == '!' && (name == "todo" || name == "unimplemented"),
        _ => false,
    }
}

/// Whether these tokens start with `#[ignore]`, `#[ignore = ".."]` or `#[cfg_attr(.., ignore)]`.
fn ignores_test(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = tokens else {
        return false;
    };
    let is_ignore = |token: &TokenTree| matches!(token, TokenTree::Ident(name) if name == "ignore");
    let inner: Vec<TokenTree> = attribute.stream().into_iter().collect();
    let ignores = match inner.as_slice() {
        [TokenTree::Ident(name), TokenTree::Group(rest)] if name == "cfg_attr" => {
            rest.stream().into_iter().any(|token| is_ignore(&token))
        }
        [first, ..] => is_ignore(first),
        [] => false,
    };
    hash.as_char() == '#' && attribute.delimiter() == Delimiter::Bracket && ignores
}

/// Whether these tokens start with `Status::` and a constructor of tonic's.
fn makes_status(tokens: &[TokenTree]) -> bool {
    match tokens {
        [
            TokenTree::Ident(status),
            TokenTree::Punct(colon),
            TokenTree::Punct(_),
            TokenTree::Ident(function),
            ..,
        ] => status == "Status" && colon.as_char() == ':' && is_constructor(function),
        _ => false,
    }
}

fn is_constructor(function: &Ident) -> bool {
    STATUS_CONSTRUCTORS.iter().any(|name| function == name)
}

/// Whether these tokens end with `#[cfg(test)] mod name`.
fn opens_test_module(tokens: &[TokenTree]) -> bool {
    match tokens {
        [
            ..,
            TokenTree::Group(attribute),
            TokenTree::Ident(keyword),
            TokenTree::Ident(_),
        ] => keyword == "mod" && attribute.stream().to_string().replace(' ', "") == "cfg(test)",
        _ => false,
    }
}

fn may_make_statuses(path: &str) -> bool {
    path.split('/')
        .map(|part| part.strip_suffix(".rs").unwrap_or(part))
        .any(|part| MAPPING_MODULES.contains(&part) || OTHER_SIDE.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines and messages of the findings in one file.
    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        check(&Tree::of(&[(path, text)]))
            .into_iter()
            .map(|finding| (finding.line, finding.message))
            .collect()
    }

    fn check_found(text: &str, line: usize, message: &str) {
        let findings = found("crates/a/src/a.rs", text);
        assert_eq!(findings.len(), 1, "{text}: {findings:?}");
        assert_eq!(findings[0].0, line, "{text}: {findings:?}");
        assert!(findings[0].1.contains(message), "{text}: {findings:?}");
    }

    fn check_fine(text: &str) {
        let findings = found("crates/a/src/a.rs", text);
        assert!(findings.is_empty(), "{text}: {findings:?}");
    }

    /// A function of that many lines, with documentation before it.
    fn function(count: usize) -> String {
        format!(
            "/// Documentation\n/// is free.\nfn long() {{\n{}}}\n",
            "    step();\n".repeat(count - 2)
        )
    }

    #[test]
    fn a_file_of_601_lines_is_too_long() {
        check_fine(&"//\n".repeat(600));
        check_found(&"//\n".repeat(601), 600, "601 lines");
    }

    #[test]
    fn a_function_of_71_lines_is_too_long() {
        check_fine(&function(70));
        check_found(&function(71), 3, "function long has 71 lines");
    }

    #[test]
    fn methods_and_default_methods_are_functions_too() {
        check_found(&format!("impl A {{\n{}}}\n", function(71)), 4, "function long");
        check_found(&format!("trait A {{\n{}}}\n", function(71)), 4, "function long");
        check_found(&format!("mod a {{\n{}}}\n", function(71)), 4, "function long");
    }

    #[test]
    fn statuses_are_not_made_outside_the_mapping_files() {
        let text = "fn a() {\n    Err(tonic::Status::not_found(\"x\"))\n}\n";
        check_found(text, 2, "gRPC status");
        check_found("fn a() { b.map_err(Status::from_error) }\n", 1, "gRPC status");
        for path in [
            "crates/a/src/error.rs",
            "crates/a/src/error/state.rs",
            "crates/a/src/status.rs",
            "crates/a/src/gen/a.rs",
            "tests/app.rs",
        ] {
            assert!(found(path, text).is_empty(), "{path}");
        }
    }

    #[test]
    fn tests_may_make_statuses() {
        let text = "fn a() { Status::ok(\"\") }\n";
        check_fine(&format!("#[cfg(test)]\nmod tests {{ {text} }}\n"));
        check_found(
            &format!("#[cfg(test)]\nmod tests {{ }}\n{text}"),
            3,
            "gRPC status",
        );
        check_found(
            &format!("#[cfg(unix)]\nmod unix {{ {text} }}\n"),
            2,
            "gRPC status",
        );
        assert!(found("crates/a/src/a/tests.rs", text).is_empty());
    }

    #[test]
    fn statuses_in_macros_are_seen() {
        check_found(
            "fn a() { vec![1, {\n Status::internal(\"x\") }] }\n",
            2,
            "gRPC status",
        );
    }

    #[test]
    fn other_statuses_are_fine() {
        check_fine("fn a() -> Status { unlock_response::Status::Success }\n");
        check_fine("fn a(status: &tonic::Status) { status.code(); StatusCode::new(); }\n");
    }

    #[test]
    fn ignored_tests_are_found() {
        check_found("#[test]\n#[ignore]\nfn a() {}\n", 2, "ignored test");
        check_found("#[test]\n#[ignore = \"slow\"]\nfn a() {}\n", 2, "ignored test");
        check_found("#[cfg_attr(unix, ignore)]\nfn a() {}\n", 1, "ignored test");
        check_fine("#[serde(skip)]\nstruct A { ignore: [u8; 1] }\n");
    }

    #[test]
    fn unfinished_code_is_found() {
        check_found("fn a() { todo!() }\n", 1, "unfinished");
        check_found(
            "fn a() {\n assert!(b(unimplemented!(\"x\")));\n}\n",
            2,
            "unfinished",
        );
        check_fine("fn a() { todo != b; \"todo!()\"; } // todo!()\n");
    }

    #[test]
    fn a_file_that_does_not_parse_is_found() {
        check_found("fn a() {\n    let = 1;\n}\n", 2, "does not parse");
    }
}
