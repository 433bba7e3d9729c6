//! Calls of the Atomix primitives. Messages by hand, from the field numbers.

use crate::grpc::Conn;
use crate::ops::Op;
use bytes::Bytes;

#[derive(Clone, PartialEq, prost::Message)]
struct Id {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(message, optional, tag = "1")]
    id: Option<Id>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Increment {
    #[prost(message, optional, tag = "1")]
    id: Option<Id>,
    #[prost(int64, tag = "2")]
    delta: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(int64, tag = "1")]
    value: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Put {
    #[prost(message, optional, tag = "1")]
    id: Option<Id>,
    #[prost(string, tag = "2")]
    key: String,
    #[prost(bytes = "bytes", tag = "3")]
    value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Version {
    #[prost(uint64, tag = "1")]
    version: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Get {
    #[prost(message, optional, tag = "1")]
    id: Option<Id>,
    #[prost(string, tag = "2")]
    key: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Got {
    #[prost(message, optional, tag = "1")]
    value: Option<Versioned>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Versioned {
    #[prost(bytes = "bytes", tag = "1")]
    value: Bytes,
    #[prost(uint64, tag = "2")]
    version: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

/// Package, service, the plural service that creates, and the primitive's name.
fn place(op: Op) -> Result<(&'static str, &'static str, &'static str), String> {
    Ok(match op {
        Op::Increment | Op::CounterGet => ("counter", "Counter", "Counters"),
        Op::MapPut | Op::MapGet => ("map", "Map", "Maps"),
        Op::Lock => ("lock", "Lock", "Locks"),
        _ => return Err("primitives have increment, counter-get, map-put, map-get and lock".into()),
    })
}

pub fn can(op: Op) -> bool {
    place(op).is_ok()
}

/// Paths of the operation's first and second call.
pub fn methods(op: Op) -> Result<(String, Option<String>), String> {
    let (package, service, _) = place(op)?;
    let path = |method: &str| format!("/atomix.runtime.{package}.v1.{service}/{method}");
    Ok(match op {
        Op::Increment => (path("Increment"), None),
        Op::MapPut => (path("Put"), None),
        Op::Lock => (path("Lock"), Some(path("Unlock"))),
        _ => (path("Get"), None),
    })
}

fn id(op: Op, worker: u64) -> Option<Id> {
    let name = match op {
        // Everybody has a lock of their own, and shares all else.
        Op::Lock => format!("bench-lock-{worker}"),
        Op::Increment | Op::CounterGet => "bench-counter".into(),
        _ => "bench-map".into(),
    };
    Some(Id { name })
}

/// Creates what the workers use.
pub async fn prepare(conn: &Conn, op: Op, workers: u64, keys: u64, value: &Bytes) -> Result<(), String> {
    let (package, _, plural) = place(op)?;
    let create = conn.uri(&format!("/atomix.runtime.{package}.v1.{plural}/Create"));
    let names = if op == Op::Lock { workers } else { 1 };
    for worker in 0..names {
        conn.unary::<_, Nothing>(&create, &Named { id: id(op, worker) }).await?;
    }
    if op == Op::MapGet {
        let put = conn.uri("/atomix.runtime.map.v1.Map/Put");
        for key in 0..keys {
            let q = Put {
                id: id(op, 0),
                key: format!("bench-{key}"),
                value: value.clone(),
            };
            conn.unary::<_, Version>(&put, &q).await?;
        }
    }
    Ok(())
}

pub struct Call<'a> {
    pub conn: &'a Conn,
    pub first: &'a http::Uri,
    pub second: Option<&'a http::Uri>,
    pub worker: u64,
    pub key: u64,
    pub step: u64,
    pub value: &'a Bytes,
}

pub async fn once(op: Op, call: Call<'_>) -> Result<(), String> {
    let Call { conn, first, worker, .. } = call;
    let id = id(op, worker);
    match op {
        Op::Increment => {
            let sum: Number = conn.unary(first, &Increment { id, delta: 1 }).await?;
            positive(sum.value, "an increment gave a sum that is not positive")
        }
        Op::CounterGet => conn.unary::<_, Number>(first, &Named { id }).await.map(drop),
        Op::MapPut => {
            let key = format!("bench-{}", call.key);
            // A put of an equal value writes nothing, so no two are equal.
            let mut value = call.value.to_vec();
            let mark = (worker << 32 | call.step).to_le_bytes();
            let n = mark.len().min(value.len());
            value[..n].copy_from_slice(&mark[..n]);
            let q = Put { id, key, value: value.into() };
            let r: Version = conn.unary(first, &q).await?;
            positive(r.version as i64, "a put gave no version")
        }
        Op::MapGet => {
            let key = format!("bench-{}", call.key);
            let r: Got = conn.unary(first, &Get { id, key }).await?;
            let found = r.value.ok_or("a key that was put is not there")?;
            if found.value.len() == call.value.len() { Ok(()) } else { Err("another value came back".into()) }
        }
        Op::Lock => {
            let token: Version = conn.unary(first, &Named { id: id.clone() }).await?;
            positive(token.version as i64, "a lock has no fencing token")?;
            let second = call.second.ok_or("lock has two methods")?;
            conn.unary::<_, Nothing>(second, &Named { id }).await.map(drop)
        }
        _ => Err("no such operation on primitives".into()),
    }
}

fn positive(number: i64, otherwise: &str) -> Result<(), String> {
    if number > 0 { Ok(()) } else { Err(otherwise.into()) }
}
