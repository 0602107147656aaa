//! What Stripe posts, in the shape of version 2025-10-29.clover: invoices that were paid, and what becomes of the money
//! and of the subscriptions after that.
//!
//! Ids follow from the name of a bill: `in_NAME`, paid by `pi_NAME` and `ch_NAME`. Ids of events follow from the object,
//! the type and the time, so the same news told twice is one event.

use billing_primitives::Timestamp;
use serde_json::{Value, json};

use crate::desk::event;

/// Noon (UTC) of a day, in seconds since 1970.
pub fn noon(day: &str) -> i64 {
    let noon: Timestamp = format!("{day}T12:00:00Z").parse().expect("an instant");
    noon.microseconds() / 1_000_000
}

/// One line of a bill. Amounts are minor units.
#[derive(Debug, Clone)]
pub struct Line {
    amount: i64,
    /// VAT on top of the amount.
    tax: i64,
    price: String,
    /// None: a one-off item.
    subscription: Option<String>,
    proration: bool,
    period: (i64, i64),
}

impl Line {
    /// A period of `sub_1` at `price_1`.
    pub fn period(amount: i64, from: &str, until: &str) -> Line {
        Line::seconds(amount, noon(from), noon(until))
    }

    /// As [`Line::period`], in seconds since 1970.
    pub fn seconds(amount: i64, from: i64, until: i64) -> Line {
        let subscription = Some("sub_1".to_owned());
        Line { amount, tax: 0, price: "price_1".to_owned(), subscription, proration: false, period: (from, until) }
    }

    /// Something bought once, such as a setup.
    pub fn one_off(amount: i64, on: &str) -> Line {
        Line { subscription: None, price: "price_once".to_owned(), ..Line::period(amount, on, on) }
    }

    /// Bills a change within a period.
    pub fn prorated(self) -> Line {
        Line { proration: true, ..self }
    }

    pub fn at(self, price: &str) -> Line {
        Line { price: price.to_owned(), ..self }
    }

    pub fn of(self, subscription: &str) -> Line {
        Line { subscription: Some(subscription.to_owned()), ..self }
    }

    pub fn tax(self, tax: i64) -> Line {
        Line { tax, ..self }
    }

    fn object(&self, id: &str, currency: &str) -> Value {
        let one_off = self.subscription.is_none() || self.proration;
        let parent = if one_off {
            json!({ "type": "invoice_item_details", "subscription_item_details": null,
                "invoice_item_details": { "invoice_item": format!("ii_{id}"), "proration": self.proration,
                    "proration_details": null, "subscription": self.subscription } })
        } else {
            json!({ "type": "subscription_item_details", "invoice_item_details": null,
                "subscription_item_details": { "invoice_item": null, "proration": false,
                    "subscription": self.subscription, "subscription_item": format!("si_{id}") } })
        };
        json!({ "object": "line_item", "id": id, "amount": self.amount, "currency": currency, "quantity": 1,
            "discount_amounts": [], "discounts": [], "pretax_credit_amounts": [], "taxes": taxes(self.tax, self.amount),
            "period": { "start": self.period.0, "end": self.period.1 }, "parent": parent,
            "pricing": { "type": "price_details", "unit_amount_decimal": self.amount.to_string(),
                "price_details": { "price": self.price, "product": format!("prod_of_{}", self.price) } } })
    }
}

fn taxes(tax: i64, taxable: i64) -> Value {
    if tax == 0 {
        return json!([]);
    }
    json!([{ "amount": tax, "tax_behavior": "exclusive", "taxable_amount": taxable, "type": "tax_rate_details",
        "taxability_reason": "standard_rated", "tax_rate_details": { "tax_rate": "txr_1" } }])
}

/// An invoice that a customer paid.
#[derive(Debug, Clone)]
pub struct Bill {
    customer: String,
    name: String,
    currency: &'static str,
    paid_at: i64,
    lines: Vec<Line>,
    /// Paid from the customer's balance, not in cash.
    from_balance: i64,
}

impl Bill {
    /// Paid at noon of a day, in EUR, with no line yet.
    pub fn of(customer: &str, name: &str, paid_on: &str) -> Bill {
        Bill::at(customer, name, noon(paid_on))
    }

    /// As [`Bill::of`], in seconds since 1970.
    pub fn at(customer: &str, name: &str, paid_at: i64) -> Bill {
        let (customer, name) = (customer.to_owned(), name.to_owned());
        Bill { customer, name, currency: "eur", paid_at, lines: Vec::new(), from_balance: 0 }
    }

    /// One line of `sub_1` for the month that begins with the payment.
    pub fn month(customer: &str, name: &str, paid_on: &str, amount: i64) -> Bill {
        let at = noon(paid_on);
        Bill::of(customer, name, paid_on).line(Line::seconds(amount, at, at + 2_592_000))
    }

    pub fn line(mut self, line: Line) -> Bill {
        self.lines.push(line);
        self
    }

    pub fn from_balance(self, minor: i64) -> Bill {
        Bill { from_balance: minor, ..self }
    }

    fn sum(&self, of: fn(&Line) -> i64) -> i64 {
        self.lines.iter().map(of).sum()
    }

    /// What was paid in cash.
    pub fn cash(&self) -> i64 {
        self.sum(|line| line.amount + line.tax) - self.from_balance
    }

    /// `invoice.paid`.
    pub fn paid(&self) -> Value {
        let (net, tax, name) = (self.sum(|line| line.amount), self.sum(|line| line.tax), &self.name);
        let lines = self.lines.iter().enumerate();
        let lines: Vec<Value> =
            lines.map(|(index, line)| line.object(&format!("il_{name}_{index}"), self.currency)).collect();
        let subscription = self.lines.iter().find_map(|line| line.subscription.clone());
        let parent = subscription.map(|subscription| {
            json!({ "type": "subscription_details", "quote_details": null,
                "subscription_details": { "metadata": {}, "subscription": subscription } })
        });
        let object = json!({ "object": "invoice", "id": format!("in_{name}"), "customer": self.customer,
            "currency": self.currency, "status": "paid", "subtotal": net, "total_excluding_tax": net,
            "total_taxes": taxes(tax, net), "total": net + tax, "amount_due": self.cash(), "amount_paid": self.cash(),
            "amount_remaining": 0, "amount_overpaid": 0, "starting_balance": -self.from_balance, "ending_balance": 0,
            "total_discount_amounts": [], "shipping_cost": null, "billing_reason": "subscription_cycle",
            "livemode": true, "created": self.paid_at,
            "status_transitions": { "finalized_at": self.paid_at, "paid_at": self.paid_at },
            "lines": { "object": "list", "data": lines, "has_more": false, "total_count": self.lines.len() },
            "parent": parent });
        told("invoice.paid", self.paid_at, &object)
    }

    /// `invoice_payment.paid`: which payment paid it.
    pub fn link(&self) -> Value {
        let (name, cash) = (&self.name, self.cash());
        let object = json!({ "object": "invoice_payment", "id": format!("inpay_{name}"), "currency": self.currency,
            "invoice": format!("in_{name}"), "amount_paid": cash, "amount_requested": cash, "is_default": true,
            "status": "paid", "livemode": true, "created": self.paid_at,
            "payment": { "type": "payment_intent", "payment_intent": format!("pi_{name}") },
            "status_transitions": { "paid_at": self.paid_at, "canceled_at": null } });
        told("invoice_payment.paid", self.paid_at, &object)
    }

    /// Everything that Stripe says when it is paid.
    pub fn events(&self) -> [Value; 2] {
        [self.paid(), self.link()]
    }
}

/// An event of this type about an object at a time.
fn told(kind: &str, at: i64, object: &Value) -> Value {
    let id = object["id"].as_str().expect("an id");
    event(&format!("evt_{id}_{}_{at}", kind.replace('.', "_")), kind, at, object)
}

/// `refund.created`: part of what a bill was paid with goes back.
pub fn refunded(bill: &str, refund: &str, at: i64, minor: i64) -> Value {
    told("refund.created", at, &refund_object(bill, refund, minor, "succeeded"))
}

/// `refund.failed`: the money of a refund came back.
pub fn refund_failed(bill: &str, refund: &str, at: i64, minor: i64) -> Value {
    told("refund.failed", at, &refund_object(bill, refund, minor, "failed"))
}

fn refund_object(bill: &str, refund: &str, minor: i64, status: &str) -> Value {
    json!({ "object": "refund", "id": format!("re_{refund}"), "amount": minor, "currency": "eur", "status": status,
        "charge": format!("ch_{bill}"), "payment_intent": format!("pi_{bill}"), "reason": "requested_by_customer",
        "metadata": {} })
}

/// `charge.dispute.TYPE` about a bill. `moved` is what it did to the account's balance so far.
pub fn dispute(kind: &str, bill: &str, at: i64, minor: i64, status: &str, moved: &[i64]) -> Value {
    let movements: Vec<Value> = moved
        .iter()
        .map(|amount| json!({ "object": "balance_transaction", "amount": amount, "fee": 0, "net": amount }))
        .collect();
    let object = json!({ "object": "dispute", "id": format!("du_{bill}"), "amount": minor, "currency": "eur",
        "charge": format!("ch_{bill}"), "payment_intent": format!("pi_{bill}"), "status": status,
        "reason": "fraudulent", "balance_transactions": movements, "livemode": true, "metadata": {} });
    told(&format!("charge.dispute.{kind}"), at, &object)
}

/// `credit_note.created` over the first line of a bill, carried out by a refund of the same amount, which is told by an
/// event of its own ([`refunded`]).
pub fn credit_note(customer: &str, bill: &str, note: &str, refund: &str, at: i64, minor: i64) -> Value {
    let line = json!({ "object": "credit_note_line_item", "id": format!("cnli_{note}"), "amount": minor,
        "discount_amount": 0, "discount_amounts": [], "pretax_credit_amounts": [], "taxes": [], "quantity": 1,
        "type": "invoice_line_item", "invoice_line_item": format!("il_{bill}_0") });
    let object = json!({ "object": "credit_note", "id": format!("cn_{note}"), "customer": customer,
        "invoice": format!("in_{bill}"), "currency": "eur", "status": "issued", "type": "post_payment",
        "amount": minor, "subtotal": minor, "total": minor, "total_excluding_tax": minor, "out_of_band_amount": null,
        "customer_balance_transaction": null, "pre_payment_amount": 0, "post_payment_amount": minor,
        "refunds": [{ "type": "refund", "refund": format!("re_{refund}"), "amount_refunded": minor,
            "payment_record_refund": null }],
        "lines": { "object": "list", "data": [line], "has_more": false } });
    told("credit_note.created", at, &object)
}

/// A subscription as it is at a time.
#[derive(Debug, Clone)]
pub struct Subscribed {
    customer: String,
    id: String,
    price: String,
    seats: i64,
    started_at: i64,
    external_id: Option<String>,
}

impl Subscribed {
    /// One seat at `price_1`, from an instant on.
    pub fn of(customer: &str, id: &str, started_at: i64) -> Subscribed {
        let (customer, id, price) = (customer.to_owned(), id.to_owned(), "price_1".to_owned());
        Subscribed { customer, id, price, seats: 1, started_at, external_id: None }
    }

    pub fn to(self, price: &str, seats: i64) -> Subscribed {
        Subscribed { price: price.to_owned(), seats, ..self }
    }

    /// Names our customer in its metadata.
    pub fn naming(self, external_id: &str) -> Subscribed {
        Subscribed { external_id: Some(external_id.to_owned()), ..self }
    }

    /// `customer.subscription.created`, active at once.
    pub fn created(&self) -> Value {
        told("customer.subscription.created", self.started_at, &self.object("active", None, false))
    }

    /// `customer.subscription.updated`: somebody asked for its end at the end of the period.
    pub fn to_be_cancelled(&self, at: i64) -> Value {
        told("customer.subscription.updated", at, &self.object("active", None, true))
    }

    /// `customer.subscription.deleted`.
    pub fn deleted(&self, at: i64) -> Value {
        told("customer.subscription.deleted", at, &self.object("canceled", Some(at), false))
    }

    fn object(&self, status: &str, ended_at: Option<i64>, at_period_end: bool) -> Value {
        let price = json!({ "object": "price", "id": self.price, "product": format!("prod_of_{}", self.price) });
        let item = json!({ "object": "subscription_item", "id": format!("si_{}", self.id), "price": price,
            "quantity": self.seats });
        let metadata = match &self.external_id {
            Some(external_id) => json!({ "avance_customer": external_id }),
            None => json!({}),
        };
        json!({ "object": "subscription", "id": self.id, "customer": self.customer, "status": status,
            "cancel_at_period_end": at_period_end, "canceled_at": ended_at, "ended_at": ended_at,
            "start_date": self.started_at, "created": self.started_at, "discounts": [], "metadata": metadata,
            "items": { "object": "list", "data": [item], "has_more": false } })
    }
}
