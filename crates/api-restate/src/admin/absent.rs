//! What other servers of the family have and this one has not: asked for, it answers so.

use axum::Router;
use axum::response::Json;
use axum::routing::{any, get};
use http::StatusCode;
use serde_json::{Value, json};

use super::{Admin, Refused, refused};

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/cluster-health", get(cluster))
        .route("/kafka-clusters", get(kafka_clusters).post(no_kafka))
        .route("/kafka-clusters/{name}", any(no_kafka))
        .route("/subscriptions", get(subscriptions).post(no_kafka))
        .route("/subscriptions/{id}", any(no_kafka))
        .route("/v1/{*rest}", any(version_1))
}

/// One node, which has answered.
async fn cluster() -> Json<Value> {
    Json(json!({ "cluster_name": "belay", "metadata_cluster_health": { "members": ["N1"] } }))
}

async fn kafka_clusters() -> Json<Value> {
    Json(json!({ "clusters": [] }))
}

async fn no_kafka() -> Refused {
    let text = "Kafka is not built in: let a consumer of your own call the handler through the ingress";
    refused(StatusCode::NOT_IMPLEMENTED, Some("META0009"), text)
}

async fn version_1() -> Refused {
    let text = "version 1 of the admin API is not spoken: ask below /v2, /v3 or /v4, or without a version";
    refused(StatusCode::BAD_REQUEST, None, text)
}

/// There is nothing to subscribe to: no Kafka.
async fn subscriptions() -> Json<Value> {
    Json(json!({ "subscriptions": [] }))
}
