//! A gRPC client on bare h2, for unary calls with bytes. It shares the cores with what it measures, so it takes the shortest path: no
//! channel, no middleware, one task for each connection.

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};
use tokio::net::TcpStream;

/// What stands before a message: a flag and its length.
const PREFIX: usize = 5;

#[derive(Clone)]
pub struct Connection {
    send: SendRequest<Bytes>,
    authority: String,
}

impl Connection {
    pub async fn open(address: &str) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|e| format!("cannot connect to {address}: {e}"))?;
        stream.set_nodelay(true).map_err(text)?;
        let (send, connection) = h2::client::handshake(stream).await.map_err(text)?;
        tokio::spawn(connection);
        Ok(Connection {
            send,
            authority: address.to_owned(),
        })
    }

    /// So many of them.
    pub async fn open_all(address: &str, count: usize) -> Result<Vec<Connection>, String> {
        let mut all = vec![];
        for _ in 0..count.max(1) {
            all.push(Connection::open(address).await?);
        }
        Ok(all)
    }

    /// Made once; its clones are cheap.
    pub fn uri(&self, path: &str) -> Result<Uri, String> {
        format!("http://{}{path}", self.authority)
            .parse()
            .map_err(|e| format!("{path}: {e}"))
    }

    /// `framed` comes from [`frame`]. The answer has no prefix any more.
    pub async fn unary(&self, uri: &Uri, framed: Bytes) -> Result<Bytes, String> {
        let mut send = self.send.clone().ready().await.map_err(text)?;
        let (answer, mut body) = send.send_request(request(uri), false).map_err(text)?;
        body.send_data(framed, true).map_err(text)?;
        let answer = answer.await.map_err(text)?;
        if answer.status() != 200 {
            return Err(format!("HTTP status {}", answer.status()));
        }
        if answer.headers().contains_key("grpc-status") {
            status(answer.headers())?;
        }
        let mut body = answer.into_body();
        let mut whole = BytesMut::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk.map_err(text)?;
            body.flow_control().release_capacity(chunk.len()).map_err(text)?;
            whole.extend_from_slice(&chunk);
        }
        status(&body.trailers().await.map_err(text)?.ok_or("no trailers")?)?;
        one_message(whole.freeze())
    }
}

fn request(uri: &Uri) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.clone();
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request
}

pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

fn one_message(body: Bytes) -> Result<Bytes, String> {
    match *body {
        [0, a, b, c, d, ..] if body.len() == PREFIX + u32::from_be_bytes([a, b, c, d]) as usize => {
            Ok(body.slice(PREFIX..))
        }
        _ => Err(format!("an answer of {} bytes is not one message", body.len())),
    }
}

fn status(headers: &HeaderMap) -> Result<(), String> {
    let of = |name| {
        let value = headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()));
        value.unwrap_or_default().into_owned()
    };
    match of("grpc-status").as_str() {
        "0" => Ok(()),
        code => Err(format!("status {code} {}", of("grpc-message"))),
    }
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}
