//! Older versions of the admin API, and what it says of what is not there.

use super::*;

#[tokio::test]
async fn version_2_overwrites_unless_it_is_told_not_to() {
    let world = World::new((5, 6)).await;
    let register = |version: &'static str, force: Option<bool>| {
        let body = serde_json::json!({ "uri": world.uri, "force": force }).to_string();
        let world = &world;
        async move {
            world
                .admin("POST", &format!("{version}/deployments"), &body)
                .await
        }
    };
    let (status, first) = register("/v2", None).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, again) = register("/v2", None).await;
    assert_eq!((status, &again["id"]), (StatusCode::CREATED, &first["id"]));
    assert_eq!(again["services"][0]["revision"], 2);
    let (status, refused) = register("/v2", Some(false)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(refused["restate_code"], "META0004");
    for version in ["", "/v3", "/v4"] {
        let (status, known) = register(version, None).await;
        assert_eq!(
            (status, &known["services"][0]["revision"]),
            (StatusCode::OK, &2.into())
        );
    }
    assert_eq!(register("/v3", Some(true)).await.0, StatusCode::OK);
    assert_eq!(register("/v1", None).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_invocation_is_ended_the_older_way() {
    let mut world = World::registered((5, 6)).await;
    let (_, sent) = world.post("/Plain/run/send", "\"in\"").await;
    let id = sent["invocationId"].as_str().expect("an id").to_owned();
    let _attempt = world.attempt().await;
    let (status, _) = world
        .admin("DELETE", &format!("/invocations/{id}?mode=Rest"), "")
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    for mode in ["Kill", "kill", "cancel", "purge"] {
        let (status, _) = world
            .admin("DELETE", &format!("/v2/invocations/{id}?mode={mode}"), "")
            .await;
        assert_eq!(status, StatusCode::ACCEPTED, "{mode}");
    }
    let (status, _) = world.admin("GET", &format!("/invocations/{id}"), "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        world.admin("DELETE", "/invocations/inv_x", "").await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn what_is_not_built_in_says_so() {
    let world = World::new((5, 6)).await;
    for prefix in ["", "/v2", "/v3", "/v4"] {
        let (status, clusters) = world.admin("GET", &format!("{prefix}/kafka-clusters"), "").await;
        assert_eq!(
            (status, clusters),
            (StatusCode::OK, serde_json::json!({ "clusters": [] }))
        );
        let (status, refused) = world
            .admin("POST", &format!("{prefix}/subscriptions"), "{}")
            .await;
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
        assert_eq!(refused["restate_code"], "META0009");
        let (status, health) = world.admin("GET", &format!("{prefix}/cluster-health"), "").await;
        assert_eq!(
            (status, &health["cluster_name"]),
            (StatusCode::OK, &"belay".into())
        );
    }
}
