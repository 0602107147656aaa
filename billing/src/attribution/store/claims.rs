//! SQL of claim links. The hash of the token is written once and only ever looked up.

use billing_db::schema::claim_link;
use billing_db::{Conn, DbError};
use billing_primitives::{ClaimLinkId, OrganizationId, PartnerId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::by_ids;
use crate::attribution::ClaimLink;
use crate::page::Page;

by_ids!(claim_link, ClaimLinkId => ClaimLink);

pub async fn insert(conn: &mut Conn, row: &ClaimLink, token_hash: &str) -> QueryResult<()> {
    diesel::insert_into(claim_link::table)
        .values((row, claim_link::token_hash.eq(token_hash)))
        .execute(conn)
        .await
        .map(|_| ())
}

/// Locks the link of a token: of two that use it at once, one comes second.
pub async fn lock_by_hash(
    conn: &mut Conn,
    organization: OrganizationId,
    token_hash: &str,
) -> QueryResult<Option<ClaimLink>> {
    claim_link::table
        .filter(claim_link::organization_id.eq(organization))
        .filter(claim_link::token_hash.eq(token_hash))
        .select(ClaimLink::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

pub async fn lock(conn: &mut Conn, organization: OrganizationId, id: ClaimLinkId) -> QueryResult<Option<ClaimLink>> {
    claim_link::table
        .filter(claim_link::organization_id.eq(organization))
        .filter(claim_link::id.eq(id))
        .select(ClaimLink::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

/// Writes how it ended.
pub async fn end(conn: &mut Conn, row: &ClaimLink) -> Result<(), DbError> {
    let written = diesel::update(claim_link::table)
        .filter(claim_link::organization_id.eq(row.organization_id))
        .filter(claim_link::id.eq(row.id))
        .set((
            claim_link::used_at.eq(row.used_at),
            claim_link::revoked_at.eq(row.revoked_at),
            claim_link::customer_id.eq(row.customer_id),
        ))
        .execute(conn)
        .await?;
    DbError::expect_rows("claim_link", 1, written)
}

pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
    page: &Page<ClaimLinkId>,
) -> QueryResult<Vec<ClaimLink>> {
    let mut query = claim_link::table
        .filter(claim_link::organization_id.eq(organization))
        .filter(claim_link::partner_id.eq(partner))
        .order(claim_link::id.desc())
        .limit(page.limit())
        .select(ClaimLink::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(claim_link::id.lt(after));
    }
    query.load(conn).await
}
