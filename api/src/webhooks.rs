//! `/webhooks/stripe/{endpoint}`: where Stripe posts its events.
//!
//! Nothing is looked at here but the length: the body goes to the inbox as it came, because the signature is over its
//! bytes. An acknowledged event is stored; whoever is turned away learns no reason.

use billing::inbox::{self, Received, Rejected};
use billing::{Billing, Error};
use poem::error::ReadBodyError;
use poem::http::StatusCode;
use poem::{Endpoint, Request, Response};
use serde_json::json;
use tracing::Instrument;

use crate::server::json_response;

/// Where the endpoint's id stands in the path.
pub const STRIPE_PATH: &str = "/webhooks/stripe/:endpoint";

/// The longest event that is read, in bytes.
pub const LONGEST_EVENT: usize = 512 * 1024;

/// The path that Stripe is given for an endpoint.
pub fn stripe_path(endpoint: billing_primitives::StripeEndpointId) -> String {
    STRIPE_PATH.replace(":endpoint", &endpoint.to_string())
}

/// Receives events.
pub struct StripeWebhook(pub Billing);

impl Endpoint for StripeWebhook {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let endpoint = request.raw_path_param("endpoint").unwrap_or_default().to_owned();
        let signature = request.header("stripe-signature").unwrap_or_default().to_owned();
        let body = request.take_body().into_bytes_limit(LONGEST_EVENT).await;
        let billing = self.0.clone();
        // A task of its own: whoever hangs up in the middle does not stop what has begun.
        let work = async move {
            match body {
                Ok(body) => answer(inbox::receive(&billing, &endpoint, &signature, &body).await),
                Err(ReadBodyError::PayloadTooLarge) => match inbox::reject(&billing, &endpoint).await {
                    Ok(()) => status(StatusCode::PAYLOAD_TOO_LARGE),
                    Err(rejected) => turned_away(&rejected),
                },
                Err(_) => status(StatusCode::BAD_REQUEST),
            }
        };
        Ok(tokio::spawn(work.in_current_span()).await.unwrap_or_else(|error| {
            tracing::error!(%error, "receiving an event broke off");
            status(StatusCode::INTERNAL_SERVER_ERROR)
        }))
    }
}

fn answer(received: Result<Received, Rejected>) -> Response {
    match received {
        Ok(Received::Now | Received::Before) => {
            json_response(StatusCode::OK, "application/json", &json!({ "received": true }))
        }
        Err(rejected) => turned_away(&rejected),
    }
}

/// Why an event was not taken, for the log; the answer says no more than its status.
fn turned_away(rejected: &Rejected) -> Response {
    status(match rejected {
        Rejected::Unknown => StatusCode::NOT_FOUND,
        Rejected::Signature(error) => {
            tracing::warn!(%error, "an event was turned away");
            StatusCode::BAD_REQUEST
        }
        Rejected::Fault(Error::Db(error)) if error.is_passing() => {
            tracing::warn!(%error, "the database is not available");
            StatusCode::SERVICE_UNAVAILABLE
        }
        Rejected::Fault(error) => {
            tracing::error!(%error, "an event could not be received");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    })
}

/// Empty: every answer that is an error becomes a problem document on its way out.
fn status(status: StatusCode) -> Response {
    Response::builder().status(status).finish()
}
