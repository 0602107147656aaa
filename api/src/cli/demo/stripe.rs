//! What Stripe would post about the demonstration's customers, in the shape of version 2025-10-29.clover.
//!
//! Ids follow from the customer and the month of the story, so telling it again tells the same events.

use billing_primitives::Timestamp;
use serde_json::{Value, json};

use super::cast::Buyer;

/// Days that a line bills, in seconds.
const PERIOD: i64 = 30 * 86_400;

/// An event that is to be delivered.
pub struct Event {
    pub id: String,
    pub body: String,
}

fn event(kind: &str, at: i64, object: &Value) -> Event {
    let of = object["id"].as_str().unwrap_or_default();
    let id = format!("evt_{of}_{}", kind.replace('.', "_"));
    let body = json!({
        "object": "event", "id": id, "type": kind, "created": at, "livemode": true,
        "api_version": "2025-10-29.clover", "data": { "object": object }, "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": null },
    });
    Event { id, body: body.to_string() }
}

/// What the ids of a payment have in common.
fn bill(buyer: &Buyer, month: usize) -> String {
    format!("demo_{}_{month:02}", buyer.tag())
}

/// Stripe's id of the invoice of a month.
pub fn invoice_id(buyer: &Buyer, month: usize) -> String {
    format!("in_{}", bill(buyer, month))
}

/// Seconds since 1970.
pub fn unix(at: Timestamp) -> i64 {
    at.microseconds() / 1_000_000
}

/// `invoice.paid`, and `invoice_payment.paid`, which says by which payment.
pub fn paid(buyer: &Buyer, month: usize, at: Timestamp) -> [Event; 2] {
    let (at, name, net, gross) = (unix(at), bill(buyer, month), buyer.net, buyer.gross());
    let subscription = format!("sub_demo_{}", buyer.tag());
    let taxes = json!([{ "amount": gross - net, "tax_behavior": "exclusive", "taxable_amount": net,
        "type": "tax_rate_details", "taxability_reason": "standard_rated",
        "tax_rate_details": { "tax_rate": "txr_demo_25" } }]);
    let line = json!({
        "object": "line_item", "id": format!("il_{name}"), "amount": net, "currency": "dkk", "quantity": 1,
        "discount_amounts": [], "discounts": [], "pretax_credit_amounts": [], "taxes": taxes,
        "period": { "start": at, "end": at + PERIOD },
        "parent": { "type": "subscription_item_details", "invoice_item_details": null,
            "subscription_item_details": { "invoice_item": null, "proration": false, "subscription": subscription,
                "subscription_item": format!("si_demo_{}", buyer.tag()) } },
        "pricing": { "type": "price_details", "unit_amount_decimal": net.to_string(),
            "price_details": { "price": "price_demo_month", "product": "prod_demo" } },
    });
    let invoice = json!({
        "object": "invoice", "id": invoice_id(buyer, month), "customer": buyer.stripe_id(), "currency": "dkk",
        "status": "paid", "subtotal": net, "total_excluding_tax": net, "total_taxes": taxes, "total": gross,
        "amount_due": gross, "amount_paid": gross, "amount_remaining": 0, "amount_overpaid": 0,
        "starting_balance": 0, "ending_balance": 0, "total_discount_amounts": [], "shipping_cost": null,
        "billing_reason": "subscription_cycle", "livemode": true, "created": at,
        "status_transitions": { "finalized_at": at, "paid_at": at },
        "lines": { "object": "list", "data": [line], "has_more": false, "total_count": 1 },
        "parent": { "type": "subscription_details", "quote_details": null,
            "subscription_details": { "metadata": {}, "subscription": subscription } },
    });
    let payment = json!({
        "object": "invoice_payment", "id": format!("inpay_{name}"), "currency": "dkk",
        "invoice": invoice_id(buyer, month), "amount_paid": gross, "amount_requested": gross, "is_default": true,
        "status": "paid", "livemode": true, "created": at,
        "payment": { "type": "payment_intent", "payment_intent": format!("pi_{name}") },
        "status_transitions": { "paid_at": at, "canceled_at": null },
    });
    [event("invoice.paid", at, &invoice), event("invoice_payment.paid", at, &payment)]
}

/// `refund.created`: part of a month's payment goes back.
pub fn refunded(buyer: &Buyer, month: usize, at: Timestamp, amount: i64) -> Event {
    let (at, name) = (unix(at), bill(buyer, month));
    let refund = json!({
        "object": "refund", "id": format!("re_{name}"), "amount": amount, "currency": "dkk", "status": "succeeded",
        "charge": format!("ch_{name}"), "payment_intent": format!("pi_{name}"), "created": at,
        "reason": "requested_by_customer", "metadata": {},
    });
    event("refund.created", at, &refund)
}

/// `charge.dispute.funds_withdrawn`: the customer's bank takes a month's payment back.
pub fn disputed(buyer: &Buyer, month: usize, at: Timestamp, amount: i64) -> Event {
    let (at, name) = (unix(at), bill(buyer, month));
    let withdrawn = json!([{ "object": "balance_transaction", "amount": -amount, "fee": 0, "net": -amount }]);
    let dispute = json!({
        "object": "dispute", "id": format!("du_{name}"), "amount": amount, "currency": "dkk",
        "charge": format!("ch_{name}"), "payment_intent": format!("pi_{name}"), "status": "needs_response",
        "reason": "unrecognized", "balance_transactions": withdrawn, "livemode": true, "created": at, "metadata": {},
    });
    event("charge.dispute.funds_withdrawn", at, &dispute)
}
