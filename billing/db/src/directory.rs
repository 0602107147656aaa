//! The one table without walls: from an external id or a hash to its organization, and nothing else.

use billing_primitives::OrganizationId;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::error::DbError;
use crate::pool::{Conn, Db};
use crate::schema::directory;

/// What is looked up before an organization is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By the organization's external id.
    Organization,
    /// By the SHA-256 of the secret.
    ApiKey,
    /// By the key itself: it is public.
    PublishableKey,
    /// By the name in the Host header.
    Host,
    /// By the id of the endpoint, the last part of its address.
    StripeEndpoint,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::Organization => "ORGANIZATION",
            Kind::ApiKey => "API_KEY",
            Kind::PublishableKey => "PUBLISHABLE_KEY",
            Kind::Host => "HOST",
            Kind::StripeEndpoint => "STRIPE_ENDPOINT",
        }
    }
}

impl Db {
    /// Whose name or secret it is. One statement, which needs no transaction.
    ///
    /// # Errors
    /// Faults of the database.
    pub async fn find(&self, kind: Kind, lookup: &str) -> Result<Option<OrganizationId>, DbError> {
        let mut conn = self.checkout().await?;
        Ok(find(&mut conn, kind, lookup).await?)
    }
}

/// As [`Db::find`], in the caller's transaction.
///
/// # Errors
/// Faults of the database.
pub async fn find(conn: &mut Conn, kind: Kind, lookup: &str) -> QueryResult<Option<OrganizationId>> {
    directory::table
        .filter(directory::kind.eq(kind.name()))
        .filter(directory::lookup.eq(lookup))
        .select(directory::organization_id)
        .first(conn)
        .await
        .optional()
}

/// Adds an entry; a unique violation when it is taken.
///
/// # Errors
/// Faults of the database.
pub async fn add(conn: &mut Conn, kind: Kind, lookup: &str, organization: OrganizationId) -> QueryResult<usize> {
    diesel::insert_into(directory::table)
        .values((
            directory::kind.eq(kind.name()),
            directory::lookup.eq(lookup),
            directory::organization_id.eq(organization),
        ))
        .execute(conn)
        .await
}

/// # Errors
/// Faults of the database.
pub async fn remove(conn: &mut Conn, kind: Kind, lookup: &str, organization: OrganizationId) -> QueryResult<usize> {
    diesel::delete(directory::table)
        .filter(directory::kind.eq(kind.name()))
        .filter(directory::lookup.eq(lookup))
        .filter(directory::organization_id.eq(organization))
        .execute(conn)
        .await
}

/// All organizations with their external ids, in the order of these.
///
/// # Errors
/// Faults of the database.
pub async fn organizations(conn: &mut Conn) -> QueryResult<Vec<(String, OrganizationId)>> {
    directory::table
        .filter(directory::kind.eq(Kind::Organization.name()))
        .order(directory::lookup)
        .select((directory::lookup, directory::organization_id))
        .load(conn)
        .await
}
