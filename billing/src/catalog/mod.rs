//! What is sold and at which list prices: plans, price lists, their dated versions.
//!
//! A version is complete and never changes: another price is another version, and none begins inside a finalized month.

pub mod plans;
pub mod rules;
pub(crate) mod store;
pub mod stripe_ids;
pub mod timeline;

use std::collections::HashSet;

use billing_db::Conn;
use billing_primitives::{
    Currency, Date, OrganizationId, PartnerId, PlanId, PriceListId, PriceListVersionId, Timestamp, text_enum,
};
use diesel::prelude::*;

pub use self::rules::{PriceBook, PriceSegment, Priced};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::page::{Page, Slice};
use crate::put::Put;
use crate::{Applied, Billing, audit, organizations, partners};

text_enum! {
    /// What a plan's price is multiplied with.
    pub enum Pricing {
        PerSeat = "PER_SEAT",
        /// Once per customer: quantity 1 on every day.
        Flat = "FLAT",
    }
}

/// What is sold per month, per seat or flat per customer.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::plan)]
pub struct Plan {
    pub organization_id: OrganizationId,
    pub id: PlanId,
    pub external_id: String,
    pub name: String,
    pub pricing: Pricing,
    /// Whether its seats count towards the partner's tier.
    pub counts_users: bool,
    pub created_at: Timestamp,
}

/// List prices in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::price_list)]
pub struct PriceList {
    pub organization_id: OrganizationId,
    pub id: PriceListId,
    pub external_id: String,
    pub currency: Currency,
    /// What was agreed with this partner; none: the organization's own list.
    pub partner_id: Option<PartnerId>,
    pub created_at: Timestamp,
}

/// A complete list of prices from a day on, inclusive, until the next version.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::price_list_version)]
pub struct PriceListVersion {
    pub organization_id: OrganizationId,
    pub id: PriceListVersionId,
    pub price_list_id: PriceListId,
    pub effective_on: Date,
    pub created_at: Timestamp,
}

/// The price of one seat (or of a flat plan) for a whole month, in minor units.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize,
)]
#[diesel(table_name = billing_db::schema::price)]
pub struct Price {
    pub organization_id: OrganizationId,
    pub price_list_version_id: PriceListVersionId,
    pub plan_id: PlanId,
    pub unit_price_minor: i64,
    pub currency: Currency,
}

/// A version of a list that is made with it when there is none of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishPrices {
    /// External id of the list.
    pub price_list: String,
    pub currency: Currency,
    /// None: the organization's own list.
    pub partner: Option<PartnerId>,
    pub effective_on: Date,
    /// Minor units of `currency` per seat and month.
    pub prices: Vec<(PlanId, i64)>,
}

/// Publishes a version of a price list. The same version again is answered with the one that stands.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`] (partner, plan), [`Refusal::CurrencyMix`] (the partner's currency),
/// [`Refusal::DiffersFromRecorded`] (the list's currency or partner, the prices of that day),
/// [`Refusal::MonthFinalized`].
pub async fn publish_prices(
    billing: &Billing,
    caller: &Caller,
    input: &PublishPrices,
) -> Result<Applied<PriceListVersion>, Error> {
    let work = async |conn: &mut Conn| {
        let id = put_prices(conn, billing, caller, input).await?.into_inner();
        let version = store::versions_by_ids(conn, caller.organization, &[id]).await?.pop();
        version.ok_or_else(|| Error::Corrupt(format!("{id} is gone in the transaction that published it")))
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// As [`publish_prices`], inside a transaction.
pub(crate) async fn put_prices(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &PublishPrices,
) -> Result<Put<PriceListVersionId>, Error> {
    let organization = caller.organization;
    let wanted = rules::complete(&input.prices)?;
    // A version that stands already is no publishing: its month may be finalized since.
    if let (_, Some(version)) = recorded(conn, organization, input, &wanted).await? {
        return Ok(Put::Unchanged(version));
    }
    check_names(conn, organization, input, &wanted).await?;
    organizations::lock_to_publish(conn, organization, input.effective_on).await?;
    // Publishers take turns from here on; one of them may just have made this list or version.
    let (list, version) = recorded(conn, organization, input, &wanted).await?;
    if let Some(version) = version {
        return Ok(Put::Unchanged(version));
    }
    let now = billing.clock.now(conn).await?;
    let list = match list {
        Some(list) => list,
        None => add_list(conn, organization, input, now).await?,
    };
    let version = PriceListVersion {
        organization_id: organization,
        id: PriceListVersionId::new(),
        price_list_id: list.id,
        effective_on: input.effective_on,
        created_at: now,
    };
    store::insert_version(conn, &version, &rules::rows(&version, list.currency, &wanted)).await?;
    let details = serde_json::json!({
        "priceList": list.external_id, "currency": list.currency, "partner": list.partner_id,
        "effectiveOn": version.effective_on, "prices": wanted,
    });
    audit::record(conn, caller, now, "price_list.publish", version.id, details).await?;
    Ok(Put::Made(version.id))
}

/// The list and the version that stand under these names, if they say the same.
async fn recorded(
    conn: &mut Conn,
    organization: OrganizationId,
    input: &PublishPrices,
    wanted: &[(PlanId, i64)],
) -> Result<(Option<PriceList>, Option<PriceListVersionId>), Error> {
    let Some(list) = store::list_by_external_id(conn, organization, &input.price_list).await? else {
        return Ok((None, None));
    };
    rules::same_list(&list, input)?;
    let Some(version) = store::version_on(conn, organization, list.id, input.effective_on).await? else {
        return Ok((Some(list), None));
    };
    let stored = store::prices_of(conn, organization, &[version.id]).await?;
    rules::same_prices(&list, &stored, wanted)?;
    Ok((Some(list), Some(version.id)))
}

async fn check_names(
    conn: &mut Conn,
    organization: OrganizationId,
    input: &PublishPrices,
    wanted: &[(PlanId, i64)],
) -> Result<(), Error> {
    if let Some(id) = input.partner {
        let partner = partners::store::by_ids(conn, organization, &[id]).await?.pop();
        let partner = partner.ok_or_else(|| Refusal::not_found("partner", "partner", id))?;
        if partner.currency != input.currency {
            return Err(Refusal::CurrencyMix { left: partner.currency, right: input.currency }.into());
        }
    }
    let plans: Vec<PlanId> = wanted.iter().map(|(plan, _)| *plan).collect();
    let known = store::plans_by_ids(conn, organization, &plans).await?;
    let known: HashSet<PlanId> = known.into_iter().map(|plan| plan.id).collect();
    match plans.iter().find(|plan| !known.contains(plan)) {
        Some(missing) => Err(Refusal::not_found("prices", "plan", missing).into()),
        None => Ok(()),
    }
}

async fn add_list(
    conn: &mut Conn,
    organization: OrganizationId,
    input: &PublishPrices,
    now: Timestamp,
) -> Result<PriceList, Error> {
    let list = rules::price_list(organization, PriceListId::new(), input, now)?;
    if let Some(other) = store::list_of(conn, organization, list.partner_id, list.currency).await? {
        let reason = format!("the prices in {} are those of the list {:?}", list.currency, other.external_id);
        return Err(Refusal::invalid("priceList", reason).into());
    }
    store::insert_list(conn, &list).await?;
    Ok(list)
}

/// A page of price lists in the order of their external ids.
///
/// # Errors
/// Faults of the database.
pub async fn price_lists(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<String>,
) -> Result<Slice<PriceList>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::lists(conn, organization, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// # Errors
/// Faults of the database.
pub async fn price_lists_by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[PriceListId],
) -> Result<Vec<PriceList>, Error> {
    billing.db.read(organization, async |conn| Ok(store::lists_by_ids(conn, organization, ids).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn price_list_by_external_id(
    billing: &Billing,
    organization: OrganizationId,
    external_id: &str,
) -> Result<Option<PriceList>, Error> {
    billing
        .db
        .read(organization, async |conn| Ok(store::list_by_external_id(conn, organization, external_id).await?))
        .await
}

/// A page of a list's versions, the latest first.
///
/// # Errors
/// Faults of the database.
pub async fn versions(
    billing: &Billing,
    organization: OrganizationId,
    list: PriceListId,
    page: &Page<Date>,
) -> Result<Slice<PriceListVersion>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::versions(conn, organization, list, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// All versions of these lists, by list and day.
///
/// # Errors
/// Faults of the database.
pub async fn versions_of(
    billing: &Billing,
    organization: OrganizationId,
    lists: &[PriceListId],
) -> Result<Vec<PriceListVersion>, Error> {
    billing.db.read(organization, async |conn| Ok(store::versions_of(conn, organization, lists).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn versions_by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[PriceListVersionId],
) -> Result<Vec<PriceListVersion>, Error> {
    billing.db.read(organization, async |conn| Ok(store::versions_by_ids(conn, organization, ids).await?)).await
}

/// The prices of these versions, by version and plan.
///
/// # Errors
/// Faults of the database.
pub async fn prices_of(
    billing: &Billing,
    organization: OrganizationId,
    versions: &[PriceListVersionId],
) -> Result<Vec<Price>, Error> {
    billing.db.read(organization, async |conn| Ok(store::prices_of(conn, organization, versions).await?)).await
}

/// All prices that can hold for these partners: the organization's lists and their own.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn load_price_book(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> Result<PriceBook, Error> {
    let lists = store::lists_for(conn, organization, partners).await?;
    let ids: Vec<PriceListId> = lists.iter().map(|list| list.id).collect();
    let versions = store::versions_of(conn, organization, &ids).await?;
    let ids: Vec<PriceListVersionId> = versions.iter().map(|version| version.id).collect();
    let prices = store::prices_of(conn, organization, &ids).await?;
    Ok(PriceBook::new(&lists, &versions, &prices))
}
