//! How the public names an organization: by its publishable key or by its host name. Neither is a secret.
//!
//! Both stand in the organization's row and in the directory, written in one transaction, so that they never disagree.

use billing_db::{Conn, Constraint, directory};
use billing_primitives::OrganizationId;

use super::{Organization, rules, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::{Applied, Billing, audit};

/// Gives the organization another publishable key; the one it had names nobody from now on.
///
/// # Errors
/// Faults of the database.
pub async fn roll_publishable_key(billing: &Billing, caller: &Caller) -> Result<Applied<Organization>, Error> {
    let work = async |conn: &mut Conn| {
        let before = lock(conn, caller.organization).await?;
        let key = rules::publishable_key(before.mode, rand::random());
        let after = Organization { publishable_key: Some(key), ..before.clone() };
        exchange(conn, directory::Kind::PublishableKey, &before.publishable_key, &after.publishable_key, after.id)
            .await?;
        write(conn, billing, caller, "organization.roll_publishable_key", after).await
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Sets or (none) takes away the host name whose public requests mean the organization.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::HostTaken`].
pub async fn set_host(billing: &Billing, caller: &Caller, host: Option<&str>) -> Result<Applied<Organization>, Error> {
    let work = async |conn: &mut Conn| {
        let host = host.map(rules::host).transpose()?;
        let before = lock(conn, caller.organization).await?;
        if host == before.public_host {
            return Ok(before);
        }
        let after = Organization { public_host: host, ..before.clone() };
        exchange(conn, directory::Kind::Host, &before.public_host, &after.public_host, after.id).await?;
        write(conn, billing, caller, "organization.set_public_host", after).await
    };
    let done = billing.db.write(caller.organization, caller.key.as_ref(), work).await;
    done.map_err(|error: Error| match (error.refused_by(), host) {
        (Some(Constraint::Unique(_)), Some(host)) => Refusal::HostTaken { host: host.to_owned() }.into(),
        _ => error,
    })
}

/// The organization that a publishable key names.
///
/// # Errors
/// Faults of the database.
pub async fn by_publishable_key(billing: &Billing, key: &str) -> Result<Option<OrganizationId>, Error> {
    find(billing, directory::Kind::PublishableKey, key).await
}

/// The organization that a host name means, with or without a port behind it.
///
/// # Errors
/// Faults of the database.
pub async fn by_host(billing: &Billing, host: &str) -> Result<Option<OrganizationId>, Error> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    match rules::host(name) {
        Ok(name) => find(billing, directory::Kind::Host, &name).await,
        Err(_) => Ok(None),
    }
}

async fn find(billing: &Billing, kind: directory::Kind, lookup: &str) -> Result<Option<OrganizationId>, Error> {
    Ok(billing.db.find(kind, lookup).await?)
}

async fn lock(conn: &mut Conn, id: OrganizationId) -> Result<Organization, Error> {
    store::lock(conn, id).await?.ok_or_else(|| Refusal::not_found("organization", "organization", id).into())
}

async fn exchange(
    conn: &mut Conn,
    kind: directory::Kind,
    before: &Option<String>,
    after: &Option<String>,
    id: OrganizationId,
) -> Result<(), Error> {
    if let Some(before) = before {
        directory::remove(conn, kind, before, id).await?;
    }
    if let Some(after) = after {
        directory::add(conn, kind, after, id).await?;
    }
    Ok(())
}

async fn write(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    action: &str,
    after: Organization,
) -> Result<Organization, Error> {
    store::update_public(conn, &after).await?;
    let now = billing.clock.now(conn).await?;
    let details = serde_json::json!({ "publishableKey": after.publishable_key, "publicHost": after.public_host });
    audit::record(conn, caller, now, action, after.id, details).await?;
    Ok(after)
}
