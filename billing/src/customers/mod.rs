//! Customers and who sells to them: on every day direct, or through exactly one partner.
//!
//! Ownership is a row of dated beginnings; each holds until the next one, so no day has two owners.

pub(crate) mod bulk;
pub mod rules;
pub(crate) mod store;

use billing_db::{Conn, Constraint, DbError};
use billing_primitives::{CustomerId, Date, OrganizationId, PartnerId, Timestamp};
use diesel::prelude::*;

use crate::bulk::all_new;
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::page::{Page, Slice};
use crate::{Applied, Billing, audit, commissions, partners};

/// The end customer (elsewhere: tenant, workspace).
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::customer)]
pub struct Customer {
    pub organization_id: OrganizationId,
    pub id: CustomerId,
    pub external_id: String,
    pub name: String,
    pub country: Option<String>,
    pub created_at: Timestamp,
    /// Of whoever registered it.
    pub email: Option<String>,
    /// The `cus_` id under which Stripe bills it.
    pub stripe_customer_id: Option<String>,
}

/// Who sells to a customer from a day on, inclusive, until the next row of the same customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::customer_owner)]
pub struct Ownership {
    pub customer_id: CustomerId,
    pub owned_from: Date,
    /// None: the organization sells to it itself.
    pub partner_id: Option<PartnerId>,
}

/// A customer with its first owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCustomer {
    pub external_id: String,
    pub name: String,
    pub country: Option<String>,
    pub email: Option<String>,
    pub stripe_customer_id: Option<String>,
    /// None: direct.
    pub owner: Option<PartnerId>,
    pub owned_from: Date,
}

/// What an update replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerProfile {
    pub name: String,
    pub country: Option<String>,
    pub email: Option<String>,
    pub stripe_customer_id: Option<String>,
}

/// Makes a customer and its first ownership.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::ExternalIdTaken`], [`Refusal::NotFound`] (owner), [`Refusal::PartnerNotActive`],
/// [`Refusal::StripeCustomerTaken`].
pub async fn create(billing: &Billing, caller: &Caller, input: &NewCustomer) -> Result<Applied<Customer>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| add(conn, billing, caller, input).await)
        .await
}

/// As [`create`], inside a transaction.
pub(crate) async fn add(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewCustomer,
) -> Result<Customer, Error> {
    let now = billing.clock.now(conn).await?;
    let customer = rules::customer(caller.organization, CustomerId::new(), input, now)?;
    if let Some(owner) = input.owner {
        // The lock keeps the partner's status as it is until the ownership stands: see `partners::set_status`.
        let partner = partners::store::lock(conn, caller.organization, owner).await?;
        rules::may_own(&partner.ok_or_else(|| Refusal::not_found("owner", "partner", owner))?)?;
    }
    if store::by_external_id(conn, caller.organization, &customer.external_id).await?.is_some() {
        return Err(Refusal::ExternalIdTaken { what: "customer", external_id: customer.external_id }.into());
    }
    check_stripe(conn, &customer).await?;
    // Either name was free a moment ago: whoever took it since is found when this runs again.
    all_new(1, usize::from(store::insert(conn, &customer).await?))?;
    let ownership = Ownership { customer_id: customer.id, owned_from: input.owned_from, partner_id: input.owner };
    store::insert_owners(conn, caller.organization, &[ownership], now).await?;
    audit::record(conn, caller, now, "customer.create", customer.id, details(&customer, &ownership)).await?;
    if customer.stripe_customer_id.is_some() {
        // What Stripe told of it before it was known counts from now on.
        commissions::customers_changed(conn, billing, caller, &[customer.id], "customer.create").await?;
    }
    Ok(customer)
}

/// Stripe bills a customer under one id, and one customer under it.
async fn check_stripe(conn: &mut Conn, customer: &Customer) -> Result<(), Error> {
    let Some(stripe) = &customer.stripe_customer_id else { return Ok(()) };
    match store::by_stripe_id(conn, customer.organization_id, stripe).await? {
        Some(other) if other.id != customer.id => {
            Err(Refusal::StripeCustomerTaken { stripe_customer: stripe.clone() }.into())
        }
        _ => Ok(()),
    }
}

/// What the audit log says of a new customer.
fn details(customer: &Customer, ownership: &Ownership) -> serde_json::Value {
    serde_json::json!({ "externalId": customer.external_id, "owner": ownership })
}

/// Replaces name, country, e-mail and the id at Stripe.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`], [`Refusal::StripeCustomerTaken`].
pub async fn update(
    billing: &Billing,
    caller: &Caller,
    id: CustomerId,
    input: &CustomerProfile,
) -> Result<Applied<Customer>, Error> {
    let work = async |conn: &mut Conn| Ok(change(conn, billing, caller, id, input).await?.0);
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// As [`update`], inside a transaction; also says whether anything changed.
pub(crate) async fn change(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    id: CustomerId,
    input: &CustomerProfile,
) -> Result<(Customer, bool), Error> {
    let before = store::lock(conn, caller.organization, id).await?;
    let before = before.ok_or_else(|| Refusal::not_found("customer", "customer", id))?;
    let after = rules::changed(&before, input)?;
    if after == before {
        return Ok((before, false));
    }
    check_stripe(conn, &after).await?;
    let now = billing.clock.now(conn).await?;
    store::update(conn, &after).await.map_err(|error| match error.refused_by() {
        Some(Constraint::Unique(_)) => DbError::Contention,
        _ => error,
    })?;
    let details = serde_json::json!({ "before": before, "after": after });
    audit::record(conn, caller, now, "customer.update", id, details).await?;
    if after.stripe_customer_id != before.stripe_customer_id {
        commissions::customers_changed(conn, billing, caller, &[id], "customer.update").await?;
    }
    Ok((after, true))
}

/// A page of customers in the order of their external ids, all of them or those that a partner owns on a day.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<String>,
    owned_by: Option<(PartnerId, Date)>,
) -> Result<Slice<Customer>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::list(conn, organization, page, owned_by).await?))
        .await?;
    Ok(page.slice(rows))
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[CustomerId],
) -> Result<Vec<Customer>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_ids(conn, organization, ids).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn by_external_id(
    billing: &Billing,
    organization: OrganizationId,
    external_id: &str,
) -> Result<Option<Customer>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_external_id(conn, organization, external_id).await?)).await
}

/// All owners these customers ever had, by customer and day.
///
/// # Errors
/// Faults of the database.
pub async fn owners_of(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[CustomerId],
) -> Result<Vec<Ownership>, Error> {
    billing.db.read(organization, async |conn| Ok(store::owners_of(conn, organization, ids).await?)).await
}
