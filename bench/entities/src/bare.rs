//! `echo` and `hop`: the limit for anything between a client and a server. Nothing but tonic, with the bytes of the messages as they are.
//! One runtime on a thread of its own for each core, connections dealt out in turn; the hop has one connection onwards for each
//! of them.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;

use bytes::{Buf, BufMut, Bytes};
use http::Request;
use http::uri::PathAndQuery;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::UnaryService;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};

type Answer = Result<tonic::Response<Bytes>, Status>;

pub fn serve(listen: &str, to: Option<String>) -> Result<(), String> {
    let listener = std::net::TcpListener::bind(listen).map_err(|e| format!("{listen}: {e}"))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let queues: Vec<_> = (0..cores)
        .map(|_| {
            let (tx, rx) = mpsc::unbounded_channel();
            let to = to.clone();
            std::thread::spawn(move || serve_dealt(rx, to));
            tx
        })
        .collect();
    for queue in queues.iter().cycle() {
        let (stream, _) = listener.accept().map_err(|e| e.to_string())?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_nonblocking(true))
            .map_err(|e| e.to_string())?;
        queue.send(stream).map_err(|_| "a runtime has ended")?;
    }
    Ok(())
}

/// Whatever arrives, in this thread.
fn serve_dealt(rx: mpsc::UnboundedReceiver<std::net::TcpStream>, to: Option<String>) {
    let served = crate::runtime().block_on(async {
        let routes = match to {
            None => axum::Router::new().fallback_service(tower::service_fn(echo)),
            Some(to) => {
                let endpoint = Endpoint::from_shared(format!("http://{to}")).map_err(|e| e.to_string())?;
                let channel = endpoint.tcp_nodelay(true).connect_lazy();
                let hop = tower::service_fn(move |request| forward(request, channel.clone()));
                axum::Router::new().fallback_service(hop)
            }
        };
        let incoming = UnboundedReceiverStream::new(rx).map(TcpStream::from_std);
        let server = Server::builder().add_routes(Routes::from(routes));
        server
            .serve_with_incoming(incoming)
            .await
            .map_err(|e| e.to_string())
    });
    if let Err(e) = served {
        eprintln!("entities: {e}");
        std::process::exit(1);
    }
}

async fn echo(request: Request<axum::body::Body>) -> Result<http::Response<tonic::body::Body>, Infallible> {
    Ok(tonic::server::Grpc::new(Raw).unary(Echo, request).await)
}

async fn forward(
    request: Request<axum::body::Body>,
    channel: Channel,
) -> Result<http::Response<tonic::body::Body>, Infallible> {
    let path = request.uri().path_and_query().cloned();
    let forward = Forward {
        path: path.unwrap_or(PathAndQuery::from_static("/")),
        channel,
    };
    Ok(tonic::server::Grpc::new(Raw).unary(forward, request).await)
}

struct Echo;

impl UnaryService<Bytes> for Echo {
    type Response = Bytes;
    type Future = Ready<Answer>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        ready(Ok(tonic::Response::new(request.into_inner())))
    }
}

struct Forward {
    path: PathAndQuery,
    channel: Channel,
}

impl UnaryService<Bytes> for Forward {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        let path = self.path.clone();
        Box::pin(async move {
            let ready = client.ready().await;
            ready.map_err(|e| Status::unavailable(e.to_string()))?;
            client.unary(request, path, Raw).await
        })
    }
}

// ---------------------------------------------------------------- bytes as they are

#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }
    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
