//! Small servers on loopback that count their sockets. They end with the test's runtime.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Server {
    pub address: SocketAddr,
    pub sockets: Sockets,
}

/// Sockets that clients have open here.
#[derive(Clone)]
pub(crate) struct Sockets {
    open: Arc<watch::Sender<usize>>,
    peak: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
}

/// One open socket.
pub(crate) struct Socket(Sockets);

impl Sockets {
    pub(crate) fn none() -> Sockets {
        Sockets {
            open: Arc::new(watch::Sender::new(0)),
            peak: Arc::default(),
            accepted: Arc::default(),
        }
    }

    pub(crate) fn open(&self) -> Socket {
        self.open.send_modify(|open| *open += 1);
        self.peak.fetch_max(*self.open.borrow(), Ordering::SeqCst);
        self.accepted.fetch_add(1, Ordering::SeqCst);
        Socket(self.clone())
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Waits until that many are open.
    pub(crate) async fn until(&self, count: usize) {
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open == count)
            .await
            .expect("the sender is ours");
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

/// Calls `connection` for every socket.
pub(crate) async fn accept<C, F>(connection: C) -> Server
where
    C: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let sockets = Sockets::none();
    let counted = sockets.clone();
    base::task::spawn("test server", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let socket = counted.open();
            let served = connection(stream);
            base::task::spawn("test connection", async move {
                served.await;
                drop(socket);
            });
        }
    });
    Server { address, sockets }
}

/// Answers HTTP/1.1 requests, whose bodies are read first.
pub(crate) async fn http<A, F>(answer: A) -> Server
where
    A: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    accept(move |stream| {
        let answer = answer.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer.clone();
            async move { Ok::<_, Infallible>(answer(whole(request).await).await) }
        });
        async move {
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            )
        }
    })
    .await
}

pub(crate) async fn whole(request: Request<Incoming>) -> Request<Bytes> {
    let (head, body) = request.into_parts();
    // A body that the client breaks off is no body.
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    Request::from_parts(head, body)
}

/// Answers the first request of every connection with these bytes, then waits for the client to close it.
pub(crate) async fn raw(answer: impl Into<Bytes>) -> Server {
    let answer = answer.into();
    accept(move |mut stream| {
        let answer = answer.clone();
        async move {
            let mut request = vec![0; 64 << 10];
            if stream.read(&mut request).await.is_ok_and(|size| size > 0) {
                drop(stream.write_all(&answer).await);
                drop(stream.read(&mut request).await);
            }
        }
    })
    .await
}

/// An address that nobody listens on any more.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("it is bound")
}
