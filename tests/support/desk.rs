//! Stripe's side of a story: posts signed events to the real webhook, and has them processed.

use billing::inbox::{self, NewEndpoint, Processed};
use hmac::{Hmac, KeyInit, Mac};
use poem::Response;
use poem::endpoint::{BoxEndpoint, EndpointExt};
use poem::http::StatusCode;
use poem::test::TestClient;
use serde_json::Value;
use sha2::Sha256;

use crate::app::App;

/// The signing secret of every desk.
pub const SECRET: &str = "whsec_0123456789abcdef0123456789abcdef";

/// Delivers events to endpoints of one organization.
pub struct Desk {
    app: App,
    client: TestClient<BoxEndpoint<'static, Response>>,
    endpoints: Vec<String>,
}

/// The header with which Stripe signs a body at a time.
pub fn signature(secret: &str, at_unix: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(format!("{at_unix}.{body}").as_bytes());
    format!("t={at_unix},v1={}", hex::encode(mac.finalize().into_bytes()))
}

impl Desk {
    /// A desk that posts to `endpoints` addresses of the organization's.
    pub async fn of(app: &App, endpoints: usize) -> Desk {
        let mut ids = Vec::new();
        for number in 0..endpoints {
            let new = NewEndpoint { name: format!("endpoint {number}"), secrets: vec![SECRET.to_owned()] };
            let made = inbox::add_endpoint(&app.billing, &app.caller(), &new).await.expect("an endpoint");
            ids.push(made.into_inner().id.to_string());
        }
        let routes = api::server::routes(&app.billing).expect("routes");
        Desk { app: app.clone(), client: TestClient::new(routes.boxed()), endpoints: ids }
    }

    /// Posts an event, signed at the story's time; the answer must be an acknowledgement.
    pub async fn post(&self, endpoint: usize, event: &Value) {
        let body = event.to_string();
        let now = match &self.app.billing.clock {
            billing::Clock::Manual(hand) => *hand.read().expect("a clock"),
            billing::Clock::Database => panic!("stories have a clock of their own"),
        };
        let header = signature(SECRET, now.microseconds() / 1_000_000, &body);
        let path = format!("/webhooks/stripe/{}", self.endpoints[endpoint]);
        let answer = self.client.post(path).header("stripe-signature", header).body(body).send().await;
        answer.assert_status(StatusCode::OK);
    }

    /// Processes an event that was posted.
    pub async fn process(&self, event: &Value) {
        let id = event["id"].as_str().expect("an id");
        let done = inbox::process(&self.app.billing, self.app.organization, id).await.expect("processed");
        assert_eq!(done, Processed::Done, "{id}");
    }

    /// Posts an event and processes it.
    pub async fn deliver(&self, event: &Value) {
        self.post(0, event).await;
        self.process(event).await;
    }
}
