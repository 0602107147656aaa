//! What readers see of commissions: pages, rows by their ids, entries, and what a state is derived from. Nothing here
//! writes.

use billing_db::Conn;
use billing_primitives::{CommissionEntryId, CommissionId, CustomerId, EnrollmentId, OrganizationId, PartnerId};

use super::book::{Commission, Entry};
use super::rules::{CommissionState, Standing, state};
use super::situation::SourceKey;
use super::store::reads as sql;
use crate::Billing;
use crate::error::{Error, Refusal};
use crate::page::{Page, Slice};

/// Which commissions a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommissionFilter {
    pub enrollment: Option<EnrollmentId>,
    pub partner: Option<PartnerId>,
    pub customer: Option<CustomerId>,
    /// The Stripe invoice, or the id of the converted customer.
    pub source_id: Option<String>,
}

/// How much of a commission lies in payouts that are not PAID, in minor units; commissions without any are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InPayout {
    pub commission_id: CommissionId,
    pub amount_minor: i64,
}

/// The event that a commission's source was told by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEvent {
    pub commission_id: CommissionId,
    /// Stripe's id.
    pub event_id: String,
}

impl Commission {
    /// Where it stands; `in_payout_minor` as [`InPayout`] says it.
    pub fn state(&self, in_payout_minor: i64) -> CommissionState {
        let standing = Standing { earned: self.earned_minor, reversed: self.reversed_minor };
        state(standing, self.buckets(), in_payout_minor)
    }

    /// What it is earned on.
    pub fn source(&self) -> SourceKey {
        SourceKey { kind: self.source_kind, id: self.source_id.clone() }
    }
}

/// A page of commissions, the ones made last first.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<CommissionId>,
    filter: &CommissionFilter,
) -> Result<Slice<Commission>, Error> {
    let work = async |conn: &mut Conn| Ok::<_, Error>(sql::list(conn, organization, page, filter).await?);
    Ok(page.slice(billing.db.read(organization, work).await?))
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
    /// Commissions by their ids, in no order.
    by_ids(CommissionId) => Commission, sql::by_ids;
    /// Entries by their ids, in no order.
    entries_by_ids(CommissionEntryId) => Entry, sql::entries_by_ids;
    /// The entries of these commissions, in the order in which they were written.
    entries_of(CommissionId) => Entry, sql::entries_of;
    /// How much of these commissions lies in payouts that are not PAID.
    in_payouts(CommissionId) => InPayout, sql::in_payouts;
    /// By which events the sources of these commissions were told; none of a conversion that was recorded by hand.
    source_events(CommissionId) => SourceEvent, sql::source_events;
}

/// What a commission is earned on.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn source_of(billing: &Billing, organization: OrganizationId, id: CommissionId) -> Result<SourceKey, Error> {
    let found = by_ids(billing, organization, &[id]).await?.into_iter().next();
    Ok(found.ok_or_else(|| Refusal::not_found("commission", "commission", id))?.source())
}
