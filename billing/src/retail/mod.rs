//! What partners charge, and what is left of it after the wholesale month.
//!
//! A retail price is a dated fact that nothing overwrites. The organization invoices none of it: a statement is computed
//! from usage, wholesale lines and these prices, and a missing price makes a margin unknown, never zero.

pub mod csv;
pub mod loader;
pub mod rules;
pub mod statement;
pub(crate) mod store;

use billing_db::Conn;
use billing_primitives::{
    Currency, CustomerId, Date, Money, OrganizationId, PartnerId, PlanId, RetailPriceId, Timestamp,
};
use diesel::prelude::*;

pub use self::csv::csv;
pub use self::loader::{NamedLine, PartnerStatement, statement_of};
pub use self::rules::RetailPrices;
pub use self::statement::{RetailLine, RetailStatement};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::page::{Page, Slice};
use crate::put::Put;
use crate::{Applied, Billing, audit, catalog, customers, partners};

/// What a partner charges for a seat (or a flat plan) and month from a day on, inclusive, until its next price.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::retail_price)]
pub struct RetailPrice {
    pub organization_id: OrganizationId,
    pub id: RetailPriceId,
    pub partner_id: PartnerId,
    pub plan_id: PlanId,
    /// None: for all customers without a price of their own.
    pub customer_id: Option<CustomerId>,
    pub effective_on: Date,
    pub unit_price_minor: i64,
    pub currency: Currency,
    pub created_at: Timestamp,
}

/// A price to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRetailPrice {
    pub partner: PartnerId,
    pub plan: PlanId,
    /// None: for all customers without a price of their own.
    pub customer: Option<CustomerId>,
    pub effective_on: Date,
    pub unit_price: Money,
}

/// Sets a price from a day on. The same price again is answered with the one that stands.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`] (partner, plan, customer), [`Refusal::CurrencyMix`] (the partner's
/// currency), [`Refusal::DiffersFromRecorded`] for another price of that day.
pub async fn set(billing: &Billing, caller: &Caller, input: &NewRetailPrice) -> Result<Applied<RetailPrice>, Error> {
    let work = async |conn: &mut Conn| Ok(write(conn, billing, caller, input).await?.into_inner());
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// As [`set`], inside a transaction.
pub(crate) async fn put(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewRetailPrice,
) -> Result<Put<RetailPriceId>, Error> {
    Ok(match write(conn, billing, caller, input).await? {
        Put::Made(price) => Put::Made(price.id),
        Put::Changed(price) => Put::Changed(price.id),
        Put::Unchanged(price) => Put::Unchanged(price.id),
    })
}

async fn write(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewRetailPrice,
) -> Result<Put<RetailPrice>, Error> {
    let organization = caller.organization;
    let partner = partners::store::by_ids(conn, organization, &[input.partner]).await?.pop();
    let partner = partner.ok_or_else(|| Refusal::not_found("partner", "partner", input.partner))?;
    let now = billing.clock.now(conn).await?;
    let price = rules::price(&partner, RetailPriceId::new(), input, now)?;
    check_names(conn, organization, input).await?;
    if !store::insert(conn, &price).await? {
        let known = store::same_key(conn, &price).await?;
        let known = known.ok_or_else(|| Error::Corrupt(format!("the price of {} is there and is not", input.plan)))?;
        rules::same_price(&known, &price)?;
        return Ok(Put::Unchanged(known));
    }
    audit::record(conn, caller, now, "retail_price.set", price.id, serde_json::json!(price)).await?;
    Ok(Put::Made(price))
}

async fn check_names(conn: &mut Conn, organization: OrganizationId, input: &NewRetailPrice) -> Result<(), Error> {
    if catalog::store::plans_by_ids(conn, organization, &[input.plan]).await?.is_empty() {
        return Err(Refusal::not_found("plan", "plan", input.plan).into());
    }
    let Some(customer) = input.customer else { return Ok(()) };
    // Another partner's customer is none that this one could know of.
    if !customers::store::is_ever_owned_by(conn, organization, customer, input.partner).await? {
        return Err(Refusal::not_found("customer", "customer", customer).into());
    }
    Ok(())
}

/// A page of a partner's prices in the order in which they were set.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    partner: PartnerId,
    page: &Page<RetailPriceId>,
) -> Result<Slice<RetailPrice>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::list(conn, organization, partner, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[RetailPriceId],
) -> Result<Vec<RetailPrice>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_ids(conn, organization, ids).await?)).await
}

/// The prices of a partner in `currency` that hold on some day up to `through`.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn load_prices(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
    currency: Currency,
    through: Date,
) -> Result<RetailPrices, Error> {
    let rows = store::through(conn, organization, partner, through).await?;
    Ok(RetailPrices::new(currency, &rows))
}
