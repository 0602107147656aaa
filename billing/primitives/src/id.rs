//! Typed ids: UUIDv7 inside, a prefixed text outside.
//!
//! One alphabetical registry, so that no two nouns share a prefix and a partner's id never stands where an invoice's belongs.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

/// The text is no id of the noun asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not an id that begins with {prefix}_")]
pub struct NotAnId {
    pub prefix: &'static str,
    pub text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "sql", derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow))]
        #[cfg_attr(feature = "sql", diesel(sql_type = diesel::sql_types::Uuid))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// A new id; later ones sort behind earlier ones.
            #[expect(clippy::new_without_default, reason = "a new id is never a default value")]
            pub fn new() -> Self {
                $name(Uuid::now_v7())
            }

            pub const fn from_uuid(uuid: Uuid) -> Self {
                $name(uuid)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse($prefix, text).map($name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        #[cfg(feature = "sql")]
        crate::sql::stored_as_uuid!($name);
    )*

        /// Every prefix of the registry.
        pub const PREFIXES: &[&str] = &[$($prefix),*];
    };
}

ids! {
    ApiKeyId = "key";
    ApplicationId = "app";
    AttributionId = "att";
    AuditEntryId = "aud";
    BillingRunId = "run";
    ClaimLinkId = "clm";
    CommissionEntryId = "cme";
    CommissionId = "com";
    CommissionReversalId = "cmr";
    CommissionStatementId = "cst";
    CreditNoteId = "crn";
    CustomerId = "cus";
    EnrollmentId = "enr";
    EnrollmentTermsId = "ent";
    EventId = "evt";
    InvoiceId = "inv";
    JobId = "job";
    LeadId = "lead";
    LedgerAccountId = "acc";
    LedgerTransactionId = "ltx";
    OrganizationId = "org";
    PartnerId = "par";
    PaymentId = "pay";
    PayoutId = "pyt";
    PayoutRunId = "prun";
    PlanId = "plan";
    PriceListId = "prl";
    PriceListVersionId = "prv";
    ProgramId = "prog";
    ProgramVersionId = "pgv";
    ReferralCodeId = "rfc";
    ReferralLinkId = "rfl";
    RetailPriceId = "rtp";
    SeatChangeId = "sch";
    SettlementEntryId = "ste";
    StripeEndpointId = "whe";
    SubscriptionId = "sub";
    TierPinId = "pin";
    TierTableId = "tie";
    TouchId = "tch";
}

fn parse(prefix: &'static str, text: &str) -> Result<Uuid, NotAnId> {
    let wrong = || NotAnId { prefix, text: text.chars().take(64).collect() };
    let hex = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or_else(wrong)?;
    // The one spelling that Display writes: an id compares as text, too.
    if hex.len() != 32 || hex.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(wrong());
    }
    Uuid::try_parse(hex).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_no_other_noun_reads_it() {
        let partner = PartnerId::new();
        assert_eq!(partner.to_string().parse::<PartnerId>().unwrap(), partner);
        assert!(partner.to_string().parse::<CustomerId>().is_err());
        assert!(partner.to_string().to_uppercase().parse::<PartnerId>().is_err());
        assert!("par_".parse::<PartnerId>().is_err());
    }

    #[test]
    fn prefixes_are_unique_and_in_order_of_their_nouns() {
        let mut seen = PREFIXES.to_vec();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), PREFIXES.len());
    }
}
