//! From Stripe's JSON to facts: where the shapes of its API versions become one. Pure.
//!
//! What a fact cannot do without and is missing is an error, never zero.

use billing_primitives::Timestamp;
use serde_json::Value;

use super::event::ParseError;
use super::facts::{
    CheckoutFact, CreditNoteFact, CreditNoteLine, CreditedRefund, CustomerFact, DisputeFact, InvoiceFact, InvoiceLine,
    LineKind, PaymentLinkFact, RefundFact, SubscriptionFact, SubscriptionItem, net,
};
use super::wire::{self, id, texts};

type Parsed<T> = Result<T, ParseError>;

fn need<T>(value: Option<T>, field: &'static str) -> Parsed<T> {
    value.ok_or(ParseError::Missing(field))
}

/// The largest amount that Stripe takes has twelve digits. What is larger would only make sums overflow.
const LARGEST: u64 = 999_999_999_999;

/// Refuses what Stripe does not write, wherever it stands in the object: numbers beyond its largest amount, and texts
/// that no database keeps.
fn sound(value: &Value) -> Parsed<()> {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(whole) if whole.unsigned_abs() > LARGEST => Err(ParseError::TooLarge(number.to_string())),
            None if number.is_u64() => Err(ParseError::TooLarge(number.to_string())),
            _ => Ok(()),
        },
        Value::String(text) if text.contains('\0') => Err(ParseError::Nul),
        Value::Array(items) => items.iter().try_for_each(sound),
        Value::Object(fields) => fields
            .iter()
            .try_for_each(|(name, value)| if name.contains('\0') { Err(ParseError::Nul) } else { sound(value) }),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

/// The object as `T`.
pub fn object<T: serde::de::DeserializeOwned>(object: &Value) -> Parsed<T> {
    sound(object)?;
    T::deserialize(object).map_err(|error| ParseError::Object(error.to_string()))
}

/// Seconds since 1970 as an instant.
pub fn instant(seconds: i64) -> Parsed<Timestamp> {
    let microseconds = seconds.checked_mul(1_000_000).ok_or(ParseError::Instant(seconds))?;
    Timestamp::from_microseconds(microseconds).map_err(|_| ParseError::Instant(seconds))
}

fn instants(seconds: Option<i64>) -> Parsed<Option<Timestamp>> {
    seconds.map(instant).transpose()
}

/// Whether a list is all there is, and what is in it.
fn list<T>(list: Option<wire::List<T>>) -> (bool, Vec<T>) {
    let Some(list) = list else { return (false, Vec::new()) };
    (list.has_more == Some(false) && list.data.is_some(), list.data.unwrap_or_default())
}

/// An invoice, and what it says about its payment.
pub fn invoice(mut invoice: wire::Invoice) -> Parsed<(InvoiceFact, Option<PaymentLinkFact>)> {
    let invoice_id = need(invoice.id.take(), "invoice.id")?;
    let total = need(invoice.total, "invoice.total")?;
    let total_excluding_tax = match (invoice.total_excluding_tax, tax(&invoice)?) {
        // Parts that do not make the total say nothing.
        (Some(part), Some(tax)) if net([part, tax], [])? != total => None,
        (Some(part), _) => Some(part),
        (None, Some(tax)) => Some(net([total], [tax])?),
        (None, None) => None,
    };
    let link = invoice_link(&invoice_id, &mut invoice);
    let parent = invoice.parent.and_then(|parent| parent.subscription_details).and_then(|of| of.subscription);
    let (lines_complete, lines) = list(invoice.lines);
    let shipping_net = match invoice.shipping_cost {
        None => 0,
        Some(cost) => {
            net([need(cost.amount_total, "shipping_cost.amount_total")?], [cost.amount_tax.unwrap_or_default()])?
        }
    };
    let fact = InvoiceFact {
        id: invoice_id,
        customer: id(invoice.customer),
        subscription: id(parent.or(invoice.subscription)),
        currency: need(invoice.currency, "invoice.currency")?.to_ascii_uppercase(),
        status: need(invoice.status, "invoice.status")?,
        total,
        amount_due: need(invoice.amount_due, "invoice.amount_due")?,
        amount_paid: need(invoice.amount_paid, "invoice.amount_paid")?,
        amount_overpaid: invoice.amount_overpaid.unwrap_or_default(),
        out_of_band: invoice.paid_out_of_band,
        paid_at: instants(invoice.status_transitions.and_then(|at| at.paid_at))?,
        total_excluding_tax,
        shipping_net,
        lines: lines.into_iter().map(invoice_line).collect::<Parsed<_>>()?,
        lines_complete,
        created: instants(invoice.created)?,
    };
    Ok((fact, link))
}

/// All tax of an invoice, for versions that do not state what is without it; none when they do not state tax either.
fn tax(invoice: &wire::Invoice) -> Parsed<Option<i64>> {
    let taxes = invoice.total_taxes.as_ref().or(invoice.total_tax_amounts.as_ref());
    match (taxes, invoice.tax) {
        (Some(taxes), _) => Ok(Some(net(taxes.iter().map(|tax| tax.amount), [])?)),
        (None, tax) => Ok(tax),
    }
}

/// Until 2025-02 an invoice named the one payment that paid it.
fn invoice_link(invoice_id: &str, invoice: &mut wire::Invoice) -> Option<PaymentLinkFact> {
    let (payment_intent, charge) = (id(invoice.payment_intent.take()), id(invoice.charge.take()));
    let amount = invoice.amount_paid.filter(|amount| *amount > 0)?;
    if payment_intent.is_none() && charge.is_none() {
        return None;
    }
    let invoice = invoice_id.to_owned();
    Some(PaymentLinkFact { invoice, payment_intent, charge, payment_record: None, amount, exact: false })
}

pub fn invoice_line(line: wire::Line) -> Parsed<InvoiceLine> {
    let (kind, proration, parent_subscription) = line_kind(&line);
    let details = line.pricing.and_then(|pricing| pricing.price_details);
    let (price, product) = match details {
        Some(details) => {
            let (price, product) = details.price.map(wire::Price::into_ids).unzip();
            (price, id(details.product).or(product.flatten()))
        }
        None => {
            let (price, product) = line.price.or(line.plan).map(wire::Price::into_ids).unzip();
            (price, product.flatten())
        }
    };
    let taxes = line.taxes.or(line.tax_amounts);
    let period = line.period.unwrap_or(wire::Period { start: None, end: None });
    Ok(InvoiceLine {
        id: need(line.id, "line.id")?,
        kind,
        amount: need(line.amount, "line.amount")?,
        discounts: net(line.discount_amounts.into_iter().flatten().map(|of| of.amount), [])?,
        inclusive_tax: inclusive(taxes.as_deref())?,
        credit_grants: credit_grants(line.pretax_credit_amounts.as_deref())?,
        proration,
        subscription: parent_subscription.or(id(line.subscription)),
        price,
        product,
        quantity: line.quantity,
        period_start: instants(period.start)?,
        period_end: instants(period.end)?,
    })
}

/// Kind, whether it is a proration, and the subscription its parent names.
fn line_kind(line: &wire::Line) -> (LineKind, bool, Option<String>) {
    let kind_of_item = |proration: bool, subscription: bool| match proration && subscription {
        true => LineKind::Proration,
        false => LineKind::OneOff,
    };
    if let Some(parent) = &line.parent {
        let item = parent.kind.as_deref() == Some("subscription_item_details");
        let details = if item { &parent.subscription_item_details } else { &parent.invoice_item_details };
        let proration = details.as_ref().and_then(|of| of.proration).unwrap_or_default();
        let subscription = details.as_ref().and_then(|of| id(of.subscription.clone()));
        let kind = if item { LineKind::Subscription } else { kind_of_item(proration, subscription.is_some()) };
        return (kind, proration, subscription);
    }
    let proration = line.proration.unwrap_or_default();
    match line.kind.as_deref() {
        Some("subscription") => (LineKind::Subscription, proration, None),
        Some("invoiceitem") => (kind_of_item(proration, line.subscription.is_some()), proration, None),
        _ => (LineKind::OneOff, proration, None),
    }
}

fn inclusive(taxes: Option<&[wire::Tax]>) -> Parsed<i64> {
    let inclusive = taxes.unwrap_or_default().iter().filter(|tax| tax.is_inclusive());
    Ok(net(inclusive.map(|tax| tax.amount), [])?)
}

/// Those of the type `discount` repeat the line's discounts.
fn credit_grants(amounts: Option<&[wire::CreditAmount]>) -> Parsed<i64> {
    let grants = amounts.unwrap_or_default().iter();
    let grants = grants.filter(|of| of.kind.as_deref() == Some("credit_balance_transaction"));
    Ok(net(grants.map(|of| of.amount), [])?)
}

/// None while nothing was paid.
pub fn invoice_payment(payment: wire::InvoicePayment) -> Parsed<Option<PaymentLinkFact>> {
    let Some(amount) = payment.amount_paid.filter(|amount| *amount > 0) else { return Ok(None) };
    let (payment_intent, charge, mut payment_record) = match payment.payment {
        Some(by) => (id(by.payment_intent), id(by.charge), id(by.payment_record)),
        None => (None, None, None),
    };
    // Before there were payment records (2025-10) a payment outside Stripe named nothing.
    if payment_intent.is_none() && charge.is_none() && payment_record.is_none() {
        payment_record = Some(need(payment.id, "invoice_payment.id")?);
    }
    let invoice = need(id(payment.invoice), "invoice_payment.invoice")?;
    Ok(Some(PaymentLinkFact { invoice, payment_intent, charge, payment_record, amount, exact: true }))
}

/// What a refunded charge says.
pub struct Charge {
    pub id: String,
    pub payment_intent: Option<String>,
    /// Until 2025-02 a charge named the invoice that it paid.
    pub link: Option<PaymentLinkFact>,
    /// Until 2022-08 a charge had its refunds with it.
    pub refunds: Vec<RefundFact>,
    pub refunds_complete: bool,
}

pub fn charge(charge: wire::Charge) -> Parsed<Charge> {
    let charge_id = need(charge.id, "charge.id")?;
    let payment_intent = id(charge.payment_intent);
    let amount = charge.amount_captured.or(charge.amount);
    let link = match id(charge.invoice) {
        None => None,
        Some(invoice) => Some(PaymentLinkFact {
            invoice,
            payment_intent: payment_intent.clone(),
            charge: Some(charge_id.clone()),
            payment_record: None,
            amount: need(amount, "charge.amount")?,
            exact: false,
        }),
    };
    let (refunds_complete, refunds) = list(charge.refunds);
    let refunds: Vec<RefundFact> = refunds.into_iter().map(refund).collect::<Parsed<_>>()?;
    // An event of a refunded charge with an empty list only has the list cut off.
    let refunds_complete = refunds_complete && !refunds.is_empty();
    Ok(Charge { id: charge_id, payment_intent, link, refunds, refunds_complete })
}

pub fn refund(refund: wire::Refund) -> Parsed<RefundFact> {
    Ok(RefundFact {
        id: need(refund.id, "refund.id")?,
        customer: id(refund.customer),
        payment_intent: id(refund.payment_intent),
        charge: id(refund.charge),
        currency: refund.currency.map(|code| code.to_ascii_uppercase()),
        amount: need(refund.amount, "refund.amount")?,
        status: refund.status,
    })
}

pub fn dispute(dispute: wire::Dispute) -> Parsed<DisputeFact> {
    let movements = dispute.balance_transactions.unwrap_or_default();
    Ok(DisputeFact {
        id: need(dispute.id, "dispute.id")?,
        payment_intent: id(dispute.payment_intent),
        charge: id(dispute.charge),
        currency: dispute.currency.map(|code| code.to_ascii_uppercase()),
        amount: need(dispute.amount, "dispute.amount")?,
        status: dispute.status,
        balance_movements: u32::try_from(movements.len()).unwrap_or(u32::MAX),
        balance: net(movements.into_iter().map(|of| of.amount), [])?,
    })
}

pub fn credit_note(note: wire::CreditNote) -> Parsed<CreditNoteFact> {
    let (lines_complete, lines) = list(note.lines);
    let mut refunds = Vec::new();
    for of in note.refunds.into_iter().flatten() {
        let refund = need(id(of.refund), "credit_note.refunds.refund")?;
        refunds.push(CreditedRefund { refund, amount: Some(of.amount_refunded) });
    }
    if let (Some(refund), true) = (id(note.refund), refunds.is_empty()) {
        refunds.push(CreditedRefund { refund, amount: None });
    }
    Ok(CreditNoteFact {
        id: need(note.id, "credit_note.id")?,
        customer: id(note.customer),
        invoice: need(id(note.invoice), "credit_note.invoice")?,
        status: note.status,
        total: need(note.total, "credit_note.total")?,
        refunds,
        out_of_band: note.out_of_band_amount.unwrap_or_default(),
        to_balance: note.customer_balance_transaction.is_some(),
        lines: lines.into_iter().map(credit_note_line).collect::<Parsed<_>>()?,
        lines_complete,
    })
}

pub fn credit_note_line(line: wire::CreditNoteLine) -> Parsed<CreditNoteLine> {
    let amount = need(line.amount, "credit_note.line.amount")?;
    let less = [line.discount_amount.unwrap_or_default(), credit_grants(line.pretax_credit_amounts.as_deref())?];
    let taxes = line.taxes.or(line.tax_amounts);
    let inclusive = inclusive(taxes.as_deref())?;
    let exclusive = taxes.iter().flatten().filter(|tax| !tax.is_inclusive()).map(|tax| tax.amount);
    Ok(CreditNoteLine {
        invoice_line: id(line.invoice_line_item),
        net: net([amount], less.into_iter().chain([inclusive]))?,
        gross: net([amount].into_iter().chain(exclusive), less)?,
    })
}

pub fn subscription(subscription: wire::Subscription) -> Parsed<SubscriptionFact> {
    let (_, items) = list(subscription.items);
    let items = items.into_iter().map(|item| {
        let (price, product) = item.price.or(item.plan).map(wire::Price::into_ids).unzip();
        SubscriptionItem { price, product: product.flatten(), quantity: item.quantity }
    });
    let discounts = subscription.discounts.into_iter().flatten().chain(subscription.discount);
    Ok(SubscriptionFact {
        id: need(subscription.id, "subscription.id")?,
        customer: id(subscription.customer),
        status: subscription.status,
        items: items.collect(),
        cancel_at_period_end: subscription.cancel_at_period_end.unwrap_or_default(),
        canceled_at: instants(subscription.canceled_at)?,
        ended_at: instants(subscription.ended_at)?,
        started_at: instants(subscription.start_date)?,
        promotion_codes: codes(discounts).0,
        metadata: texts(subscription.metadata),
    })
}

/// Ids of promotion codes and of coupons.
fn codes(discounts: impl Iterator<Item = wire::Discount>) -> (Vec<String>, Vec<String>) {
    let mut found = (Vec::new(), Vec::new());
    for discount in discounts {
        if let wire::Discount::Object { promotion_code, coupon } = discount {
            found.0.extend(id(promotion_code));
            found.1.extend(id(coupon));
        }
    }
    found
}

pub fn customer(customer: wire::Customer) -> Parsed<CustomerFact> {
    let metadata = texts(customer.metadata);
    Ok(CustomerFact { id: need(customer.id, "customer.id")?, email: customer.email, metadata })
}

pub fn checkout(checkout: wire::Checkout) -> Parsed<CheckoutFact> {
    let (promotion_codes, coupons) = codes(checkout.discounts.into_iter().flatten());
    Ok(CheckoutFact {
        id: need(checkout.id, "checkout.session.id")?,
        client_reference_id: checkout.client_reference_id,
        customer: id(checkout.customer),
        subscription: id(checkout.subscription),
        invoice: id(checkout.invoice),
        promotion_codes,
        coupons,
        metadata: texts(checkout.metadata),
    })
}
