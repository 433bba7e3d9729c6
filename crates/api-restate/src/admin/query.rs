//! Questions in SQL.

use axum::extract::State;
use axum::response::IntoResponse;
use base::Kind;
use http::{HeaderMap, StatusCode, header};
use ports::query::Form;
use serde::Deserialize;

use super::{Admin, Answered, Refused, refused};

#[derive(Debug, Deserialize)]
struct Question {
    query: String,
}

/// Restate's tools show what the message says, whatever the status.
pub(super) async fn query(State(admin): State<Admin>, headers: HeaderMap, body: String) -> Answered {
    let question: Question = serde_json::from_str(&body).map_err(|error| {
        let text = format!("the body is no question, like {{\"query\":\"SELECT 1\"}}: {error}");
        refused(StatusCode::UNPROCESSABLE_ENTITY, None, text)
    })?;
    let Some(sql) = &admin.sql else {
        let text = "SQL is not built into this Belay: build it with the feature sql, which is on unless it was turned off";
        return Err(refused(StatusCode::NOT_IMPLEMENTED, None, text));
    };
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let (form, content_type) = match accepted {
        Some(accepted) if accepted.contains("application/json") => (Form::Json, "application/json"),
        _ => (Form::Arrow, "application/vnd.apache.arrow.stream"),
    };
    let answer = sql.ask(question.query, form).await.map_err(told)?;
    Ok(([(header::CONTENT_TYPE, content_type)], answer).into_response())
}

/// The code is in the message: there is no field for ours.
fn told(error: base::Error) -> Refused {
    if matches!(error.kind(), Kind::Internal | Kind::DataLoss) {
        tracing::warn!(code = error.code().id, %error, "a question in SQL was not answered");
    }
    let message = format!("{error} ({})", error.code().id);
    Refused {
        message,
        ..error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::World;

    #[tokio::test]
    async fn without_sql_built_in_it_says_so() {
        let world = World::new((5, 6)).await;
        let (status, json) = world.admin("POST", "/query", r#"{"query":"SELECT 1"}"#).await;
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
        let message = json["message"].as_str().unwrap_or_default();
        assert!(message.contains("the feature sql"), "{message}");
        let (status, _) = world.admin("POST", "/v4/query", "SELECT 1").await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
