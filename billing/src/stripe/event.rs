//! An event as Stripe posts it: what it tells, and what has to be asked of Stripe beside it. Pure.
//!
//! The envelope of every event can be read, so every event can be stored; what is in it may be of a type or a shape
//! that is not known.

use billing_primitives::{MoneyError, Timestamp};
use serde_json::Value;
use thiserror::Error;

use super::facts::Fact;
use super::lookup::Lookup;
use super::{read, wire};

/// Why an event cannot be read. [`ParseError::NotAnEvent`] is about the envelope, everything else about the object in
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    #[error("the body is not an event: {0}")]
    NotAnEvent(String),
    #[error("the event's object cannot be read: {0}")]
    Object(String),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} seconds since 1970 is no instant")]
    Instant(i64),
    #[error("{0} is more than Stripe's largest amount, which has twelve digits")]
    TooLarge(String),
    #[error("a text holds a NUL character")]
    Nul,
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// The outside of an event: enough to store it, whatever is inside.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    pub id: String,
    /// Such as `invoice.paid`.
    pub kind: String,
    pub created: Timestamp,
    pub livemode: bool,
    pub api_version: Option<String>,
    /// The connected account that it is about; none: our own.
    pub account: Option<String>,
    pub object_id: Option<String>,
    object: Option<Value>,
}

/// What an event tells, and what to ask Stripe for to know the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    pub facts: Vec<Fact>,
    pub lookups: Vec<Lookup>,
}

/// An event with all that could be read from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    pub kind: String,
    pub created: Timestamp,
    pub livemode: bool,
    pub api_version: Option<String>,
    pub account: Option<String>,
    pub object_id: Option<String>,
    pub facts: Vec<Fact>,
    pub lookups: Vec<Lookup>,
}

impl Event {
    /// # Errors
    /// Any [`ParseError`]; whoever wants to keep the envelope then begins with [`Envelope::parse`].
    pub fn parse(body: &[u8]) -> Result<Event, ParseError> {
        let envelope = Envelope::parse(body)?;
        let News { facts, lookups } = envelope.news()?;
        let Envelope { id, kind, created, livemode, api_version, account, object_id, object: _ } = envelope;
        Ok(Event { id, kind, created, livemode, api_version, account, object_id, facts, lookups })
    }
}

impl Envelope {
    /// # Errors
    /// [`ParseError::NotAnEvent`], [`ParseError::Instant`].
    pub fn parse(body: &[u8]) -> Result<Envelope, ParseError> {
        let read: wire::Envelope =
            serde_json::from_slice(body).map_err(|error| ParseError::NotAnEvent(error.to_string()))?;
        let named = [&read.id, &read.kind].into_iter().chain(&read.api_version).chain(&read.account);
        if named.into_iter().any(|text| text.contains('\0')) {
            return Err(ParseError::NotAnEvent(ParseError::Nul.to_string()));
        }
        let object = read.data.and_then(|data| data.object);
        let object_id = object.as_ref().and_then(|object| object.get("id")?.as_str()).map(str::to_owned);
        Ok(Envelope {
            id: read.id,
            kind: read.kind,
            created: read::instant(read.created)?,
            livemode: read.livemode,
            api_version: read.api_version,
            account: read.account,
            object_id,
            object,
        })
    }

    /// Nothing for a type of event that is not used.
    ///
    /// # Errors
    /// Every [`ParseError`] but [`ParseError::NotAnEvent`].
    pub fn news(&self) -> Result<News, ParseError> {
        let Some(read) = reader(&self.kind) else { return Ok(News::default()) };
        read(self.object.as_ref().ok_or(ParseError::Missing("data.object"))?)
    }
}

type Reader = fn(&Value) -> Result<News, ParseError>;

/// How to read the object of an event, by the event's type; none for types that are not used.
fn reader(kind: &str) -> Option<Reader> {
    Some(match kind {
        "invoice.paid"
        | "invoice.payment_succeeded"
        | "invoice.payment_failed"
        | "invoice.finalized"
        | "invoice.updated"
        | "invoice.voided"
        | "invoice.marked_uncollectible"
        | "invoice.overpaid" => invoice,
        "invoice_payment.paid" => invoice_payment,
        "charge.refunded" => charge,
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => refund,
        "charge.dispute.created"
        | "charge.dispute.updated"
        | "charge.dispute.funds_withdrawn"
        | "charge.dispute.funds_reinstated"
        | "charge.dispute.closed" => dispute,
        "credit_note.created" | "credit_note.updated" | "credit_note.voided" => credit_note,
        "customer.subscription.created"
        | "customer.subscription.updated"
        | "customer.subscription.deleted"
        | "customer.subscription.paused"
        | "customer.subscription.resumed" => {
            |object| Ok(only(Fact::Subscription(read::subscription(read::object(object)?)?)))
        }
        "customer.created" | "customer.updated" => {
            |object| Ok(only(Fact::Customer(read::customer(read::object(object)?)?)))
        }
        "checkout.session.completed" => |object| Ok(only(Fact::Checkout(read::checkout(read::object(object)?)?))),
        _ => return None,
    })
}

fn only(fact: Fact) -> News {
    News { facts: vec![fact], lookups: Vec::new() }
}

fn invoice(object: &Value) -> Result<News, ParseError> {
    let (fact, link) = read::invoice(read::object(object)?)?;
    let mut lookups = Vec::new();
    if !fact.lines_complete {
        lookups.push(Lookup::InvoiceLines(fact.id.clone()));
    }
    // Since 2025-03-31.basil only its payments tell whether an invoice was paid outside Stripe; and the answer to the
    // question for its lines is of such a version.
    let says_how_paid = fact.out_of_band.is_some() && fact.lines_complete;
    if fact.status == "paid" && fact.amount_paid > 0 && !says_how_paid {
        lookups.push(Lookup::PaymentsOfInvoice(fact.id.clone()));
    }
    let facts = [Fact::Invoice(fact)].into_iter().chain(link.map(Fact::PaymentLink)).collect();
    Ok(News { facts, lookups })
}

fn invoice_payment(object: &Value) -> Result<News, ParseError> {
    let link = read::invoice_payment(read::object(object)?)?;
    Ok(News { facts: link.map(Fact::PaymentLink).into_iter().collect(), lookups: Vec::new() })
}

fn charge(object: &Value) -> Result<News, ParseError> {
    let charge = read::charge(read::object(object)?)?;
    let mut lookups = Vec::new();
    if !charge.refunds_complete {
        lookups.push(Lookup::RefundsOfCharge(charge.id));
    }
    if charge.link.is_none() {
        lookups.extend(charge.payment_intent.map(Lookup::PaymentsOfIntent));
    }
    let refunds = charge.refunds.into_iter().map(Fact::Refund);
    Ok(News { facts: charge.link.map(Fact::PaymentLink).into_iter().chain(refunds).collect(), lookups })
}

fn refund(object: &Value) -> Result<News, ParseError> {
    let fact = read::refund(read::object(object)?)?;
    let lookups = fact.payment_intent.clone().map(Lookup::PaymentsOfIntent).into_iter().collect();
    Ok(News { facts: vec![Fact::Refund(fact)], lookups })
}

fn dispute(object: &Value) -> Result<News, ParseError> {
    let fact = read::dispute(read::object(object)?)?;
    let lookups = fact.payment_intent.clone().map(Lookup::PaymentsOfIntent).into_iter().collect();
    Ok(News { facts: vec![Fact::Dispute(fact)], lookups })
}

fn credit_note(object: &Value) -> Result<News, ParseError> {
    let fact = read::credit_note(read::object(object)?)?;
    let lookups = if fact.lines_complete { None } else { Some(Lookup::CreditNoteLines(fact.id.clone())) };
    Ok(News { facts: vec![Fact::CreditNote(fact)], lookups: lookups.into_iter().collect() })
}
