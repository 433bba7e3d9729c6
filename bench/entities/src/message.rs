//! What is sent, and whether the answer is right.

use bytes::Bytes;
use prost::Message;
use wire::cloudstate::Metadata;
use wire::cloudstate::action::{ActionCommand, ActionResponse, action_response::Response};

use crate::function::{AddEvents, Sum};
use crate::grpc::frame;

const NUMBER: i64 = 21;
const NUMBERS: &str = "com.example.numbers";

#[derive(Clone, PartialEq, Message)]
pub struct AddLineItem {
    #[prost(string, tag = "1")]
    user_id: String,
    #[prost(string, tag = "2")]
    product_id: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(int32, tag = "4")]
    quantity: i32,
}

/// `com.example.numbers.Number` has the same single field.
type Number = Sum;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Cart,
    Counter,
    Number,
    DirectNumber,
    Hex,
}

/// One worker's messages: its own cart or counter.
pub struct Calls {
    kind: Kind,
    message: Bytes,
    pub framed: Bytes,
    /// The other side answers with the request.
    echoed: bool,
    /// Of a counter, after the last call.
    sum: Option<i64>,
}

impl Kind {
    pub fn parse(text: &str) -> Kind {
        match text {
            "cart" => Kind::Cart,
            "counter" => Kind::Counter,
            "number" => Kind::Number,
            "direct-number" => Kind::DirectNumber,
            _ => Kind::Hex,
        }
    }

    /// None for bytes.
    pub fn path(self) -> Option<&'static str> {
        match self {
            Kind::Cart => Some("/com.example.shoppingcart.ShoppingCart/AddItem"),
            Kind::Counter => Some("/bench.Counters/Add"),
            Kind::Number => Some("/com.example.numbers.Numbers/Double"),
            Kind::DirectNumber => Some("/cloudstate.action.ActionProtocol/handleUnary"),
            Kind::Hex => None,
        }
    }
}

impl Calls {
    pub fn new(text: &str, path: &str, worker: usize) -> Result<Calls, String> {
        let kind = Kind::parse(text);
        let message = match kind {
            Kind::Cart => cart(worker),
            Kind::Counter => add(&format!("load-{worker}"), 1),
            Kind::Number => Number { value: NUMBER }.encode_to_vec(),
            Kind::DirectNumber => command().encode_to_vec(),
            Kind::Hex => hex(text)?,
        };
        Ok(Calls {
            kind,
            framed: frame(&message),
            message: message.into(),
            echoed: kind != Kind::Hex && kind.path() != Some(path),
            sum: None,
        })
    }

    pub fn check(&mut self, answer: &Bytes) -> Result<(), String> {
        let right = match self.kind {
            _ if self.echoed => *answer == self.message,
            Kind::Hex => true,
            Kind::Cart => answer.is_empty(),
            Kind::Number => number(answer) == Some(2 * NUMBER),
            Kind::DirectNumber => reply(answer) == Some(2 * NUMBER),
            Kind::Counter => {
                let sum = number(answer);
                let before = std::mem::replace(&mut self.sum, sum);
                sum.is_some() && before.is_none_or(|before| sum == Some(before + 1))
            }
        };
        right.then_some(()).ok_or(format!("a wrong answer: {answer:?}"))
    }
}

pub fn add(id: &str, events: i32) -> Vec<u8> {
    let id = id.to_owned();
    AddEvents { id, events }.encode_to_vec()
}

pub fn number(answer: &Bytes) -> Option<i64> {
    Number::decode(answer.clone()).ok().map(|number| number.value)
}

fn cart(worker: usize) -> Vec<u8> {
    let item = AddLineItem {
        user_id: format!("load-{worker}"),
        product_id: "product".into(),
        name: "product".into(),
        quantity: 1,
    };
    item.encode_to_vec()
}

/// What a proxy makes of the call, for a client that sends no headers of its own.
fn command() -> ActionCommand {
    let payload = prost_types::Any {
        type_url: format!("type.googleapis.com/{NUMBERS}.Number"),
        value: Number { value: NUMBER }.encode_to_vec(),
    };
    ActionCommand {
        service_name: format!("{NUMBERS}.Numbers"),
        name: "Double".into(),
        payload: Some(payload),
        metadata: Some(Metadata::default()),
    }
}

fn reply(answer: &Bytes) -> Option<i64> {
    match ActionResponse::decode(answer.clone()).ok()?.response? {
        Response::Reply(reply) => number(&reply.payload?.value.into()),
        _ => None,
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes().chunks(2).map(|digits| {
        let digits = std::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.len() == 2)?;
        u8::from_str_radix(digits, 16).ok()
    });
    bytes
        .collect::<Option<_>>()
        .ok_or(format!("{text}: neither a kind nor bytes in hex"))
}
