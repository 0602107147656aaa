//! Stripe's side of a story: posts signed events to the real webhook, and has them processed.

use api::health::Readiness;
use billing::inbox::{self, NewEndpoint, Processed};
use hmac::{Hmac, KeyInit, Mac};
use poem::Response;
use poem::endpoint::{BoxEndpoint, EndpointExt};
use poem::http::StatusCode;
use poem::test::TestClient;
use serde_json::{Value, json};
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

/// An event of Stripe's about an object.
pub fn event(id: &str, kind: &str, at_unix: i64, object: &Value) -> Value {
    json!({ "object": "event", "id": id, "type": kind, "created": at_unix, "livemode": true,
        "api_version": "2025-10-29.clover", "data": { "object": object },
        "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null } })
}

/// What Stripe says when a customer pays an invoice of one subscription line: the payment, and which invoice it paid.
/// `number` tells invoices apart; a refund names `pi_<number>`.
pub fn paid_invoice(customer: &str, number: u32, currency: &str, at_unix: i64, minor: i64) -> [Value; 2] {
    let currency = currency.to_lowercase();
    let line = json!({ "object": "line_item", "id": format!("il_{number}"), "amount": minor, "currency": currency,
        "discount_amounts": [], "pretax_credit_amounts": [], "taxes": [], "quantity": 1,
        "period": { "start": at_unix, "end": at_unix + 2_592_000 },
        "parent": { "type": "subscription_item_details", "invoice_item_details": null,
            "subscription_item_details": { "proration": false, "subscription": "sub_1", "subscription_item": "si_1" } },
        "pricing": { "type": "price_details", "price_details": { "price": "price_1", "product": "prod_1" } } });
    let invoice = json!({ "object": "invoice", "id": format!("in_{number}"), "customer": customer, "currency": currency,
        "status": "paid", "total": minor, "amount_paid": minor, "amount_due": minor, "amount_remaining": 0,
        "subtotal": minor, "total_excluding_tax": minor, "total_taxes": [], "total_discount_amounts": [],
        "amount_overpaid": 0, "created": at_unix, "billing_reason": "subscription_cycle", "livemode": true,
        "status_transitions": { "paid_at": at_unix, "finalized_at": at_unix },
        "lines": { "object": "list", "data": [line], "has_more": false, "total_count": 1 },
        "parent": { "type": "subscription_details", "subscription_details": { "subscription": "sub_1" } } });
    let payment = json!({ "object": "invoice_payment", "id": format!("inpay_{number}"), "currency": currency,
        "invoice": format!("in_{number}"), "amount_paid": minor, "amount_requested": minor, "is_default": true,
        "status": "paid", "livemode": true, "created": at_unix,
        "payment": { "type": "payment_intent", "payment_intent": format!("pi_{number}") },
        "status_transitions": { "paid_at": at_unix, "canceled_at": null } });
    [
        event(&format!("evt_paid_{number}"), "invoice.paid", at_unix, &invoice),
        event(&format!("evt_link_{number}"), "invoice_payment.paid", at_unix, &payment),
    ]
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
        let routes = api::server::routes(&app.billing, Readiness::default()).expect("routes");
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
