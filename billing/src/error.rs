//! How a command ends when it does not succeed: a refusal with its facts, or a fault that is passed up.

use billing_db::{Constraint, DbError, Fault, KeyError};
use billing_primitives::{Currency, Date, Money, MoneyError, Month, TimeError};
use thiserror::Error;

/// Why a command did nothing.
#[derive(Debug, Error)]
pub enum Error {
    /// The business says no; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The same idempotency key was used for another request, or it is malformed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database could not do it.
    #[error(transparent)]
    Db(DbError),
    /// Stored data contradicts a rule of the product; somebody has to look.
    #[error("stored data is broken: {0}")]
    Corrupt(String),
}

impl Error {
    /// The constraint of the database that refused the row, if that is what happened.
    pub(crate) fn refused_by(&self) -> Option<Constraint<'_>> {
        match self {
            Error::Db(error) => error.refused_by(),
            _ => None,
        }
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        match error {
            // Nothing is wrong with the database: the caller's text cannot be stored.
            DbError::Unstorable => Error::Refused(Refusal::Unstorable),
            fault => Error::Db(fault),
        }
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        Error::from(DbError::from(error))
    }
}

impl From<MoneyError> for Error {
    fn from(error: MoneyError) -> Self {
        Error::Refused(Refusal::from(error))
    }
}

impl From<TimeError> for Error {
    fn from(error: TimeError) -> Self {
        Error::Corrupt(error.to_string())
    }
}

impl Fault for Error {
    fn db(&self) -> Option<&DbError> {
        match self {
            Error::Db(error) => Some(error),
            _ => None,
        }
    }
}

macro_rules! refusals {
    ($($(#[$meta:meta])* $variant:ident $({ $($fact:ident: $type:ty),* $(,)? })? = $code:literal, $field:expr, $message:literal;)*) => {
        /// What the business refuses, each with its facts. Codes are part of the API.
        #[derive(Debug, Clone, PartialEq, Eq, Error)]
        pub enum Refusal {
            $($(#[$meta])* #[error($message)] $variant $({ $($fact: $type),* })?,)*
        }

        impl Refusal {
            /// The code that programs compare.
            pub const fn code(&self) -> &'static str {
                match self { $(Refusal::$variant { .. } => $code,)* }
            }

            /// Every code there is.
            pub const CODES: &'static [&'static str] = &[$($code),*];

            /// The input field that has to change, in the API's spelling.
            pub const fn field(&self) -> Option<&'static str> {
                if let Refusal::Invalid { field, .. }
                | Refusal::NotFound { field, .. }
                | Refusal::DateBefore { field, .. } = self
                {
                    return Some(field);
                }
                match self { $(Refusal::$variant { .. } => $field,)* }
            }
        }
    };
}

refusals! {
    /// A value that cannot be right whatever else is stored.
    Invalid { field: &'static str, reason: String } = "INVALID", None, "{field}: {reason}";
    /// Some text of the input holds U+0000; which one, the database does not say.
    Unstorable = "INVALID", None, "a text holds a character that cannot be stored (NUL)";
    /// No such object, or another organization's, which is the same answer.
    NotFound { field: &'static str, what: &'static str, id: String } = "NOT_FOUND", None, "there is no {what} {id}";
    ExternalIdTaken { what: &'static str, external_id: String } = "EXTERNAL_ID_TAKEN", Some("externalId"),
        "there is a {what} with the external id {external_id:?} already";
    /// What was recorded differs from what is given now, and history is not overwritten.
    DiffersFromRecorded { what: &'static str, external_id: String, field: &'static str } = "DIFFERS_FROM_RECORDED", Some("externalId"),
        "{what} {external_id:?} is recorded with another {field}; history is not overwritten";
    AmountOverflow = "AMOUNT_OVERFLOW", None, "an amount does not fit into 64 bits of minor units";
    CurrencyMix { left: Currency, right: Currency } = "CURRENCY_MIX", Some("currency"),
        "amounts of {left} and {right} cannot meet";
    /// Finalizing asks for the whole month.
    MonthNotOver { month: Month, today: Date } = "MONTH_NOT_OVER", Some("month"),
        "{month} is not over: today is {today}";
    MonthBeforeBilling { month: Month, billing_from: Month } = "MONTH_BEFORE_BILLING", Some("month"),
        "{month} lies before {billing_from}, the first month that is billed";
    MonthFinalized { month: Month } = "MONTH_FINALIZED", Some("month"),
        "{month} is finalized: no price list or tier table may begin inside it";
    EarlierMonthOpen { open: Month } = "EARLIER_MONTH_OPEN", Some("month"),
        "months are finalized in order, and {open} is still open for this partner";
    /// The run of this month is being finalized by a pass that is under way.
    RunSuperseded { month: Month } = "RUN_SUPERSEDED", Some("month"),
        "another pass over {month} has begun since";
    AlreadyFinalized { number: String } = "ALREADY_FINALIZED", None, "{number} is finalized and cannot change";
    NotFinalized { what: &'static str } = "NOT_FINALIZED", None, "the {what} is a draft still";
    PriceMissing { plan: String, day: Date, currency: Currency } = "PRICE_MISSING", None,
        "plan {plan} has no price in {currency} on {day}, and there are seats on that day";
    TierTableMissing { month: Month } = "TIER_TABLE_MISSING", None, "no tier table holds in {month}";
    TierTableIndicative { month: Month } = "TIER_TABLE_INDICATIVE", None,
        "the tier table of {month} is indicative: confirm it before finalizing";
    TierUnknown { code: String } = "TIER_UNKNOWN", Some("tier"), "no tier table has a tier {code:?}";
    VatNumberMissing { partner: String } = "VAT_NUMBER_MISSING", None,
        "partner {partner} needs a VAT number for reverse charge";
    VatNumberInvalid { partner: String } = "VAT_NUMBER_INVALID", None,
        "the VAT number of partner {partner} was checked and is not valid";
    VatRateMissing { country: String, day: Date } = "VAT_RATE_MISSING", None,
        "no VAT rate of {country} is known for {day}";
    ExchangeRateMissing { from: Currency, to: Currency, day: Date } = "EXCHANGE_RATE_MISSING", None,
        "no rate from {from} to {to} of the seven days up to {day} is stored";
    SeatsBelowZero { day: Date, seats: i64 } = "SEATS_BELOW_ZERO", Some("delta"),
        "the subscription would have {seats} seats on {day}";
    SeatsOfFlatPlan { plan: String } = "SEATS_OF_FLAT_PLAN", Some("quantity"),
        "plan {plan} is flat: its quantity is 1 on every day it runs";
    OutsideSubscription { day: Date, starts_on: Date } = "OUTSIDE_SUBSCRIPTION", Some("effectiveOn"),
        "{day} lies outside the subscription, which starts on {starts_on}";
    SubscriptionsOverlap { other: String } = "SUBSCRIPTIONS_OVERLAP", Some("startsOn"),
        "the customer has subscription {other} to this plan on some of these days";
    CustomerNotOwned { customer: String, day: Date } = "CUSTOMER_NOT_OWNED", Some("startsOn"),
        "nobody sells to customer {customer} on {day}: it is owned later only";
    PartnerNotActive { partner: String } = "PARTNER_NOT_ACTIVE", Some("partner"), "partner {partner} is not active";
    PartnerOwnsCustomers { partner: String } = "PARTNER_OWNS_CUSTOMERS", Some("status"),
        "partner {partner} still owns customers on that day";
    ParentLoop { partner: String } = "PARENT_LOOP", Some("parent"), "partner {partner} would be its own ancestor";
    /// A partner's currency is that of its documents.
    PartnerHasDocuments { partner: String } = "PARTNER_HAS_DOCUMENTS", Some("currency"),
        "partner {partner} has finalized invoices in another currency";
    CreditExceedsLine { line: i32, left: Money } = "CREDIT_EXCEEDS_LINE", Some("lines"),
        "line {line} has {left} left that can be credited";
    AmountNotPositive { amount: Money } = "AMOUNT_NOT_POSITIVE", Some("amount"), "{amount} is not above zero";
    AlreadyReversed { payment: String } = "ALREADY_REVERSED", Some("payment"), "payment {payment} was reversed before";
    ReversesReversal { payment: String } = "REVERSES_REVERSAL", Some("payment"),
        "payment {payment} is a reversal itself: record the money again instead";
    NothingDue { number: String } = "NOTHING_DUE", Some("invoice"), "nothing is due on {number}";
    AboveTolerance { due: Money, tolerance: Money } = "ABOVE_TOLERANCE", Some("invoice"),
        "{due} is due, and only up to {tolerance} may be closed as a rounding difference";
    BalanceTooSmall { balance: Money } = "BALANCE_TOO_SMALL", Some("amount"), "the credit balance is {balance}";
    DateBefore { field: &'static str, date: Date, earliest: Date } = "DATE_BEFORE", None,
        "{field} {date} is before {earliest}";
    /// One answer for a link that is unknown, used, expired, revoked or somebody else's.
    ClaimLinkInvalid = "CLAIM_LINK_INVALID", Some("token"), "the claim link is not valid";
    ClaimLinkUsed = "CLAIM_LINK_USED", Some("claimLink"), "the claim link was used already";
    CodeTaken { code: String } = "CODE_TAKEN", Some("code"), "there is a referral code {code:?} already";
    PromotionCodeTaken { promotion_code: String } = "PROMOTION_CODE_TAKEN", Some("stripePromotionCode"),
        "another referral code means Stripe's promotion code {promotion_code}";
    StripeCustomerTaken { stripe_customer: String } = "STRIPE_CUSTOMER_TAKEN", Some("stripeCustomerId"),
        "{stripe_customer} is another customer at Stripe";
    StripeIdTaken { stripe_id: String } = "STRIPE_ID_TAKEN", Some("stripeIds"), "{stripe_id} belongs to another plan";
    EnrollmentEnded { partner: String, day: Date } = "ENROLLMENT_ENDED", Some("enrollment"),
        "partner {partner} is not enrolled on {day}";
    HostTaken { host: String } = "HOST_TAKEN", Some("host"), "{host} belongs to another organization";
    PayoutRunExists { run_key: String } = "PAYOUT_RUN_EXISTS", Some("runKey"),
        "the programme has a payout run {run_key:?} already";
    PayoutRunStatus { status: crate::payouts::RunStatus, needed: &'static str } = "PAYOUT_RUN_STATUS", Some("payoutRun"),
        "the payout run is {status}, and this needs one that is {needed}";
    /// What was looked at before approving is not what would be approved.
    PayoutRunChanged { expected: Money, now: Money } = "PAYOUT_RUN_CHANGED", Some("expectedTotal"),
        "the payout run comes to {now} by now, not to {expected}";
    FourEyesRequired = "FOUR_EYES_REQUIRED", Some("payoutRun"),
        "a payout run is approved by somebody other than its maker";
    PayoutStatus { status: crate::payouts::PayoutStatus, needed: &'static str } = "PAYOUT_STATUS", Some("payout"),
        "the payout is {status}, and this needs {needed}";
    /// The payment is the other side of a payout, and goes back with what it was credited for.
    PaidByCommission { payment: String } = "PAID_BY_COMMISSION", Some("payment"),
        "payment {payment} is a commission that was credited: it is not reversed by hand";
    AlreadyEnrolled { partner: String, program: String } = "ALREADY_ENROLLED", Some("partner"),
        "partner {partner} is enrolled in program {program} already";
    ApplicationPending { email: String } = "APPLICATION_PENDING", Some("email"),
        "there is a pending application of {email} to this program";
    ApplicationDecided { status: &'static str } = "APPLICATION_DECIDED", Some("application"),
        "the application is {status} already";
    KeyRevoked = "KEY_REVOKED", Some("key"), "the API key is revoked already";
}

impl Refusal {
    pub fn invalid(field: &'static str, reason: impl ToString) -> Refusal {
        Refusal::Invalid { field, reason: reason.to_string() }
    }

    pub fn not_found(field: &'static str, what: &'static str, id: impl ToString) -> Refusal {
        Refusal::NotFound { field, what, id: quoted(&id.to_string()) }
    }
}

/// The longest text of the caller's that a message repeats, in characters.
const MOST_QUOTED: usize = 100;

/// A text of the caller's as a message repeats it: cut, and with nothing in it that a screen or a log would obey.
pub(crate) fn quoted(given: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut shown: String = given.chars().take(MOST_QUOTED).map(visible).collect();
    if given.chars().nth(MOST_QUOTED).is_some() {
        shown.push('…');
    }
    shown
}

impl From<MoneyError> for Refusal {
    fn from(error: MoneyError) -> Self {
        match error {
            MoneyError::CurrencyMix { left, right } => Refusal::CurrencyMix { left, right },
            MoneyError::Overflow | MoneyError::NothingToSplitBy => Refusal::AmountOverflow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_stored_is_the_callers_input() {
        let error = Error::from(DbError::Unstorable);
        assert!(error.db().is_none(), "it is not run again");
        let Error::Refused(refusal) = error else { panic!("a refusal") };
        assert_eq!((refusal.code(), refusal.field()), ("INVALID", None));
        assert!(matches!(Error::from(DbError::Timeout), Error::Db(DbError::Timeout)));
    }

    #[test]
    fn a_message_repeats_a_hundred_characters() {
        assert_eq!(quoted(&"ø".repeat(100)), "ø".repeat(100));
        assert_eq!(quoted(&"ø".repeat(101)), format!("{}…", "ø".repeat(100)));
        let told = Refusal::not_found("partner", "partner", "a\u{0}b\u{1b}c").to_string();
        assert_eq!(told, "there is no partner a\u{fffd}b\u{fffd}c");
    }
}
