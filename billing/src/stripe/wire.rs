//! Stripe's JSON as far as it is used, of all API versions at once: fields of old and new shapes stand side by side.
//!
//! Every field may be missing or null, unknown fields and values are ignored; only an amount in a list of amounts must
//! be there, since a missing one must not count as nothing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// A reference: the id alone, or the object where Stripe was asked to expand it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Expandable {
    Id(String),
    Object { id: String },
}

impl Expandable {
    pub fn into_id(self) -> String {
        match self {
            Expandable::Id(id) | Expandable::Object { id } => id,
        }
    }
}

pub fn id(reference: Option<Expandable>) -> Option<String> {
    reference.map(Expandable::into_id)
}

#[derive(Debug, Deserialize)]
pub struct List<T> {
    pub data: Option<Vec<T>>,
    pub has_more: Option<bool>,
}

pub type Metadata = Option<BTreeMap<String, Value>>;

/// The texts among the metadata; Stripe knows no other values.
pub fn texts(metadata: Metadata) -> BTreeMap<String, String> {
    let entries = metadata.unwrap_or_default().into_iter();
    entries.filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect()
}

#[derive(Debug, Deserialize)]
pub struct Envelope {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub created: i64,
    pub livemode: bool,
    pub api_version: Option<String>,
    pub account: Option<String>,
    pub data: Option<Data>,
}

#[derive(Debug, Deserialize)]
pub struct Data {
    pub object: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub struct Invoice {
    pub id: Option<String>,
    pub customer: Option<Expandable>,
    pub currency: Option<String>,
    pub status: Option<String>,
    pub total: Option<i64>,
    pub amount_due: Option<i64>,
    pub amount_paid: Option<i64>,
    pub amount_overpaid: Option<i64>,
    pub created: Option<i64>,
    pub status_transitions: Option<Transitions>,
    pub total_excluding_tax: Option<i64>,
    pub shipping_cost: Option<ShippingCost>,
    pub lines: Option<List<Line>>,
    /// Since 2025-03-31.basil, as are `total_taxes`; before it `subscription`, `charge`, `payment_intent`,
    /// `paid_out_of_band`, `tax` and `total_tax_amounts`.
    pub parent: Option<Parent>,
    pub total_taxes: Option<Vec<Tax>>,
    pub subscription: Option<Expandable>,
    pub charge: Option<Expandable>,
    pub payment_intent: Option<Expandable>,
    pub paid_out_of_band: Option<bool>,
    pub tax: Option<i64>,
    pub total_tax_amounts: Option<Vec<Tax>>,
}

#[derive(Debug, Deserialize)]
pub struct Transitions {
    pub paid_at: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub struct ShippingCost {
    pub amount_total: Option<i64>,
    pub amount_tax: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub struct Parent {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Of an invoice.
    pub subscription_details: Option<ParentDetails>,
    /// Of a line.
    pub subscription_item_details: Option<ParentDetails>,
    pub invoice_item_details: Option<ParentDetails>,
}

#[derive(Debug, Deserialize)]
pub struct ParentDetails {
    pub subscription: Option<Expandable>,
    pub proration: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub struct Line {
    pub id: Option<String>,
    pub amount: Option<i64>,
    pub discount_amounts: Option<Vec<Amount>>,
    pub pretax_credit_amounts: Option<Vec<CreditAmount>>,
    pub period: Option<Period>,
    pub quantity: Option<i64>,
    pub subscription: Option<Expandable>,
    /// Since 2025-03-31.basil, as are `pricing` and `taxes`; before it `type`, `proration`, `price`, `plan` and
    /// `tax_amounts`.
    pub parent: Option<Parent>,
    pub pricing: Option<Pricing>,
    pub taxes: Option<Vec<Tax>>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub proration: Option<bool>,
    pub price: Option<Price>,
    pub plan: Option<Price>,
    pub tax_amounts: Option<Vec<Tax>>,
}

#[derive(Debug, Deserialize)]
pub struct Period {
    pub start: Option<i64>,
    pub end: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub struct Amount {
    pub amount: i64,
}

#[derive(Debug, Deserialize)]
pub struct CreditAmount {
    pub amount: i64,
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// `inclusive` until 2025-02, `tax_behavior` since then.
#[derive(Debug, Deserialize)]
pub struct Tax {
    pub amount: i64,
    pub inclusive: Option<bool>,
    pub tax_behavior: Option<String>,
}

impl Tax {
    pub fn is_inclusive(&self) -> bool {
        self.inclusive.unwrap_or_else(|| self.tax_behavior.as_deref() == Some("inclusive"))
    }
}

#[derive(Debug, Deserialize)]
pub struct Pricing {
    pub price_details: Option<PriceDetails>,
}

#[derive(Debug, Deserialize)]
pub struct PriceDetails {
    pub price: Option<Price>,
    pub product: Option<Expandable>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Price {
    Id(String),
    Object { id: String, product: Option<Expandable> },
}

impl Price {
    /// Price and product.
    pub fn into_ids(self) -> (String, Option<String>) {
        match self {
            Price::Id(id) => (id, None),
            Price::Object { id: price, product } => (price, id(product)),
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct InvoicePayment {
    pub id: Option<String>,
    pub invoice: Option<Expandable>,
    /// None or zero while it is not paid.
    pub amount_paid: Option<i64>,
    pub payment: Option<Payment>,
}

#[derive(Debug, Deserialize)]
pub struct Payment {
    pub payment_intent: Option<Expandable>,
    pub charge: Option<Expandable>,
    pub payment_record: Option<Expandable>,
}

#[derive(Debug, Deserialize)]
pub struct Charge {
    pub id: Option<String>,
    pub amount: Option<i64>,
    pub amount_captured: Option<i64>,
    pub payment_intent: Option<Expandable>,
    /// Until 2025-02.
    pub invoice: Option<Expandable>,
    /// Until 2022-08.
    pub refunds: Option<List<Refund>>,
}

#[derive(Debug, Deserialize)]
pub struct Refund {
    pub id: Option<String>,
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub status: Option<String>,
    pub charge: Option<Expandable>,
    pub payment_intent: Option<Expandable>,
    pub customer: Option<Expandable>,
}

#[derive(Debug, Deserialize)]
pub struct Dispute {
    pub id: Option<String>,
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub status: Option<String>,
    pub charge: Option<Expandable>,
    pub payment_intent: Option<Expandable>,
    pub balance_transactions: Option<Vec<Amount>>,
}

#[derive(Debug, Deserialize)]
pub struct CreditNote {
    pub id: Option<String>,
    pub customer: Option<Expandable>,
    pub invoice: Option<Expandable>,
    pub status: Option<String>,
    pub total: Option<i64>,
    pub lines: Option<List<CreditNoteLine>>,
    pub out_of_band_amount: Option<i64>,
    pub customer_balance_transaction: Option<Expandable>,
    /// Since 2025-03-31.basil; before it `refund`.
    pub refunds: Option<Vec<CreditedRefund>>,
    pub refund: Option<Expandable>,
}

#[derive(Debug, Deserialize)]
pub struct CreditedRefund {
    pub refund: Option<Expandable>,
    pub amount_refunded: i64,
}

#[derive(Debug, Deserialize)]
pub struct CreditNoteLine {
    pub amount: Option<i64>,
    pub discount_amount: Option<i64>,
    pub pretax_credit_amounts: Option<Vec<CreditAmount>>,
    pub invoice_line_item: Option<Expandable>,
    pub taxes: Option<Vec<Tax>>,
    pub tax_amounts: Option<Vec<Tax>>,
}

#[derive(Debug, Deserialize)]
pub struct Subscription {
    pub id: Option<String>,
    pub customer: Option<Expandable>,
    pub status: Option<String>,
    pub items: Option<List<SubscriptionItem>>,
    pub cancel_at_period_end: Option<bool>,
    pub canceled_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub start_date: Option<i64>,
    pub metadata: Metadata,
    pub discounts: Option<Vec<Discount>>,
    /// Until 2024.
    pub discount: Option<Discount>,
}

#[derive(Debug, Deserialize)]
pub struct SubscriptionItem {
    pub price: Option<Price>,
    pub plan: Option<Price>,
    pub quantity: Option<i64>,
}

/// The id alone says nothing; expanded, or of a checkout, it names codes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Discount {
    Object { promotion_code: Option<Expandable>, coupon: Option<Expandable> },
    Id(IgnoredAny),
}

#[derive(Debug, Deserialize)]
pub struct Customer {
    pub id: Option<String>,
    pub email: Option<String>,
    pub metadata: Metadata,
}

#[derive(Debug, Deserialize)]
pub struct Checkout {
    pub id: Option<String>,
    pub client_reference_id: Option<String>,
    pub customer: Option<Expandable>,
    pub subscription: Option<Expandable>,
    pub invoice: Option<Expandable>,
    pub discounts: Option<Vec<Discount>>,
    pub metadata: Metadata,
}
