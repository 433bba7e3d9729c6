//! What a path of the ingress means. Nothing is looked up here.
//!
//! | path | what |
//! |---|---|
//! | `/SERVICE/HANDLER`, `/OBJECT/KEY/HANDLER`, the same below `/restate/call` | a call |
//! | the same and `/send`, the same below `/restate/send` | a call that nobody waits for |
//! | `/restate/awakeables/ID/resolve`, `.../reject`, `/restate/a/...` | completes an awakeable |
//! | `/restate/invocation/ID/attach`, `.../output`, `/restate/attach/ID`, `/restate/output/ID` | the result: waited for, or as it stands |
//! | `/restate/invocation/SERVICE[/KEY]/HANDLER/IDEMPOTENCY-KEY/attach`, `.../output` | the same, by its idempotency key |
//! | `/restate/workflow/NAME/KEY/attach`, `.../output` | the same, of a workflow's run |
//! | `/restate/attach`, `/restate/output`, `/restate/lookup`, with the target in the body | the same; or its id |
//! | `/restate/health` | which services there are |

/// Parts are percent-decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Two parts or three: whether the middle one is a key depends on the service.
    Invoke {
        parts: Vec<String>,
        send: bool,
    },
    Awakeable {
        id: String,
        resolve: bool,
    },
    Result {
        of: Of,
        how: How,
    },
    /// The target is in the body.
    Named(How),
    Health,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Invocation(String),
    /// Service, key or not, handler, idempotency key.
    Idempotent(Vec<String>),
    Workflow {
        name: String,
        key: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Attach,
    Output,
    Lookup,
}

/// Why a path means nothing. The text is what clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadPath(pub(crate) String);

pub(crate) fn route(path: &str) -> Result<Route, BadPath> {
    let parts: Option<Vec<String>> = path.trim_matches('/').split('/').map(decode).collect();
    let parts = parts.ok_or_else(|| bad(path))?;
    let borrowed: Vec<&str> = parts.iter().map(String::as_str).collect();
    let route = match borrowed.as_slice() {
        ["restate", rest @ ..] => of_belay(rest),
        [..] => invoke(&borrowed, false),
    };
    route.ok_or_else(|| match borrowed.as_slice() {
        [_] | ["restate", ..] => bad(path),
        _ => BadPath(
            "bad path, expected either /:service-name/:handler or /:object-name/:object-key/:handler".into(),
        ),
    })
}

fn bad(path: &str) -> BadPath {
    BadPath(format!("bad path: {path}"))
}

fn of_belay(parts: &[&str]) -> Option<Route> {
    let text = |text: &&str| (*text).to_owned();
    let route = match parts {
        ["health"] => Route::Health,
        ["call", rest @ ..] => invoke(rest, false).filter(|_| rest.len() < 4)?,
        ["send", rest @ ..] if rest.len() == 2 || rest.len() == 3 => Route::Invoke {
            parts: rest.iter().map(text).collect(),
            send: true,
        },
        ["awakeables" | "a", id, "resolve"] => Route::Awakeable {
            id: text(id),
            resolve: true,
        },
        ["awakeables" | "a", id, "reject"] => Route::Awakeable {
            id: text(id),
            resolve: false,
        },
        ["attach"] => Route::Named(How::Attach),
        ["output"] => Route::Named(How::Output),
        ["lookup"] => Route::Named(How::Lookup),
        ["attach", id] => result(Of::Invocation(text(id)), How::Attach),
        ["output", id] => result(Of::Invocation(text(id)), How::Output),
        ["invocation", id, how] => result(Of::Invocation(text(id)), asked(how)?),
        ["invocation", target @ .., how] if target.len() == 3 || target.len() == 4 => {
            result(Of::Idempotent(target.iter().map(text).collect()), asked(how)?)
        }
        ["workflow", name, key, how] => {
            let (name, key) = (text(name), text(key));
            result(Of::Workflow { name, key }, asked(how)?)
        }
        _ => return None,
    };
    Some(route)
}

fn result(of: Of, how: How) -> Route {
    Route::Result { of, how }
}

fn asked(how: &str) -> Option<How> {
    match how {
        "attach" => Some(How::Attach),
        "output" => Some(How::Output),
        _ => None,
    }
}

fn invoke(parts: &[&str], send: bool) -> Option<Route> {
    let owned = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
    match parts {
        // A handler of that name can only be called below `/restate/call`.
        [target @ .., "send"] if target.len() == 2 || target.len() == 3 => Some(Route::Invoke {
            parts: owned(target),
            send: true,
        }),
        [_, _] | [_, _, _] if parts.iter().all(|part| !part.is_empty()) => Some(Route::Invoke {
            parts: owned(parts),
            send,
        }),
        _ => None,
    }
}

fn decode(part: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(part).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let seen = match route(path) {
            Ok(Route::Invoke { parts, send }) => {
                format!("{} {}", if send { "send" } else { "call" }, parts.join("|"))
            }
            Ok(Route::Awakeable { id, resolve }) => {
                format!("{} {id}", if resolve { "resolve" } else { "reject" })
            }
            Ok(Route::Result { of, how }) => format!("{how:?} {of:?}"),
            Ok(Route::Named(how)) => format!("{how:?} named"),
            Ok(Route::Health) => "health".into(),
            Err(BadPath(text)) => text,
        };
        assert_eq!(seen, expected, "{path}");
    }

    #[test]
    fn paths() {
        check("/Greeter/greet", "call Greeter|greet");
        check("/Greeter/greet/", "call Greeter|greet");
        check("/Counter/k%2F1/add", "call Counter|k/1|add");
        check("/Counter/k/add/send", "send Counter|k|add");
        check("/Greeter/greet/send", "send Greeter|greet");
        check("/restate/call/Greeter/greet", "call Greeter|greet");
        check("/restate/send/Counter/k/add", "send Counter|k|add");
        check("/restate/awakeables/sign_1x/resolve", "resolve sign_1x");
        check("/restate/a/sign_1x/reject", "reject sign_1x");
        check(
            "/restate/invocation/inv_1x/attach",
            "Attach Invocation(\"inv_1x\")",
        );
        check("/restate/output/inv_1x", "Output Invocation(\"inv_1x\")");
        check(
            "/restate/invocation/Greeter/greet/key/output",
            "Output Idempotent([\"Greeter\", \"greet\", \"key\"])",
        );
        check(
            "/restate/invocation/Counter/k/add/key/attach",
            "Attach Idempotent([\"Counter\", \"k\", \"add\", \"key\"])",
        );
        check(
            "/restate/workflow/Wf/w1/attach",
            "Attach Workflow { name: \"Wf\", key: \"w1\" }",
        );
        check("/restate/lookup", "Lookup named");
        check("/restate/health", "health");
    }

    #[test]
    fn paths_that_mean_nothing() {
        check("/x", "bad path: /x");
        check("/", "bad path: /");
        check("/restate/nothing", "bad path: /restate/nothing");
        check("/a/%FF", "bad path: /a/%FF");
        let expected =
            "bad path, expected either /:service-name/:handler or /:object-name/:object-key/:handler";
        check("/a/b/c/d", expected);
        check("/a//c", expected);
    }
}
