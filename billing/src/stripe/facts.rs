//! What Stripe told us, one fact per Stripe object, in a shape that no API version changes. Pure.
//!
//! Facts are stored (as JSON) and replaced, never added up: of each object only the newest one is kept (see
//! [`replaces`]), so it does not matter in which order, how often, or in which of Stripe's API versions events arrive.
//! Amounts are whole minor units as Stripe counts them.

use std::collections::BTreeMap;

use billing_primitives::{MoneyError, Timestamp, text_enum};
use serde::{Deserialize, Serialize};

text_enum! {
    /// Of which kind of object a [`Fact`] tells.
    pub enum FactKind {
        Invoice = "INVOICE",
        /// Which payment paid which invoice.
        PaymentLink = "PAYMENT_LINK",
        Refund = "REFUND",
        Dispute = "DISPUTE",
        CreditNote = "CREDIT_NOTE",
        Subscription = "SUBSCRIPTION",
        Customer = "CUSTOMER",
        Checkout = "CHECKOUT",
    }
}

text_enum! {
    /// What a line of a Stripe invoice bills.
    pub enum LineKind {
        /// An item of a subscription, prorated or not, metered or not.
        Subscription = "SUBSCRIPTION",
        /// An invoice item that Stripe made for a change of a subscription within its period.
        Proration = "PRORATION",
        /// Everything else: setup fees, credit packs, work by the hour.
        OneOff = "ONE_OFF",
    }
}

/// What one Stripe object was like at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Fact {
    Invoice(InvoiceFact),
    PaymentLink(PaymentLinkFact),
    Refund(RefundFact),
    Dispute(DisputeFact),
    CreditNote(CreditNoteFact),
    Subscription(SubscriptionFact),
    Customer(CustomerFact),
    Checkout(CheckoutFact),
}

/// The Stripe ids by which facts find each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactKeys {
    pub customer: Option<String>,
    pub subscription: Option<String>,
    pub invoice: Option<String>,
    pub payment_intent: Option<String>,
    pub charge: Option<String>,
}

/// An invoice that Stripe wrote for one of its customers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceFact {
    pub id: String,
    pub customer: Option<String>,
    pub subscription: Option<String>,
    /// Capital letters. May be a currency that ISO 4217 does not know.
    pub currency: String,
    /// As Stripe names it: `draft`, `open`, `paid`, `uncollectible`, `void`.
    pub status: String,
    /// After discounts, with all tax.
    pub total: i64,
    pub amount_due: i64,
    /// Older API versions leave out what was paid outside Stripe.
    pub amount_paid: i64,
    /// What was paid beyond the invoice; it went to the customer's balance.
    pub amount_overpaid: i64,
    /// None: the API version does not tell; then a payment link may.
    pub out_of_band: Option<bool>,
    pub paid_at: Option<Timestamp>,
    /// None: neither given nor to be computed.
    pub total_excluding_tax: Option<i64>,
    pub shipping_net: i64,
    pub lines: Vec<InvoiceLine>,
    /// False: Stripe sent only the first lines.
    pub lines_complete: bool,
    pub created: Option<Timestamp>,
}

/// One line of an [`InvoiceFact`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    pub id: String,
    pub kind: LineKind,
    /// Before discounts, with inclusive tax, without exclusive tax.
    pub amount: i64,
    pub discounts: i64,
    pub inclusive_tax: i64,
    /// Paid from credit grants, which never were cash of this invoice.
    pub credit_grants: i64,
    pub proration: bool,
    pub subscription: Option<String>,
    pub price: Option<String>,
    pub product: Option<String>,
    pub quantity: Option<i64>,
    pub period_start: Option<Timestamp>,
    pub period_end: Option<Timestamp>,
}

impl InvoiceLine {
    /// Whether the line is revenue of a subscription.
    pub fn eligible(&self) -> bool {
        self.kind != LineKind::OneOff
    }

    /// What the line earns: less discounts, tax and credit grants.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn net(&self) -> Result<i64, MoneyError> {
        net([self.amount], [self.discounts, self.inclusive_tax, self.credit_grants])
    }
}

/// A payment paid `amount` of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentLinkFact {
    pub invoice: String,
    pub payment_intent: Option<String>,
    pub charge: Option<String>,
    /// A payment outside Stripe: its record, or the payment of the invoice where that names nothing.
    pub payment_record: Option<String>,
    pub amount: i64,
    /// Stated by Stripe as such; else concluded from an invoice or a charge, which knew one payment per invoice.
    pub exact: bool,
}

/// Money that went back to a customer, or is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFact {
    pub id: String,
    pub customer: Option<String>,
    pub payment_intent: Option<String>,
    pub charge: Option<String>,
    pub currency: Option<String>,
    pub amount: i64,
    /// As Stripe names it: `pending`, `requires_action`, `succeeded`, `failed`, `canceled`.
    pub status: Option<String>,
}

/// A chargeback, or the inquiry before one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeFact {
    pub id: String,
    pub payment_intent: Option<String>,
    pub charge: Option<String>,
    pub currency: Option<String>,
    pub amount: i64,
    /// As Stripe names it.
    pub status: Option<String>,
    /// What the dispute moved on the account's balance; below zero: withdrawn.
    pub balance: i64,
    /// Of how many movements `balance` is the sum.
    pub balance_movements: u32,
}

/// A credit note on an invoice that Stripe wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNoteFact {
    pub id: String,
    pub customer: Option<String>,
    pub invoice: String,
    /// As Stripe names it: `issued`, `void`.
    pub status: Option<String>,
    /// With tax.
    pub total: i64,
    pub refunds: Vec<CreditedRefund>,
    /// Returned outside Stripe.
    pub out_of_band: i64,
    /// A part went to the customer's balance.
    pub to_balance: bool,
    pub lines: Vec<CreditNoteLine>,
    /// False: Stripe sent only the first lines.
    pub lines_complete: bool,
}

/// A refund that carries out a credit note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditedRefund {
    pub refund: String,
    /// How much of the refund. None: the API version does not tell; then it is the whole refund.
    pub amount: Option<i64>,
}

/// One line of a [`CreditNoteFact`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditNoteLine {
    /// None: a free line, which names no line of the invoice.
    pub invoice_line: Option<String>,
    pub net: i64,
    /// With all tax.
    pub gross: i64,
}

/// A subscription of a Stripe customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionFact {
    pub id: String,
    pub customer: Option<String>,
    /// As Stripe names it.
    pub status: Option<String>,
    pub items: Vec<SubscriptionItem>,
    pub cancel_at_period_end: bool,
    pub canceled_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub promotion_codes: Vec<String>,
    pub metadata: BTreeMap<String, String>,
}

/// What a [`SubscriptionFact`] subscribes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionItem {
    pub price: Option<String>,
    pub product: Option<String>,
    pub quantity: Option<i64>,
}

/// A customer in Stripe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerFact {
    pub id: String,
    pub email: Option<String>,
    pub metadata: BTreeMap<String, String>,
}

/// A completed checkout. It tells who came from where, never about money: that is the invoice's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutFact {
    pub id: String,
    pub client_reference_id: Option<String>,
    pub customer: Option<String>,
    pub subscription: Option<String>,
    pub invoice: Option<String>,
    pub promotion_codes: Vec<String>,
    pub coupons: Vec<String>,
    pub metadata: BTreeMap<String, String>,
}

impl Fact {
    pub fn kind(&self) -> FactKind {
        match self {
            Fact::Invoice(_) => FactKind::Invoice,
            Fact::PaymentLink(_) => FactKind::PaymentLink,
            Fact::Refund(_) => FactKind::Refund,
            Fact::Dispute(_) => FactKind::Dispute,
            Fact::CreditNote(_) => FactKind::CreditNote,
            Fact::Subscription(_) => FactKind::Subscription,
            Fact::Customer(_) => FactKind::Customer,
            Fact::Checkout(_) => FactKind::Checkout,
        }
    }

    /// The object's id at Stripe, unique within its [`FactKind`].
    ///
    /// A payment link has one of ours, the invoice's and the payment's: not all API versions give it an id.
    pub fn id(&self) -> String {
        match self {
            Fact::Invoice(invoice) => invoice.id.clone(),
            Fact::PaymentLink(link) => {
                let payment = [&link.payment_intent, &link.charge, &link.payment_record];
                let payment = payment.into_iter().flatten().next().map_or("", String::as_str);
                format!("{}/{payment}", link.invoice)
            }
            Fact::Refund(refund) => refund.id.clone(),
            Fact::Dispute(dispute) => dispute.id.clone(),
            Fact::CreditNote(note) => note.id.clone(),
            Fact::Subscription(subscription) => subscription.id.clone(),
            Fact::Customer(customer) => customer.id.clone(),
            Fact::Checkout(checkout) => checkout.id.clone(),
        }
    }

    /// By which ids others find this fact.
    pub fn keys(&self) -> FactKeys {
        let none = FactKeys::default();
        match self {
            Fact::Invoice(of) => FactKeys {
                customer: of.customer.clone(),
                subscription: of.subscription.clone(),
                invoice: Some(of.id.clone()),
                ..none
            },
            Fact::PaymentLink(of) => FactKeys {
                invoice: Some(of.invoice.clone()),
                payment_intent: of.payment_intent.clone(),
                charge: of.charge.clone(),
                ..none
            },
            Fact::Refund(of) => FactKeys {
                customer: of.customer.clone(),
                payment_intent: of.payment_intent.clone(),
                charge: of.charge.clone(),
                ..none
            },
            Fact::Dispute(of) => {
                FactKeys { payment_intent: of.payment_intent.clone(), charge: of.charge.clone(), ..none }
            }
            Fact::CreditNote(of) => {
                FactKeys { customer: of.customer.clone(), invoice: Some(of.invoice.clone()), ..none }
            }
            Fact::Subscription(of) => {
                FactKeys { customer: of.customer.clone(), subscription: Some(of.id.clone()), ..none }
            }
            Fact::Customer(of) => FactKeys { customer: Some(of.id.clone()), ..none },
            Fact::Checkout(of) => FactKeys {
                customer: of.customer.clone(),
                subscription: of.subscription.clone(),
                invoice: of.invoice.clone(),
                ..none
            },
        }
    }

    /// Among facts of one object and one time the one with the higher rank stands: it is further in the object's life,
    /// or says more.
    pub fn rank(&self) -> i32 {
        match self {
            Fact::Invoice(invoice) => {
                let state = match invoice.status.as_str() {
                    "draft" => 0,
                    "open" => 1,
                    "uncollectible" => 2,
                    _ => 3,
                };
                4 * state + 2 * i32::from(invoice.lines_complete) + i32::from(invoice.out_of_band.is_some())
            }
            Fact::PaymentLink(link) => 2 * i32::from(link.exact) + i32::from(link.charge.is_some()),
            Fact::Refund(refund) => match refund.status.as_deref() {
                Some("succeeded") => 1,
                Some("failed" | "canceled") => 2,
                _ => 0,
            },
            Fact::Dispute(dispute) => {
                let state = match dispute.status.as_deref() {
                    Some("warning_needs_response") | None => 0,
                    Some("warning_under_review") => 1,
                    Some("needs_response") => 2,
                    Some("under_review") => 3,
                    _ => 4,
                };
                16 * state + i32::try_from(dispute.balance_movements.min(15)).unwrap_or(15)
            }
            Fact::CreditNote(note) => {
                2 * i32::from(note.status.as_deref() == Some("void")) + i32::from(note.lines_complete)
            }
            Fact::Subscription(subscription) => match subscription.status.as_deref() {
                Some("incomplete") | None => 0,
                Some("canceled" | "incomplete_expired") => 2,
                _ => 1,
            },
            Fact::Customer(_) | Fact::Checkout(_) => 0,
        }
    }
}

/// Whether a fact and the time it is of take the place of those that are stored for the same object.
///
/// What a payment paid of an invoice does not change, so of two links the one that is better known stands, however old.
pub fn replaces(new: (&Fact, Timestamp), old: (&Fact, Timestamp)) -> bool {
    match (new.0, old.0) {
        (Fact::PaymentLink(_), Fact::PaymentLink(_)) => (new.0.rank(), new.1) >= (old.0.rank(), old.1),
        _ => (new.1, new.0.rank()) >= (old.1, old.0.rank()),
    }
}

/// The sum of `plus` less the sum of `minus`.
pub(super) fn net(
    plus: impl IntoIterator<Item = i64>,
    minus: impl IntoIterator<Item = i64>,
) -> Result<i64, MoneyError> {
    let plus: i128 = plus.into_iter().map(i128::from).sum();
    let minus: i128 = minus.into_iter().map(i128::from).sum();
    i64::try_from(plus - minus).map_err(|_| MoneyError::Overflow)
}
