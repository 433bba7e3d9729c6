//! What clients of the ingress see: results that are not there, codes of errors, odd requests.

use super::played::*;
use super::*;

impl World {
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (Response<()>, Value) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let (head, body) = self.service.ingress.answer(request).await.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (Response::from_parts(head, ()), json)
    }

    /// Plays the next attempt: it ends with that failure.
    async fn fail(&mut self, code: u32) {
        self.attempt().await.fail(failure(code, "no"));
    }
}

/// Trap 61.
#[tokio::test]
async fn results_that_are_not_there() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let unknown = "inv_1a1mlWikgvPI7LEEaFf73AaPyC5x2TxAna";
    let (answer, json) = world
        .ask("GET", &format!("/restate/invocation/{unknown}/output"), &[])
        .await;
    assert_eq!(
        (answer.status().as_u16(), &json["source"]),
        (404, &"ingress".into())
    );
    let (answer, json) = world
        .ask("GET", &format!("/restate/invocation/{unknown}/attach"), &[])
        .await;
    assert_eq!(
        (answer.status().as_u16(), &json["source"]),
        (404, &"invocation".into())
    );
    let (answer, sent) = world.ask("GET", "/Plain/run/send", &[]).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED, "GET is as good: trap 74");
    let id = sent["invocationId"].as_str().expect("an id");
    let (answer, _) = world
        .ask("GET", &format!("/restate/invocation/{id}/output"), &[])
        .await;
    assert_eq!(answer.status().as_u16(), 470);
    world.fail(409).await;
    let (answer, _) = world
        .ask("GET", &format!("/restate/invocation/{id}/attach"), &[])
        .await;
    assert_eq!(answer.status().as_u16(), 409);
}

/// Traps 70 and 71.
#[tokio::test]
async fn codes_of_failures_are_statuses() {
    let mut world = World::registered((VERSION, VERSION)).await;
    for (code, status) in [(200, 200), (999, 999), (50, 500), (100_000, 500)] {
        let call = world.service.clone();
        let call = task::spawn("call", async move {
            let request = Request::builder().method("POST").uri("/Plain/run");
            let request = request.body(Body::empty()).expect("a request");
            call.ingress.answer(request).await
        });
        world.fail(code).await;
        let (head, body) = call.await.expect("it ends").into_parts();
        assert_eq!(head.status.as_u16(), status, "{code}");
        assert_eq!(head.headers["x-restate-error-source"], "invocation");
        let body = body.collect().await.expect("a body").to_bytes();
        let json: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(
            (&json["code"], &json["source"]),
            (&code.into(), &"invocation".into())
        );
    }
}

/// Trap 73.
#[tokio::test]
async fn an_empty_idempotency_key_is_none() {
    let world = World::registered((VERSION, VERSION)).await;
    let mut ids = std::collections::BTreeSet::new();
    for key in ["", "", "a", "a"] {
        let (answer, sent) = world
            .ask("POST", "/Plain/run/send?what=ever", &[("idempotency-key", key)])
            .await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        ids.insert(sent["invocationId"].as_str().expect("an id").to_owned());
    }
    assert_eq!(ids.len(), 3);
}
