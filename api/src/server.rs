//! The HTTP routes, and what holds for all of them: a request id in and out, errors as JSON, `Allow` with every 405.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use async_graphql::parser::Error as SchemaError;
use billing::Billing;
use futures::FutureExt;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, EndpointExt, IntoEndpoint, Request, Response, Route};
use serde_json::json;
use tracing::Instrument;

use crate::graphql::http::GraphQl;
use crate::graphql::run::Engine;
use crate::graphql::scope::RequestId;
use crate::health::{Readiness, Ready, healthy};
use crate::public;
use crate::webhooks::{STRIPE_PATH, StripeWebhook};

/// Seconds after which a caller that was sent away may come back.
const RETRY_AFTER_SECONDS: u32 = 5;

/// Everything this process answers over HTTP.
///
/// # Errors
/// The schema cannot be read back from its printed form: a mistake in the code, found at start.
pub fn routes(
    billing: &Billing,
    readiness: Readiness,
) -> Result<impl Endpoint<Output = Response> + use<>, SchemaError> {
    let engine = Engine::new(billing.clone())?;
    let routes = Route::new()
        .at("/graphql", GraphQl(engine))
        .at(STRIPE_PATH, Only::new(&[Method::POST], StripeWebhook(billing.clone())))
        .at("/healthz", Only::new(&[Method::GET, Method::HEAD], poem::endpoint::make_sync(|_| healthy())))
        .at("/readyz", Only::new(&[Method::GET, Method::HEAD], Ready { billing: billing.clone(), readiness }));
    Ok(public::routes(routes, billing).around(answer))
}

/// The id of a request that came through [`routes`].
pub(crate) fn request_id(request: &Request) -> RequestId {
    request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::fresh)
}

/// Tells a caller that came at a bad moment when to come back.
pub(crate) fn retry_after(response: &mut Response) {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
}

async fn answer<E: Endpoint>(inner: Arc<E>, mut request: Request) -> poem::Result<Response> {
    let given = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).and_then(RequestId::given);
    let id = given.unwrap_or_else(RequestId::fresh);
    request.extensions_mut().insert(id.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", request_id = %id, %method, path, organization = tracing::field::Empty);
    let begun = Instant::now();
    let work = async {
        let response = match AssertUnwindSafe(inner.get_response(request)).catch_unwind().await {
            Ok(response) => as_json(response, &id),
            Err(_) => {
                tracing::error!("a request panicked");
                problem(StatusCode::INTERNAL_SERVER_ERROR, &id)
            }
        };
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(status = response.status().as_u16(), milliseconds, "answered");
        response
    };
    let mut response = work.instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert("x-request-id", value);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// The router and its library say errors in plain text; everybody here reads JSON.
fn as_json(response: Response, id: &RequestId) -> Response {
    let status = response.status();
    let plain = response.content_type().is_none_or(|media| !media.contains("json"));
    if !plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let mut problem = problem(status, id);
    if let Some(allow) = response.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}

/// A problem document (RFC 9457) that says no more than its status.
fn problem(status: StatusCode, id: &RequestId) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "requestId": id.as_str() });
    let mut response = json_response(status, "application/problem+json", &body);
    retry_after(&mut response);
    response
}

/// An answer whose body is this JSON.
pub(crate) fn json_response(status: StatusCode, media: &str, body: &serde_json::Value) -> Response {
    Response::builder().status(status).content_type(media).body(body.to_string())
}

/// An endpoint of some methods; others are answered 405 with `Allow`, which the router's own 405 lacks.
pub struct Only<E> {
    methods: &'static [Method],
    inner: E,
}

impl<E: Endpoint> Only<E> {
    pub fn new(methods: &'static [Method], inner: impl IntoEndpoint<Endpoint = E>) -> Self {
        Only { methods, inner: inner.into_endpoint() }
    }
}

impl<E: Endpoint> Endpoint for Only<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if self.methods.contains(request.method()) {
            return Ok(self.inner.get_response(request).await);
        }
        let allow = self.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        Ok(Response::builder().status(StatusCode::METHOD_NOT_ALLOWED).header(header::ALLOW, allow).finish())
    }
}
