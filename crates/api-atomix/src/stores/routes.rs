//! Which store a primitive belongs to (spec 1.7). What a rule names is asked in this order: the name, the tags, the type. At each
//! question, if some rules name what the primitive has, only those are left; else those that name nothing. Of what is left the
//! first one counts, unless a later one has more tags.

use base::{Error, Result, codes};
use bytes::Bytes;
use machines::primitive::Type;
use serde_json::Value;

use super::StoreId;

/// The only version of a type there is.
const VERSION: &str = "v1";
/// Stands for every name.
const ANY: &str = "*";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) store: StoreId,
    /// None: everything.
    pub(crate) rules: Vec<Rule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Empty: every type.
    pub(crate) primitive: String,
    pub(crate) version: String,
    pub(crate) names: Vec<String>,
    pub(crate) tags: Vec<String>,
    /// JSON text for whoever creates the primitive, or empty.
    pub(crate) config: Bytes,
}

/// The store, and its configuration for the primitive.
pub(crate) fn choose<'a>(
    routes: &'a [Route],
    primitive: Type,
    name: &str,
    tags: &[String],
) -> Option<(&'a StoreId, Option<&'a Bytes>)> {
    let everything = &EVERYTHING;
    let rules = routes.iter().flat_map(|route| {
        let rules = match route.rules.is_empty() {
            true => std::slice::from_ref(everything),
            false => &route.rules[..],
        };
        rules.iter().map(move |rule| (&route.store, rule))
    });
    let mut left: Vec<(&StoreId, &Rule)> = rules.collect();
    narrow(
        &mut left,
        |rule| rule.names.iter().any(|own| own == name),
        |rule| rule.names.iter().all(|own| own == ANY),
    );
    narrow(
        &mut left,
        |rule| !rule.tags.is_empty() && rule.tags.iter().all(|tag| tags.contains(tag)),
        |rule| rule.tags.is_empty(),
    );
    narrow(
        &mut left,
        |rule| rule.is_for(primitive),
        |rule| rule.primitive.is_empty(),
    );
    let first = left
        .into_iter()
        .reduce(|best, next| match next.1.tags.len() > best.1.tags.len() {
            true => next,
            false => best,
        });
    first.map(|(store, rule)| (store, Some(&rule.config).filter(|config| !config.is_empty())))
}

static EVERYTHING: Rule = Rule {
    primitive: String::new(),
    version: String::new(),
    names: vec![],
    tags: vec![],
    config: Bytes::new(),
};

fn narrow(
    left: &mut Vec<(&StoreId, &Rule)>,
    names: impl Fn(&Rule) -> bool,
    leaves_open: impl Fn(&Rule) -> bool,
) {
    if left.iter().any(|(_, rule)| names(rule)) {
        left.retain(|(_, rule)| names(rule));
    } else {
        left.retain(|(_, rule)| leaves_open(rule));
    }
}

impl Rule {
    fn is_for(&self, primitive: Type) -> bool {
        self.primitive == primitive.name() && (self.version.is_empty() || self.version == VERSION)
    }
}

/// How a client may cache a primitive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cache {
    pub(crate) enabled: bool,
    /// Entries; 0: all of them.
    pub(crate) size: u64,
}

impl Cache {
    /// From a rule's configuration: `{"cache": {"enabled": true, "size": 100}}`, the size as number or text.
    ///
    /// Errors: `ROUTE_CONFIG_INVALID`.
    pub(crate) fn parse(config: &Bytes) -> Result<Option<Cache>> {
        let invalid = |why: String| {
            let message = format!("a route's configuration cannot be read: {why}");
            Error::new(codes::ROUTE_CONFIG_INVALID, message)
        };
        let config: Value = serde_json::from_slice(config).map_err(|cause| invalid(cause.to_string()))?;
        if config.is_null() {
            return Ok(None);
        }
        let config = config
            .as_object()
            .ok_or_else(|| invalid("it is no object".into()))?;
        let mut cache = None;
        for (key, value) in config {
            match (key.as_str(), value) {
                ("cache", Value::Null) => {}
                ("cache", Value::Object(own)) => cache = Some(Cache::members(own).map_err(invalid)?),
                ("cache", _) => return Err(invalid("cache is no object".into())),
                _ => return Err(invalid(format!("{key} is unknown"))),
            }
        }
        Ok(cache)
    }

    fn members(own: &serde_json::Map<String, Value>) -> Result<Cache, String> {
        let mut cache = Cache::default();
        for (key, value) in own {
            match (key.as_str(), value) {
                ("enabled" | "size", Value::Null) => {}
                ("enabled", Value::Bool(enabled)) => cache.enabled = *enabled,
                ("size", Value::Number(size)) => {
                    cache.size = size.as_u64().ok_or("cache.size is not a whole number")?;
                }
                ("size", Value::String(size)) => {
                    cache.size = size.parse().map_err(|_| "cache.size is not a whole number")?;
                }
                ("enabled" | "size", _) => return Err(format!("cache.{key} has another type")),
                _ => return Err(format!("cache.{key} is unknown")),
            }
        }
        Ok(cache)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(name: &str) -> StoreId {
        StoreId {
            namespace: "test".into(),
            name: name.into(),
        }
    }

    fn route(name: &str, rules: Vec<Rule>) -> Route {
        Route {
            store: store(name),
            rules,
        }
    }

    fn tagged(tags: &[&str]) -> Rule {
        Rule {
            tags: tags.iter().map(ToString::to_string).collect(),
            ..Rule::default()
        }
    }

    fn named(name: &str) -> Rule {
        Rule {
            names: vec![name.into()],
            ..Rule::default()
        }
    }

    fn typed(primitive: &str) -> Rule {
        Rule {
            primitive: primitive.into(),
            version: VERSION.into(),
            config: Bytes::from_static(br#"{"cache":{"enabled":true}}"#),
            ..Rule::default()
        }
    }

    #[track_caller]
    fn check(routes: &[Route], primitive: Type, name: &str, tags: &[&str], expected: Option<&str>) {
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        let chosen = choose(routes, primitive, name, &tags).map(|(store, _)| store.name.as_str());
        assert_eq!(chosen, expected);
    }

    #[test]
    fn a_tag_leads_to_its_store_in_either_order() {
        let routes = [route("default", vec![]), route("tagged", vec![tagged(&["one"])])];
        let turned = [routes[1].clone(), routes[0].clone()];
        for routes in [routes, turned] {
            check(&routes, Type::Value, "a", &[], Some("default"));
            check(&routes, Type::Value, "a", &["one"], Some("tagged"));
            check(&routes, Type::Value, "a", &["one", "two"], Some("tagged"));
            check(&routes, Type::Value, "a", &["two"], Some("default"));
        }
    }

    #[test]
    fn a_type_leads_to_its_store_and_brings_its_configuration() {
        let routes = [route("default", vec![]), route("values", vec![typed("Value")])];
        check(&routes, Type::Counter, "a", &[], Some("default"));
        let (chosen, config) = choose(&routes, Type::Value, "a", &[]).expect("a route");
        assert_eq!((chosen, config.is_some()), (&store("values"), true));
    }

    #[test]
    fn a_name_leads_to_its_store() {
        let routes = [route("default", vec![]), route("one", vec![named("primitive1")])];
        check(&routes, Type::Value, "primitive1", &[], Some("one"));
        check(&routes, Type::Value, "primitive2", &[], Some("default"));
    }

    #[test]
    fn a_name_weighs_more_than_tags_and_tags_more_than_the_type() {
        let routes = [
            route("typed", vec![typed("Value")]),
            route("tagged", vec![tagged(&["one"])]),
            route("named", vec![named("a")]),
        ];
        check(&routes, Type::Value, "a", &["one"], Some("named"));
        check(&routes, Type::Value, "b", &["one"], Some("tagged"));
        check(&routes, Type::Value, "b", &[], Some("typed"));
        check(&routes, Type::Counter, "b", &[], None);
    }

    #[test]
    fn more_tags_win_among_the_rest() {
        let routes = [
            route("one", vec![tagged(&["one"])]),
            route("both", vec![tagged(&["one", "two"])]),
            route("again", vec![tagged(&["two", "one"])]),
        ];
        check(&routes, Type::Value, "a", &["one", "two"], Some("both"));
    }

    #[test]
    fn a_star_stands_for_every_name() {
        let routes = [route("all", vec![named(ANY)]), route("one", vec![named("a")])];
        check(&routes, Type::Value, "a", &[], Some("one"));
        check(&routes, Type::Value, "b", &[], Some("all"));
    }

    #[test]
    fn configurations_of_clients_are_read() {
        let parse = |text: &'static str| Cache::parse(&Bytes::from_static(text.as_bytes()));
        let enabled = Cache {
            enabled: true,
            size: 7,
        };
        assert_eq!(
            parse(r#"{"cache":{"enabled":true,"size":7}}"#).ok(),
            Some(Some(enabled))
        );
        assert_eq!(
            parse(r#"{"cache":{"enabled":true,"size":"7"}}"#).ok(),
            Some(Some(enabled))
        );
        assert_eq!(parse("{}").ok(), Some(None));
        assert_eq!(parse("null").ok(), Some(None));
        for bad in [
            "",
            "7",
            r#"{"cash":1}"#,
            r#"{"cache":{"size":-1}}"#,
            r#"{"cache":{"sise":1}}"#,
        ] {
            assert_eq!(parse(bad).expect_err(bad).code(), codes::ROUTE_CONFIG_INVALID);
        }
    }
}
