//! Addresses that Stripe posts to, with the secrets it signs with, and the key with which we ask back.

use billing_db::{Conn, directory};
use billing_primitives::{OrganizationId, StripeEndpointId, Timestamp};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::store;
use crate::error::{Error, Refusal};
use crate::{Applied, Billing, Caller, audit};

/// A secret of Stripe's begins so.
const SECRET_PREFIX: &str = "whsec_";

/// An address for events. Its secrets are never shown.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::stripe_endpoint)]
pub struct Endpoint {
    pub id: StripeEndpointId,
    pub name: String,
    /// Requests turned away because they were forged, stale or too large.
    pub rejected: i64,
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// What is needed to receive events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    pub name: String,
    /// Two while one is rolled.
    pub secrets: Vec<String>,
}

fn checked(secrets: &[String]) -> Result<(), Refusal> {
    if secrets.is_empty() || secrets.len() > 10 {
        return Err(Refusal::invalid("secrets", "an endpoint has between 1 and 10 signing secrets"));
    }
    let good = |secret: &String| {
        secret.strip_prefix(SECRET_PREFIX).is_some_and(|rest| rest.len() >= 16)
            && secret.len() <= 200
            && secret.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if secrets.iter().all(good) {
        return Ok(());
    }
    Err(Refusal::invalid("secrets", "a signing secret of Stripe's begins with whsec_"))
}

/// Makes an endpoint; its id is the last part of the address to give to Stripe.
///
/// # Errors
/// [`Refusal::Invalid`].
pub async fn add_endpoint(billing: &Billing, caller: &Caller, input: &NewEndpoint) -> Result<Applied<Endpoint>, Error> {
    let organization = caller.organization;
    let work = async |conn: &mut Conn| {
        let name = crate::organizations::rules::text("name", &input.name)?;
        checked(&input.secrets)?;
        let now = billing.clock.now(conn).await?;
        let id = StripeEndpointId::new();
        directory::add(conn, directory::Kind::StripeEndpoint, &id.to_string(), organization).await?;
        let endpoint = Endpoint { id, name, rejected: 0, disabled_at: None, created_at: now };
        store::insert_endpoint(conn, organization, &endpoint, &input.secrets).await?;
        audit::record(conn, caller, now, "stripe_endpoint.create", id, json!({ "name": endpoint.name })).await?;
        Ok(endpoint)
    };
    billing.db.write(organization, caller.key.as_ref(), work).await
}

/// Replaces the signing secrets: while one is rolled at Stripe, the old and the new one.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`].
pub async fn replace_secrets(
    billing: &Billing,
    caller: &Caller,
    id: StripeEndpointId,
    secrets: &[String],
) -> Result<Applied<Endpoint>, Error> {
    let organization = caller.organization;
    let work = async |conn: &mut Conn| {
        checked(secrets)?;
        let now = billing.clock.now(conn).await?;
        let endpoint = store::replace_secrets(conn, organization, id, secrets).await?;
        let endpoint = endpoint.ok_or_else(|| Refusal::not_found("endpoint", "Stripe endpoint", id))?;
        let details = json!({ "secrets": secrets.len() });
        audit::record(conn, caller, now, "stripe_endpoint.replace_secrets", id, details).await?;
        Ok(endpoint)
    };
    billing.db.write(organization, caller.key.as_ref(), work).await
}

/// That Stripe can be asked, and since when with the key that is set. The key is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub set_at: Timestamp,
}

/// Sets the restricted key with which Stripe is asked what events do not say. It is never shown again.
///
/// # Errors
/// [`Refusal::Invalid`].
pub async fn set_account(billing: &Billing, caller: &Caller, api_key: &str) -> Result<Applied<Account>, Error> {
    let organization = caller.organization;
    let work = async |conn: &mut Conn| {
        let good = ["rk_", "sk_"].iter().any(|prefix| api_key.starts_with(prefix));
        if !good || api_key.len() > 300 || !api_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::invalid("apiKey", "a key of Stripe's begins with rk_ (restricted) or sk_").into());
        }
        let now = billing.clock.now(conn).await?;
        store::set_account(conn, organization, api_key, now).await?;
        audit::record(conn, caller, now, "stripe_account.set", organization, json!({})).await?;
        Ok(Account { set_at: now })
    };
    billing.db.write(organization, caller.key.as_ref(), work).await
}

/// None: Stripe cannot be asked.
///
/// # Errors
/// Faults of the database.
pub async fn account(billing: &Billing, organization: OrganizationId) -> Result<Option<Account>, Error> {
    let work = async |conn: &mut Conn| Ok::<_, Error>(store::account_set_at(conn, organization).await?);
    Ok(billing.db.read(organization, work).await?.map(|set_at| Account { set_at }))
}

/// All endpoints of the organization, in the order in which they were made; there are few.
///
/// # Errors
/// Faults of the database.
pub async fn endpoints(billing: &Billing, organization: OrganizationId) -> Result<Vec<Endpoint>, Error> {
    billing.db.read(organization, async |conn| Ok(store::endpoints(conn, organization).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn endpoints_by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[StripeEndpointId],
) -> Result<Vec<Endpoint>, Error> {
    let mut all = endpoints(billing, organization).await?;
    all.retain(|endpoint| ids.contains(&endpoint.id));
    Ok(all)
}
