//! What is read of attribution: rows by their ids, by their parents, and pages of them.

use billing_primitives::{
    AttributionId, ClaimLinkId, CustomerId, EnrollmentId, LeadId, OrganizationId, PartnerId, ReferralCodeId,
    ReferralLinkId, TouchId,
};

use super::{Attribution, ClaimLink, Lead, LeadStatus, ReferralCode, ReferralLink, Touch, store};
use crate::Billing;
use crate::error::Error;
use crate::page::{Page, Slice};

/// A customer whose touches name more than one partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub customer_id: CustomerId,
    /// Who was seen to bring it, each once.
    pub enrollments: Vec<EnrollmentId>,
}

/// Which leads a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeadFilter {
    pub partner: Option<PartnerId>,
    pub status: Option<LeadStatus>,
}

macro_rules! read_by {
    ($($(#[$doc:meta])* $name:ident($key:ty) => $row:ty, $read:path;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// Faults of the database.
        pub async fn $name(billing: &Billing, organization: OrganizationId, keys: &[$key]) -> Result<Vec<$row>, Error> {
            billing.db.read(organization, async |conn| Ok($read(conn, organization, keys).await?)).await
        }
    )*};
}

read_by! {
    /// Attributions by their ids.
    attributions_by_ids(AttributionId) => Attribution, store::attributions::by_ids;
    /// All attributions that these customers ever had, by customer, day and order of writing.
    attributions_of(CustomerId) => Attribution, store::attributions::of;
    /// Claim links by their ids.
    claim_links_by_ids(ClaimLinkId) => ClaimLink, store::claims::by_ids;
    /// Codes by their ids.
    codes_by_ids(ReferralCodeId) => ReferralCode, store::codes::by_ids;
    /// The codes of these partners, in the order in which they were made.
    codes_of_partners(PartnerId) => ReferralCode, store::codes::of_partners;
    /// Leads by their ids.
    leads_by_ids(LeadId) => Lead, store::leads::by_ids;
    /// Links by their ids.
    links_by_ids(ReferralLinkId) => ReferralLink, store::codes::links_by_ids;
    /// The links that carry these codes, in the order in which they were made.
    links_of_codes(ReferralCodeId) => ReferralLink, store::codes::links_of;
    /// Touches by their ids.
    touches_by_ids(TouchId) => Touch, store::touches::by_ids;
}

/// A touch with the customer it brought.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundTouch {
    pub customer_id: CustomerId,
    pub touch: Touch,
}

/// The touches that are known to have brought these customers, the earliest first; the first hundred of each.
///
/// # Errors
/// Faults of the database.
pub async fn touches_of(
    billing: &Billing,
    organization: OrganizationId,
    customers: &[CustomerId],
) -> Result<Vec<BoundTouch>, Error> {
    let rows: Vec<Touch> = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::touches::of(conn, organization, customers).await?))
        .await?;
    let bound = |touch: Touch| Some(BoundTouch { customer_id: touch.customer_id?, touch });
    Ok(rows.into_iter().filter_map(bound).collect())
}

/// A page of a partner's claim links, the ones made last first.
///
/// # Errors
/// Faults of the database.
pub async fn claim_links(
    billing: &Billing,
    organization: OrganizationId,
    partner: PartnerId,
    page: &Page<ClaimLinkId>,
) -> Result<Slice<ClaimLink>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::claims::list(conn, organization, partner, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// A page of leads, the ones made last first.
///
/// # Errors
/// Faults of the database.
pub async fn leads(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<LeadId>,
    filter: &LeadFilter,
) -> Result<Slice<Lead>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::leads::list(conn, organization, page, filter).await?))
        .await?;
    Ok(page.slice(rows))
}

/// A page of customers whose touches name more than one partner, the customers made last first.
///
/// # Errors
/// Faults of the database.
pub async fn conflicts(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<CustomerId>,
) -> Result<Slice<Conflict>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::touches::conflicts(conn, organization, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// A page of attributions that somebody should look at, the ones written last first.
///
/// # Errors
/// Faults of the database.
pub async fn flagged(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<AttributionId>,
) -> Result<Slice<Attribution>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::attributions::flagged(conn, organization, page).await?))
        .await?;
    Ok(page.slice(rows))
}
