//! What one stream watches already, so that requests which overlap do not report a change twice.

use std::collections::{HashMap, HashSet};

use ports::config::{Filter, Scope};

/// Keys by store and scope. Scopes that hold each other (`*` and one group) count as strangers.
#[derive(Default)]
pub(super) struct Coverage(HashMap<(String, Scope), Keys>);

enum Keys {
    All,
    Some(HashSet<String>),
}

/// What a request adds to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Addition {
    /// Keys to watch; none at all means every key.
    pub keys: Vec<String>,
    /// Keys that are watched already, and must be left out of what comes in.
    pub except: HashSet<String>,
}

impl Coverage {
    /// `None` when everything asked for is watched already.
    pub(super) fn add(&mut self, store_name: &str, scope: &Scope, keys: Vec<String>) -> Option<Addition> {
        let place = (store_name.to_owned(), scope.clone());
        let covered = self.0.entry(place).or_insert_with(|| Keys::Some(HashSet::new()));
        let Keys::Some(known) = covered else {
            return None;
        };
        if keys.is_empty() || keys.iter().any(|key| key == Filter::ANY) {
            let except = std::mem::take(known);
            *covered = Keys::All;
            return Some(Addition { keys: vec![], except });
        }
        let keys: Vec<String> = keys.into_iter().filter(|key| known.insert(key.clone())).collect();
        (!keys.is_empty()).then_some(Addition {
            keys,
            except: HashSet::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys to watch, and keys to leave out, after each request.
    type Step = Option<(&'static [&'static str], &'static [&'static str])>;

    #[track_caller]
    fn check(requests: &[(&str, &[&str])], expected: &[Step]) {
        let mut coverage = Coverage::default();
        let set = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        for ((group, keys), expected) in requests.iter().zip(expected) {
            let scope = Scope {
                app: "app".into(),
                group: (*group).into(),
                label: String::new(),
            };
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            let expected = expected.map(|(keys, except)| Addition {
                keys: keys.iter().map(|key| (*key).to_owned()).collect(),
                except: set(except),
            });
            assert_eq!(coverage.add("store", &scope, keys), expected);
        }
    }

    #[test]
    fn a_key_is_watched_once() {
        check(
            &[("g", &["a", "b"]), ("g", &["b", "c", "c"]), ("g", &["a"])],
            &[Some((&["a", "b"], &[])), Some((&["c"], &[])), None],
        );
    }

    #[test]
    fn all_keys_leave_out_the_ones_watched_before() {
        check(
            &[("g", &["a"]), ("g", &[]), ("g", &["b"]), ("g", &["*"])],
            &[Some((&["a"], &[])), Some((&[], &["a"])), None, None],
        );
        check(&[("g", &["a", "*"])], &[Some((&[], &[]))]);
    }

    #[test]
    fn another_group_is_another_matter() {
        check(
            &[("g", &["a"]), ("h", &["a"])],
            &[Some((&["a"], &[])), Some((&["a"], &[]))],
        );
    }
}
