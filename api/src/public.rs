//! What a seller's own site may send without a secret: touches, registrations, leads, claims and applications.
//!
//! The organization is named by its publishable key or by the host name. Nothing can be read here, and no answer tells
//! whether a code or an e-mail address is known. Any site may call, for no answer depends on who its visitor is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use billing::attribution::applicants::{self, Applicant};
use billing::attribution::claims;
use billing::attribution::leads::{self, NewLead};
use billing::attribution::registration::{self, Registration};
use billing::attribution::touches::{self, Clues};
use billing::organizations::public;
use billing::programs::terms::TouchSource;
use billing::{Billing, DbError, Refusal};
use billing_primitives::OrganizationId;
use poem::error::ReadBodyError;
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use poem::{Addr, Endpoint, Request, Response, Route};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::graphql::scope::RequestId;
use crate::server::{Only, request_id, retry_after};
use crate::throttle::{Source, Throttle};

/// The longest body that is read, in bytes.
const LONGEST_BODY: usize = 16 * 1024;

/// Requests of one address in a minute, over all of these endpoints.
const A_MINUTE: u32 = 60;

/// What somebody is told who names no organization.
const NOBODY: &str = "a publishable key is needed, avp_…: as `Authorization: Bearer`, or as `key` in the body";

const METHODS: &[Method] = &[Method::POST, Method::OPTIONS];

/// The routes with these endpoints added.
pub fn routes(route: Route, billing: &Billing) -> Route {
    let throttle = Arc::new(Throttle::new(A_MINUTE, Duration::from_secs(60)));
    let door = |what| Only::new(METHODS, Door { billing: billing.clone(), throttle: throttle.clone(), what });
    route
        .at("/public/touches", door(What::Touch))
        .at("/public/customers", door(What::Customer))
        .at("/public/leads", door(What::Lead))
        .at("/public/claims", door(What::Claim))
        .at("/public/applications", door(What::Application))
}

#[derive(Debug, Clone, Copy)]
enum What {
    Touch,
    Customer,
    Lead,
    Claim,
    Application,
}

struct Door {
    billing: Billing,
    throttle: Arc<Throttle>,
    what: What,
}

impl Endpoint for Door {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let id = request_id(&request);
        let mut response = match *request.method() {
            Method::OPTIONS => preflight(),
            _ => match self.answer(&mut request).await {
                Ok(body) => written(StatusCode::OK, "application/json", &body),
                Err(problem) => problem.response(&id),
            },
        };
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after, x-request-id"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// What a browser asks before it lets a page call.
fn preflight() -> Response {
    Response::builder()
        .status(StatusCode::NO_CONTENT)
        .header(header::ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS")
        .header(header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, x-request-id")
        .header(header::ACCESS_CONTROL_MAX_AGE, "86400")
        .finish()
}

impl Door {
    async fn answer(&self, request: &mut Request) -> Result<Value, Problem> {
        let address = address(request);
        self.throttle.enter(Source::of(address), Instant::now()).map_err(Problem::TooMany)?;
        let mut body = body(request).await?;
        let organization = self.organization(request.headers(), body.remove("key")).await?;
        tracing::Span::current().record("organization", tracing::field::display(organization));
        let clues = |url, referrer| Clues {
            url,
            referrer,
            user_agent: text(request.headers(), header::USER_AGENT).map(str::to_owned),
            address: address.map(|address| address.to_string()),
        };
        match self.what {
            What::Touch => {
                let asked: TouchBody = read(body)?;
                let (source, clues) = (asked.source.unwrap_or(TouchSource::Link), clues(asked.url, asked.referrer));
                let visitor = asked.visitor.as_deref();
                let token = touches::note(&self.billing, organization, &asked.code, source, visitor, &clues).await?;
                Ok(json!({ "visitor": token.reveal() }))
            }
            What::Customer => {
                let registration = read::<CustomerBody>(body)?.registration(clues(None, None));
                registration::register_visitor(&self.billing, organization, &registration).await?;
                Ok(json!({ "status": "ok" }))
            }
            What::Lead => {
                let lead = read::<LeadBody>(body)?.lead(clues);
                let token = leads::submit(&self.billing, organization, &lead).await?;
                Ok(json!({ "visitor": token.reveal() }))
            }
            What::Claim => {
                let asked: ClaimBody = read(body)?;
                let claimed = claims::redeem_visitor(&self.billing, organization, &asked.token, &asked.email).await?;
                Ok(json!({ "customer": { "externalId": claimed.external_id, "name": claimed.name } }))
            }
            What::Application => {
                let applicant = read::<ApplicationBody>(body)?.applicant();
                applicants::submit(&self.billing, organization, &applicant).await?;
                Ok(json!({ "status": "ok" }))
            }
        }
    }

    /// Whom a request is for: by the key of its header, else by that of its body, else by its host.
    async fn organization(&self, headers: &HeaderMap, key: Option<Value>) -> Result<OrganizationId, Problem> {
        let bearer = text(headers, header::AUTHORIZATION).map(|value| match value.split_once(' ') {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
            _ => "",
        });
        let given = bearer.or_else(|| key.as_ref().map(|key| key.as_str().unwrap_or_default()));
        let found = match (given, text(headers, header::HOST)) {
            (Some(key), _) if key.starts_with("avp_") && key.len() <= 100 => {
                public::by_publishable_key(&self.billing, key).await?
            }
            (None, Some(host)) => public::by_host(&self.billing, host).await?,
            _ => None,
        };
        found.ok_or(Problem::Nobody)
    }
}

fn address(request: &Request) -> Option<IpAddr> {
    match &request.remote_addr().0 {
        Addr::SocketAddr(address) => Some(address.ip()),
        _ => None,
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn body(request: &mut Request) -> Result<Map<String, Value>, Problem> {
    let bytes = request.take_body().into_bytes_limit(LONGEST_BODY).await.map_err(|error| match error {
        ReadBodyError::PayloadTooLarge => Problem::TooLarge,
        _ => Problem::Malformed("the body could not be read".to_owned()),
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::Malformed(format!("the body is not a JSON object: {error}")))
}

fn read<T: DeserializeOwned>(body: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(body)).map_err(|error| Problem::Malformed(error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TouchBody {
    code: String,
    source: Option<TouchSource>,
    visitor: Option<String>,
    url: Option<String>,
    referrer: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CustomerBody {
    external_id: String,
    name: String,
    email: Option<String>,
    country: Option<String>,
    #[serde(default)]
    visitors: Vec<String>,
    code: Option<String>,
}

impl CustomerBody {
    fn registration(self, clues: Clues) -> Registration {
        Registration {
            external_id: self.external_id,
            name: self.name,
            email: self.email,
            country: self.country,
            stripe_customer_id: None,
            visitors: self.visitors,
            code: self.code,
            registered_at: None,
            clues,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LeadBody {
    code: String,
    name: String,
    email: String,
    company: Option<String>,
    message: Option<String>,
    visitor: Option<String>,
    url: Option<String>,
    referrer: Option<String>,
}

impl LeadBody {
    fn lead(self, clues: impl FnOnce(Option<String>, Option<String>) -> Clues) -> NewLead {
        NewLead {
            code: self.code,
            name: self.name,
            email: self.email,
            company: self.company,
            message: self.message,
            visitor: self.visitor,
            clues: clues(self.url, self.referrer),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClaimBody {
    token: String,
    email: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApplicationBody {
    program: Option<String>,
    legal_name: String,
    contact_name: String,
    email: String,
    country: String,
    website: Option<String>,
    #[serde(default)]
    message: String,
    code: Option<String>,
}

impl ApplicationBody {
    fn applicant(self) -> Applicant {
        Applicant {
            program: self.program,
            legal_name: self.legal_name,
            contact_name: self.contact_name,
            email: self.email,
            country: self.country,
            website: self.website,
            message: self.message,
            code: self.code,
        }
    }
}

/// Why nothing was done.
#[derive(Debug)]
enum Problem {
    /// No organization is named, or none of that name is known.
    Nobody,
    Malformed(String),
    TooLarge,
    TooMany(Duration),
    Refused(Refusal),
    Fault(billing::Error),
}

impl From<billing::Error> for Problem {
    fn from(error: billing::Error) -> Self {
        match error {
            billing::Error::Refused(refusal) => Problem::Refused(refusal),
            fault => Problem::Fault(fault),
        }
    }
}

impl Problem {
    /// As a problem document (RFC 9457).
    fn response(self, id: &RequestId) -> Response {
        let (status, code, detail) = match &self {
            Problem::Nobody => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", NOBODY.to_owned()),
            Problem::Malformed(reason) => (StatusCode::BAD_REQUEST, "BAD_REQUEST", reason.clone()),
            Problem::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "BAD_REQUEST", "a body has at most 16 KB".to_owned()),
            Problem::TooMany(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", "too many requests from this address".to_owned())
            }
            Problem::Refused(refusal) => (StatusCode::UNPROCESSABLE_ENTITY, refusal.code(), refusal.to_string()),
            Problem::Fault(fault) => {
                tracing::error!(request_id = %id, cause = ?fault, "a public request failed");
                let passing = matches!(fault, billing::Error::Db(error) if DbError::is_passing(error));
                match passing {
                    true => (StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", "try again".to_owned()),
                    false => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR", "a fault".to_owned()),
                }
            }
        };
        let field = match &self {
            Problem::Refused(refusal) => refusal.field(),
            Problem::Malformed(reason) => named(reason),
            _ => None,
        };
        let title = status.canonical_reason().unwrap_or("Error");
        let body = json!({
            "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail, "code": code,
            "field": field, "requestId": id.as_str(),
        });
        let mut response = written(status, "application/problem+json", &body);
        retry_after(&mut response);
        if let Problem::TooMany(wait) = self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

/// The field of the body that is missing, or that nobody asks for.
fn named(reason: &str) -> Option<&str> {
    let rest = reason.strip_prefix("missing field `").or_else(|| reason.strip_prefix("unknown field `"))?;
    rest.split_once('`').map(|(field, _)| field)
}

fn written(status: StatusCode, media: &str, body: &Value) -> Response {
    Response::builder().status(status).content_type(media).body(body.to_string())
}
