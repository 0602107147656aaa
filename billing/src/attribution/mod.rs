//! Attribution: how a customer is credited to a partner. Touches are evidence and stay; the first one that wins locks.
//!
//! A touch never changes an attribution that stands, only an administrator appends another one. Whatever begins or
//! changes one locks the customer first and has its commissions derived again.

pub mod applicants;
pub mod claims;
pub mod codes;
pub mod leads;
pub mod links;
mod lists;
pub mod registration;
pub mod rules;
pub(crate) mod store;
pub mod touches;

use billing_primitives::{
    AttributionId, ClaimLinkId, CustomerId, Date, EnrollmentId, LeadId, OrganizationId, PartnerId, PlanId,
    ReferralCodeId, ReferralLinkId, Timestamp, TouchId, text_enum,
};
use diesel::prelude::*;

pub use lists::{
    BoundTouch, Conflict, LeadFilter, attributions_by_ids, attributions_of, claim_links, claim_links_by_ids,
    codes_by_ids, codes_of_partners, conflicts, flagged, leads, leads_by_ids, links_by_ids, links_of_codes,
    touches_by_ids, touches_of,
};
pub use registration::{ByHand, Registration, attribute, register};

use crate::programs::terms::TouchSource;

/// What an attribution says when its partner refers itself and the programme lets it.
pub const SELF_REFERRAL: &str = "SELF_REFERRAL";

text_enum! {
    /// Whether a code brings anything.
    pub enum CodeStatus { Active = "ACTIVE", Disabled = "DISABLED" }
}

text_enum! {
    /// What became of a lead.
    pub enum LeadStatus { Open = "OPEN", Converted = "CONVERTED", Closed = "CLOSED" }
}

text_enum! {
    /// How a partner brings a customer by a claim link.
    pub enum ClaimKind {
        /// The partner sells to it.
        Wholesale = "WHOLESALE",
        /// The organization sells to it, and the partner earns.
        Affiliate = "AFFILIATE",
    }
}

/// A partner's code; looked up in capitals.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::referral_code)]
pub struct ReferralCode {
    pub organization_id: OrganizationId,
    pub id: ReferralCodeId,
    pub partner_id: PartnerId,
    /// None: the partner's enrollment in the default programme, as it is when the code is used.
    pub enrollment_id: Option<EnrollmentId>,
    pub code: String,
    pub code_key: String,
    pub is_default: bool,
    pub status: CodeStatus,
    pub stripe_promotion_code: Option<String>,
    pub created_at: Timestamp,
}

/// A page of the seller's with a partner's code in its address.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::referral_link)]
pub struct ReferralLink {
    pub organization_id: OrganizationId,
    pub id: ReferralLinkId,
    pub referral_code_id: ReferralCodeId,
    pub name: String,
    pub destination: String,
    pub created_at: Timestamp,
}

/// A partner was seen to bring somebody.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::touch)]
pub struct Touch {
    pub organization_id: OrganizationId,
    pub id: TouchId,
    pub source: TouchSource,
    pub enrollment_id: EnrollmentId,
    pub referral_code_id: Option<ReferralCodeId>,
    /// SHA-256 of the token that the visitor carries, hex.
    pub visitor_hash: Option<String>,
    /// None: whoever it was has not registered.
    pub customer_id: Option<CustomerId>,
    pub occurred_at: Timestamp,
    /// Where it was seen: `url`, `referrer`, `userAgent`, `addressHash`; `selfReferral` when it was blocked as such.
    pub evidence: serde_json::Value,
    pub created_at: Timestamp,
}

/// Somebody left an address with a partner's form.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::lead)]
pub struct Lead {
    pub organization_id: OrganizationId,
    pub id: LeadId,
    pub enrollment_id: EnrollmentId,
    pub touch_id: TouchId,
    pub name: String,
    pub email: String,
    pub company: Option<String>,
    pub message: String,
    pub status: LeadStatus,
    pub customer_id: Option<CustomerId>,
    pub created_at: Timestamp,
}

/// A partner passes a customer on with a one-time link. Its token is not in it: only a hash of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::claim_link)]
pub struct ClaimLink {
    pub organization_id: OrganizationId,
    pub id: ClaimLinkId,
    pub partner_id: PartnerId,
    /// Of an affiliate's link, and of no other.
    pub enrollment_id: Option<EnrollmentId>,
    pub kind: ClaimKind,
    pub customer_external_id: String,
    pub customer_name: String,
    /// None: whoever has the link may use it.
    pub email: Option<String>,
    /// What a reseller's customer is subscribed to.
    pub plan_id: Option<PlanId>,
    pub seats: i64,
    /// The first instant at which it opens nothing.
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// Whom it made.
    pub customer_id: Option<CustomerId>,
    pub created_at: Timestamp,
}

/// To whom a customer is credited from a day on, until the next row.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::attribution)]
pub struct Attribution {
    pub organization_id: OrganizationId,
    pub id: AttributionId,
    /// Order of writing: of rows of one day the last one holds.
    pub sequence: i64,
    pub customer_id: CustomerId,
    /// None: by hand to nobody.
    pub enrollment_id: Option<EnrollmentId>,
    pub effective_from: Date,
    pub source: TouchSource,
    pub touch_id: Option<TouchId>,
    pub reason: Option<String>,
    /// What somebody should look at, such as [`SELF_REFERRAL`].
    pub flags: Vec<String>,
    pub actor: String,
    pub created_at: Timestamp,
}
