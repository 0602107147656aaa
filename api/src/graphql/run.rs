//! Runs one operation for whoever has a session: limits, idempotency, time, and what is answered.
//!
//! Mutations run in a task of their own: a caller that hangs up, or waits no longer, does not cut them.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response, ServerError, Variables};
use billing::{Billing, IdempotencyKey, RecordedAnswer};
use poem::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing::Instrument;

use super::Schema;
use super::batch::Batches;
use super::errors::{self, Code, UNAVAILABLE};
use super::guard::{self, Operation};
use super::measure::Shape;
use super::scope::{Aftermath, RequestId, Scope};
use crate::auth::Session;

/// How long an operation may take before its caller is sent away.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The schema over the product.
#[derive(Clone)]
pub struct Engine {
    pub billing: Billing,
    pub schema: Schema,
    pub shape: Arc<Shape>,
}

/// One operation to run.
pub struct Ask {
    pub request: Request,
    pub session: Session,
    pub id: RequestId,
    /// The idempotency key, as it was sent.
    pub key: Option<String>,
    /// Queries alone: the way it was asked must not change anything.
    pub safe: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// A GraphQL response in JSON, its fields in the order in which they were asked for.
    pub body: String,
    /// The status, where the protocol has one beyond 200: nothing was executed, or nothing could be answered.
    pub status: StatusCode,
    /// The document or its variables are at fault, not the way it came.
    pub about_document: bool,
    /// Done by an earlier request with the same idempotency key.
    pub replayed: bool,
    /// A retry should read this answer again: it was executed, nothing failed for the moment only, and no secret is in
    /// it that must not be kept.
    keep: bool,
}

/// A response as it is written: without data when nothing was executed.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "<[ServerError]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a async_graphql::Value>,
}

impl Answer {
    /// Nothing was executed.
    pub fn refused(error: ServerError) -> Answer {
        let code = Code::of(&error).unwrap_or(Code::Internal);
        Answer {
            body: json!({ "errors": [error] }).to_string(),
            status: code.status(),
            about_document: code.status() == StatusCode::BAD_REQUEST && code != Code::BadRequest,
            replayed: false,
            keep: false,
        }
    }

    /// As [`Answer::refused`], for what has a status of its own.
    pub fn refused_as(status: StatusCode, error: ServerError) -> Answer {
        Answer { status, ..Answer::refused(error) }
    }

    /// An answer that was kept, as it was sent.
    fn kept(body: Value) -> Answer {
        let body = match body {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Answer { body, status: StatusCode::OK, about_document: false, replayed: true, keep: false }
    }

    fn of(response: Response, aftermath: &Aftermath) -> Result<Answer, serde_json::Error> {
        let codes: Vec<Code> = response.errors.iter().filter_map(Code::of).collect();
        let executed = response.data != async_graphql::Value::Null
            || response.errors.is_empty()
            || response.errors.iter().any(|error| !error.path.is_empty());
        let body = Body { errors: &response.errors, data: executed.then_some(&response.data) };
        let body = serde_json::to_string(&body)?;
        let answered = match &response.data {
            async_graphql::Value::Object(fields) => fields.values().any(|value| *value != async_graphql::Value::Null),
            _ => false,
        };
        let decisive = [Code::Unavailable, Code::IdempotencyConflict, Code::Internal];
        let status = match decisive.into_iter().find(|code| codes.contains(code)) {
            Some(code) if !answered => code.status(),
            _ if executed => StatusCode::OK,
            _ => codes.first().map_or(StatusCode::BAD_REQUEST, |code| code.status()),
        };
        let about_document = !executed && status == StatusCode::BAD_REQUEST && codes.first() != Some(&Code::BadRequest);
        let keep = executed && status == StatusCode::OK && !aftermath.is_secret();
        Ok(Answer { body, status, about_document, replayed: aftermath.is_replayed(), keep })
    }
}

impl Engine {
    /// Runs one operation.
    pub async fn run(&self, mut ask: Ask) -> Answer {
        let operation = match guard::inspect(&self.shape, &mut ask.request) {
            Ok(operation) => operation,
            Err(error) => return Answer::refused(error),
        };
        match operation.kind {
            OperationType::Mutation if ask.safe => Answer::refused_as(
                StatusCode::METHOD_NOT_ALLOWED,
                Code::BadRequest.refuse("mutations are sent with POST"),
            ),
            OperationType::Mutation => self.mutate(ask, operation).await,
            OperationType::Query | OperationType::Subscription => self.query(ask).await,
        }
    }

    async fn query(&self, ask: Ask) -> Answer {
        match tokio::time::timeout(PATIENCE, self.execute(ask)).await {
            Ok(answer) => answer,
            Err(_) => late("the operation took too long: ask for less, or try again later"),
        }
    }

    async fn mutate(&self, mut ask: Ask, operation: Operation) -> Answer {
        if let Some(key) = ask.key.take() {
            if operation.roots != 1 {
                return Answer::refused(Code::BadRequest.refuse("with an Idempotency-Key: one mutation field exactly"));
            }
            let key = match IdempotencyKey::new(&key, fingerprint(&ask.request)) {
                Ok(key) => key,
                Err(error) => return Answer::refused(errors::fault(&error.into(), &ask.id)),
            };
            match self.billing.db.recorded(ask.session.caller.organization, &key).await {
                Ok(RecordedAnswer::Response(body)) => return Answer::kept(body),
                Ok(RecordedAnswer::None | RecordedAnswer::OutcomeOnly) => ask.session.caller.key = Some(key),
                Err(error) => return Answer::refused(errors::fault(&error, &ask.id)),
            }
        }
        let (engine, id) = (self.clone(), ask.id.clone());
        let work = async move {
            let caller = ask.session.caller.clone();
            let answer = engine.execute(ask).await;
            if let Some(key) = caller.key.filter(|_| answer.keep) {
                // As a text: the answer to a retry is the same to the byte.
                let text = Value::String(answer.body.clone());
                let kept = engine.billing.db.record_response(caller.organization, &key, &text).await;
                if let Err(error) = kept {
                    // What was done is kept with the key already; a retry executes again and meets it.
                    tracing::warn!(%error, "the answer could not be kept");
                }
            }
            answer
        };
        match tokio::time::timeout(PATIENCE, tokio::spawn(work.in_current_span())).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => Answer::refused(errors::masked(&ServerError::new("", None), &panic, &id)),
            Err(_) => late("the mutation goes on: send it again with the same Idempotency-Key to learn its outcome"),
        }
    }

    async fn execute(&self, ask: Ask) -> Answer {
        let aftermath = Aftermath::default();
        let batches = Batches::default();
        let scope = Scope::new(self.billing.clone(), &ask.session, aftermath.clone(), batches.clone());
        let request = ask.request.data(ask.session).data(ask.id.clone()).data(scope);
        let response = batches.drive(self.schema.execute(request)).await;
        Answer::of(response, &aftermath)
            .unwrap_or_else(|error| Answer::refused(errors::masked(&ServerError::new("", None), &error, &ask.id)))
    }
}

fn late(advice: &str) -> Answer {
    tracing::warn!("an operation took longer than {PATIENCE:?}");
    Answer::refused(Code::Unavailable.refuse(format!("{UNAVAILABLE} ({advice})")))
}

/// SHA-256 of what a request asks for, in hex: its text, which operation of it, and its variables in one spelling.
fn fingerprint(request: &Request) -> String {
    let asked = json!([request.query, request.operation_name, canonical(&request.variables)]);
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(asked.to_string()) {
        // Writing to a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The variables with the fields of every object in the order of their names.
fn canonical(variables: &Variables) -> Value {
    fn sorted(value: &async_graphql::Value) -> Value {
        match value {
            async_graphql::Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(name, _)| name.as_str());
                fields.into_iter().map(|(name, value)| json!([name, sorted(value)])).collect()
            }
            async_graphql::Value::List(items) => json!({ "list": items.iter().map(sorted).collect::<Vec<_>>() }),
            other => other.clone().into_json().unwrap_or_default(),
        }
    }
    // The outermost map is sorted by its type.
    variables.iter().map(|(name, value)| json!([name, sorted(value)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(query: &str, variables: Value) -> String {
        fingerprint(&Request::new(query).variables(Variables::from_json(variables)))
    }

    #[test]
    fn a_fingerprint_follows_the_content_not_its_spelling() {
        let query = "mutation ($i: I!) { make(input: $i) { id } }";
        let first: Value = serde_json::from_str(r#"{"i": {"a": 1, "b": {"x": [1, 2], "y": null}}}"#).unwrap();
        let same: Value = serde_json::from_str(r#"{"i": {"b": {"y": null, "x": [1, 2]}, "a": 1}}"#).unwrap();
        assert_eq!(print(query, first.clone()), print(query, same));
        assert_eq!(print(query, first.clone()).len(), 64);
        for other in [
            json!({ "i": { "a": 2, "b": { "x": [1, 2], "y": null } } }),
            json!({ "i": { "a": "1", "b": { "x": [1, 2], "y": null } } }),
            json!({ "i": { "a": 1, "b": { "x": [2, 1], "y": null } } }),
            json!({ "i": { "a": 1, "b": { "x": [1, 2] } } }),
            json!({ "i": { "a": 1, "b": { "x": { "1": 2 }, "y": null } } }),
        ] {
            assert_ne!(print(query, first.clone()), print(query, other.clone()), "{other}");
        }
        assert_ne!(print(query, first.clone()), print("mutation ($i: I!) { make(input: $i) { name } }", first));
    }

    #[test]
    fn an_answer_knows_its_status() {
        let failed = |code: Code, data: Value, path: bool| {
            let mut error = code.refuse("no");
            if path {
                error.path = vec![async_graphql::PathSegment::Field("a".into())];
            }
            let data = async_graphql::Value::from_json(data).unwrap();
            let mut response = Response::new(data);
            response.errors = vec![error];
            Answer::of(response, &Aftermath::default()).unwrap()
        };
        let validation = failed(Code::Validation, Value::Null, false);
        assert_eq!(validation.status, StatusCode::BAD_REQUEST);
        assert!(validation.about_document && !validation.body.contains("data"));
        assert_eq!(failed(Code::Unavailable, json!({ "a": null }), true).status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(failed(Code::Unavailable, json!({ "a": null, "b": 1 }), true).status, StatusCode::OK);
        assert_eq!(failed(Code::BadUserInput, Value::Null, true).status, StatusCode::OK);
        assert_eq!(failed(Code::Forbidden, Value::Null, false).status, StatusCode::FORBIDDEN);
        assert!(!failed(Code::Unavailable, Value::Null, true).keep);
        assert!(failed(Code::BadUserInput, Value::Null, true).keep);
    }
}
