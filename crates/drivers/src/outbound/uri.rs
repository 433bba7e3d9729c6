//! Paths and URLs: what may stand in a request line, and where a redirect leads.

use http::Uri;

/// Percent-encodes what can't stand in the path and query of a request: blanks, control characters, quotes, everything
/// beyond ASCII, and `#`. An escape that is there already stays.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!' | b'$'..=b';' | b'=' | b'?'..=b'Z' | b'[' | b']' | b'_' | b'a'..=b'z' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Where `location` leads from `base`, as RFC 3986 section 5.2 resolves references. `None` when that is no URL.
pub(crate) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let scheme = base.scheme_str()?;
    let authority = base.authority()?;
    let absolute = if has_scheme(location) {
        return location.parse().ok();
    } else if location.starts_with("//") {
        return format!("{scheme}:{location}").parse().ok();
    } else if location.starts_with('/') {
        without_dots(location)
    } else if location.is_empty() {
        base.path_and_query()?.to_string()
    } else if location.starts_with('?') {
        format!("{}{location}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        without_dots(&format!("{folder}/{location}"))
    };
    format!("{scheme}://{authority}{}", escape(&absolute))
        .parse()
        .ok()
}

fn has_scheme(location: &str) -> bool {
    let Some((scheme, _)) = location.split_once(':') else {
        return false;
    };
    let mut letters = scheme.bytes();
    letters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || b"+-.".contains(&letter))
}

/// Takes `.` and `..` out of an absolute path; nothing leads above its root.
fn without_dots(path_and_query: &str) -> String {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let mut parts: Vec<&str> = vec![];
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        parts.push("");
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{}{query}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_escape(text: &str, expected: &str) {
        assert_eq!(escape(text), expected);
    }

    #[track_caller]
    fn check_resolve(location: &str, expected: &str) {
        let base = Uri::from_static("http://host:1/a/b?q=1");
        let resolved = resolve(&base, location).map(|uri| uri.to_string());
        assert_eq!(resolved.as_deref(), Some(expected), "{location}");
    }

    #[test]
    fn only_what_cannot_stand_there_is_escaped() {
        check_escape("/a/b?x=1&y=%20,2", "/a/b?x=1&y=%20,2");
        check_escape("/a b", "/a%20b");
        check_escape("/ä#x", "/%C3%A4%23x");
        check_escape("/a\r\nHost: b", "/a%0D%0AHost:%20b");
    }

    #[test]
    fn every_byte_makes_a_path_that_can_be_parsed() {
        for byte in 0..=127_u8 {
            let path = format!("/{}", escape(&char::from(byte).to_string()));
            assert!(path.parse::<Uri>().is_ok(), "{path}");
        }
    }

    #[test]
    fn redirects_lead_where_the_standard_says() {
        check_resolve("http://other/x", "http://other/x");
        check_resolve("//other:2/x", "http://other:2/x");
        check_resolve("/x?y=1", "http://host:1/x?y=1");
        check_resolve("c", "http://host:1/a/c");
        check_resolve("../c", "http://host:1/c");
        check_resolve("../../../c", "http://host:1/c");
        check_resolve("./", "http://host:1/a/");
        check_resolve("?z=2", "http://host:1/a/b?z=2");
        check_resolve("", "http://host:1/a/b?q=1");
        check_resolve("/x#part", "http://host:1/x");
    }
}
