//! The front door: the user's own services, for their clients. One listener takes gRPC, gRPC-Web and HTTP/JSON.
//!
//! | file | what |
//! |---|---|
//! | `grpc` | the user's services in gRPC, with health and reflection |
//! | `raw` | messages that nobody here looks into |
//! | `json` | the user's services in HTTP/JSON |
//! | `reflection` | what they consist of |
//! | `origins` | which web pages may call |
//! | `metadata` | headers and metadata |

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use tower::{Layer, Service};

use crate::routing::Router;

mod grpc;
mod json;
mod metadata;
mod origins;
mod raw;
mod reflection;

/// Answers requests. A clone is the same door.
#[derive(Clone)]
pub struct FrontDoor {
    router: Router,
    grpc: grpc::Services,
}

impl FrontDoor {
    pub(crate) fn new(router: Router, health: tonic_health::server::HealthReporter) -> FrontDoor {
        FrontDoor {
            grpc: grpc::Services::new(router.clone(), health),
            router,
        }
    }

    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let origin = origins::allowed(request.headers(), &self.router.rules().cors_origins);
        let mut response = match origins::preflight(&request) {
            true => origins::permission(request.headers()),
            false => self.serve(request).await,
        };
        if let Some(origin) = origin {
            origins::expose(&mut response, origin);
        }
        response
    }

    async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("application/grpc-web") {
            return self.grpc_web(request).await;
        }
        if kind.starts_with("application/grpc") && request.version() == Version::HTTP_2 {
            return self
                .grpc
                .clone()
                .answer(request.map(tonic::body::Body::new))
                .await
                .map(Body::new);
        }
        let verb_and_path = (request.method().clone(), request.uri().path().to_owned());
        if let Some(found) = self
            .router
            .catalog()
            .now()
            .route(&verb_and_path.0, &verb_and_path.1)
        {
            return json::answer(&self.router, found, request).await;
        }
        if let Some(probe) = request.headers().get("k-network-probe") {
            return match probe.as_bytes() {
                b"queue" => text(StatusCode::OK, "queue"),
                _ => text(StatusCode::BAD_REQUEST, "unknown probe"),
            };
        }
        self.nothing(&verb_and_path.1)
    }

    async fn grpc_web(&self, request: Request<Body>) -> Response<Body> {
        let services = self.grpc.clone();
        let mut web = tonic_web::GrpcWebLayer::new().layer(tower::service_fn(move |request| {
            let services = services.clone();
            async move { Ok::<_, std::convert::Infallible>(services.answer(request).await) }
        }));
        match web.call(request.map(tonic::body::Body::new)).await {
            Ok(response) => response.map(Body::new),
            Err(never) => match never {},
        }
    }

    fn nothing(&self, path: &str) -> Response<Body> {
        let now = self.router.catalog().now();
        let allowed = now.allowed(path);
        if !allowed.is_empty() {
            let verbs = allowed
                .iter()
                .map(http::Method::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("{path} takes {verbs}"));
            if let Ok(verbs) = verbs.parse() {
                response.headers_mut().insert(header::ALLOW, verbs);
            }
            return response;
        }
        let services: Vec<&str> = now.services().map(|service| service.name.as_str()).collect();
        let message = match services.as_slice() {
            [] => "no user function has been discovered yet; the admin port's /ready says what is waited for"
                .to_owned(),
            services => format!("nothing is served at {path}; served are {}", services.join(", ")),
        };
        text(StatusCode::NOT_FOUND, message)
    }
}

fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(text.into())));
    *response.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
