//! `/graphql`: GraphQL over HTTP, one operation a request.
//!
//! A browser's form cannot send one: POST is `application/json` alone, and GET executes queries alone.

use async_graphql::{ServerError, Variables};
use billing::Billing;
use poem::error::ReadBodyError;
use poem::http::{Method, StatusCode, header};
use poem::{Body, Endpoint, Request, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::errors::{self, Code};
use super::negotiation::{self, Media};
use super::run::{Answer, Ask, Engine};
use super::scope::RequestId;
use crate::auth::{self, AuthError, Session};
use crate::server::{request_id, retry_after};

/// The longest body that is read, in bytes.
pub const LONGEST_BODY: usize = 128 * 1024;

/// The endpoint.
pub struct GraphQl(pub Engine);

impl Endpoint for GraphQl {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let (id, body) = (request_id(&request), request.take_body());
        let Some(media) = Media::accepted(request.headers()) else {
            let answer = refused(StatusCode::NOT_ACCEPTABLE, "answers are application/graphql-response+json");
            return Ok(written(&answer, Media::GraphQl));
        };
        let answer = match self.ask(&request, body, &id).await {
            Ok(ask) => self.0.run(ask).await,
            Err(answer) => *answer,
        };
        let mut response = written(&answer, media);
        if answer.status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = if request.method() == Method::GET { "POST" } else { "GET, POST" };
            response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allowed));
        }
        Ok(response)
    }
}

impl GraphQl {
    async fn ask(&self, request: &Request, body: Body, id: &RequestId) -> Result<Ask, Box<Answer>> {
        let safe = match *request.method() {
            Method::GET => true,
            Method::POST if negotiation::is_json(request.headers()) => false,
            Method::POST => {
                return Err(Box::new(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json in UTF-8")));
            }
            _ => return Err(Box::new(refused(StatusCode::METHOD_NOT_ALLOWED, "use POST, or GET for queries"))),
        };
        let session = session(&self.0.billing, request, id).await.map_err(|error| Box::new(Answer::refused(error)))?;
        tracing::Span::current().record("organization", tracing::field::display(session.caller.organization));
        let asked = if safe { from_url(request) } else { from_body(body).await }?;
        let key = request.headers().get_all("idempotency-key").iter().map(|key| key.to_str().unwrap_or_default());
        let keys: Vec<&str> = key.collect();
        let key = match keys.as_slice() {
            [] => None,
            [key] => Some((*key).to_owned()),
            _ => return Err(Box::new(refused(StatusCode::BAD_REQUEST, "one Idempotency-Key is enough"))),
        };
        Ok(Ask { request: asked, session, id: id.clone(), key, safe })
    }
}

async fn session(billing: &Billing, request: &Request, id: &RequestId) -> Result<Session, ServerError> {
    auth::session(billing, request.headers()).await.map_err(|error| match error {
        AuthError::Missing | AuthError::Invalid => Code::Unauthenticated.refuse(error.to_string()),
        AuthError::Fault(fault) => errors::fault(&fault, id),
    })
}

/// The members of a request; members nobody knows are passed over, as the specification asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<Map<String, Value>>,
}

impl Asked {
    fn request(self) -> Result<async_graphql::Request, Box<Answer>> {
        let query = self.query.filter(|query| !query.is_empty()).ok_or_else(|| bad("query is missing"))?;
        let mut request = async_graphql::Request::new(query);
        request.operation_name = self.operation_name.filter(|name| !name.is_empty());
        request.variables = Variables::from_json(Value::Object(self.variables.unwrap_or_default()));
        Ok(request)
    }
}

async fn from_body(body: Body) -> Result<async_graphql::Request, Box<Answer>> {
    let bytes = body.into_bytes_limit(LONGEST_BODY).await.map_err(|error| match error {
        ReadBodyError::PayloadTooLarge => Box::new(refused(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 128 KB")),
        _ => bad("the body could not be read"),
    })?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| bad(&format!("the body is not JSON: {error}")))?;
    if value.is_array() {
        return Err(bad("one operation a request: batches are not supported"));
    }
    let asked: Asked =
        serde_json::from_value(value).map_err(|error| bad(&format!("not a GraphQL request: {error}")))?;
    asked.request()
}

/// As [`Asked`], from the query of a URL, where `variables` is a JSON text.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AskedInUrl {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
}

fn from_url(request: &Request) -> Result<async_graphql::Request, Box<Answer>> {
    let asked: AskedInUrl = request.params().map_err(|error| bad(&format!("not a GraphQL request: {error}")))?;
    let variables = match asked.variables.as_deref() {
        None | Some("") => None,
        Some(text) => serde_json::from_str(text).map_err(|error| bad(&format!("variables are not JSON: {error}")))?,
    };
    Asked { query: asked.query, operation_name: asked.operation_name, variables }.request()
}

fn bad(message: &str) -> Box<Answer> {
    Box::new(refused(StatusCode::BAD_REQUEST, message))
}

/// The request is no GraphQL request, in a way that has a status of its own.
fn refused(status: StatusCode, message: &str) -> Answer {
    Answer::refused_as(status, Code::BadRequest.refuse(message))
}

fn written(answer: &Answer, media: Media) -> Response {
    let status = media.status(answer);
    let mut response = Response::builder()
        .status(status)
        .content_type(media.content_type())
        .header(header::CACHE_CONTROL, "no-store")
        .body(answer.body.clone());
    if answer.replayed {
        response.headers_mut().insert("idempotency-replayed", header::HeaderValue::from_static("true"));
    }
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"avance\""));
    }
    retry_after(&mut response);
    response
}
