//! Entry points for fuzzers: settings and routes as they come and as they are stored. `fuzz/` drives them with libFuzzer, the
//! tests here with damaged samples. None may panic, whatever the bytes are.

use bytes::Bytes;
use machines::primitive::Type;
use prost::Message;
use wire::atomix::{runtime, settings};

use crate::stores::{self, Cache};
use crate::{control, primitives};

/// A route's configuration for a primitive, and a store's settings in either form they travel in.
pub fn configuration(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let _ = Cache::parse(&bytes);
    let bare = settings(&bytes);
    assert!(bare.len() <= bytes.len());
    let _ = Cache::parse(&bare);
}

/// Routes as a controller sends them, and what they lead to.
pub fn program(bytes: &[u8]) {
    let Ok(request) = runtime::ProgramRequest::decode(bytes) else {
        return;
    };
    let routes: Result<Vec<_>, _> = request.routes.into_iter().map(control::route).collect();
    let Ok(routes) = routes else { return };
    for primitive in Type::ALL {
        if let Some((store, config)) = stores::choose(&routes, *primitive, "name", &["tag".to_owned()]) {
            assert!(!store.name.is_empty());
            let _ = config.map(Cache::parse);
        }
    }
}

/// Names, stores and routes as they are stored, and the time to live of a request.
pub fn stored(bytes: &[u8]) {
    let row = Bytes::copy_from_slice(bytes);
    stores::decode_any(&row);
    primitives::decode_any(&row);
    if let Ok(duration) = prost_types::Duration::decode(bytes) {
        let _ = crate::convert::ttl(Some(duration));
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Any;
    use testkit::mutate::storm;

    use super::*;

    const CONFIG: &str = r#"{"cache":{"enabled":true,"size":"7"}}"#;

    fn any() -> Any {
        Any {
            type_url: "a/b".into(),
            value: CONFIG.into(),
        }
    }

    fn route() -> runtime::Route {
        let rule = runtime::RoutingRule {
            r#type: Some(runtime::PrimitiveType {
                name: "Value".into(),
                api_version: "v1".into(),
            }),
            names: vec!["name".into()],
            tags: vec!["tag".into()],
            config: Some(any()),
        };
        let store_id = Some(runtime::StoreId {
            namespace: "n".into(),
            name: "s".into(),
        });
        runtime::Route {
            store_id,
            rules: vec![rule],
        }
    }

    #[test]
    fn configurations_of_any_bytes_are_read_or_refused() {
        let any = any().encode_to_vec();
        let samples: [&[u8]; 4] = [CONFIG.as_bytes(), &any, b"null", b""];
        storm(&samples, 50_000, configuration);
    }

    #[test]
    fn routes_of_any_bytes_lead_somewhere_or_are_refused() {
        let bare = runtime::Route {
            rules: vec![],
            ..route()
        };
        let request = runtime::ProgramRequest {
            routes: vec![route(), bare],
        };
        storm(&[&request.encode_to_vec()], 50_000, program);
    }

    #[test]
    fn stored_rows_of_any_bytes_are_read_or_refused() {
        let plan = stores::sample(vec![control::route(route()).expect("a route")]);
        let ttl = prost_types::Duration {
            seconds: i64::MIN,
            nanos: i32::MIN,
        };
        let samples: [&[u8]; 3] = [&plan, &ttl.encode_to_vec(), b"\x01\x08\x02\x12\x01n\x1a\x01s"];
        storm(&samples, 50_000, stored);
    }
}
