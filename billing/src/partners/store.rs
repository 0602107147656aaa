//! SQL of partners.

use billing_db::schema::{customer_owner, invoice, partner, partner_parent};
use billing_db::{Conn, DbError};
use billing_primitives::{Date, OrganizationId, PartnerId, Timestamp};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::Partner;
use crate::page::Page;

pub async fn insert(conn: &mut Conn, row: &Partner) -> QueryResult<()> {
    diesel::insert_into(partner::table).values(row).execute(conn).await.map(|_| ())
}

pub async fn update(conn: &mut Conn, row: &Partner) -> Result<(), DbError> {
    let written = diesel::update(partner::table)
        .filter(partner::organization_id.eq(row.organization_id))
        .filter(partner::id.eq(row.id))
        .set(row)
        .execute(conn)
        .await?;
    DbError::expect_rows("partner", 1, written)
}

pub async fn lock(conn: &mut Conn, organization: OrganizationId, id: PartnerId) -> QueryResult<Option<Partner>> {
    partner::table
        .filter(partner::organization_id.eq(organization))
        .filter(partner::id.eq(id))
        .select(Partner::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

/// Locks them in the order of their ids.
pub async fn lock_all(conn: &mut Conn, organization: OrganizationId, ids: &[PartnerId]) -> QueryResult<Vec<Partner>> {
    partner::table
        .filter(partner::organization_id.eq(organization))
        .filter(partner::id.eq_any(ids))
        .order(partner::id)
        .select(Partner::as_select())
        .for_no_key_update()
        .load(conn)
        .await
}

pub async fn by_ids(conn: &mut Conn, organization: OrganizationId, ids: &[PartnerId]) -> QueryResult<Vec<Partner>> {
    partner::table
        .filter(partner::organization_id.eq(organization))
        .filter(partner::id.eq_any(ids))
        .select(Partner::as_select())
        .load(conn)
        .await
}

pub async fn by_external_id(
    conn: &mut Conn,
    organization: OrganizationId,
    external_id: &str,
) -> QueryResult<Option<Partner>> {
    partner::table
        .filter(partner::organization_id.eq(organization))
        .filter(partner::external_id.eq(external_id))
        .select(Partner::as_select())
        .first(conn)
        .await
        .optional()
}

pub async fn list(conn: &mut Conn, organization: OrganizationId, page: &Page<String>) -> QueryResult<Vec<Partner>> {
    let mut query = partner::table
        .filter(partner::organization_id.eq(organization))
        .order(partner::external_id)
        .limit(page.limit())
        .select(Partner::as_select())
        .into_boxed();
    if let Some(after) = &page.after {
        query = query.filter(partner::external_id.gt(after));
    }
    query.load(conn).await
}

pub async fn has_documents(conn: &mut Conn, organization: OrganizationId, id: PartnerId) -> QueryResult<bool> {
    let finalized = invoice::table
        .filter(invoice::organization_id.eq(organization))
        .filter(invoice::partner_id.eq(id))
        .filter(invoice::status.eq("FINALIZED"));
    diesel::select(exists(finalized)).get_result(conn).await
}

/// Whether some customer belongs to the partner on `day` or later.
pub async fn owns_customers(
    conn: &mut Conn,
    organization: OrganizationId,
    id: PartnerId,
    day: Date,
) -> QueryResult<bool> {
    let later = diesel::alias!(customer_owner as later);
    let handed_over = later
        .filter(later.field(customer_owner::organization_id).eq(customer_owner::organization_id))
        .filter(later.field(customer_owner::customer_id).eq(customer_owner::customer_id))
        .filter(later.field(customer_owner::owned_from).gt(customer_owner::owned_from))
        .filter(later.field(customer_owner::owned_from).le(day));
    let owned = customer_owner::table
        .filter(customer_owner::organization_id.eq(organization))
        .filter(customer_owner::partner_id.eq(id))
        .filter(diesel::dsl::not(exists(handed_over)));
    diesel::select(exists(owned)).get_result(conn).await
}

#[derive(QueryableByName)]
struct Ancestor {
    #[diesel(sql_type = Uuid)]
    id: PartnerId,
}

/// Takes turns, until the transaction ends, with everybody else who sets a parent in the organization: two at once could
/// close a circle that neither of them sees.
pub async fn take_turns_at_parents(conn: &mut Conn, organization: OrganizationId) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtext($1::text || 'partner_parent'))")
        .bind::<Uuid, _>(organization)
        .execute(conn)
        .await
        .map(|_| ())
}

/// The partner and its parents up to the root.
pub async fn ancestors(conn: &mut Conn, organization: OrganizationId, id: PartnerId) -> QueryResult<Vec<PartnerId>> {
    let rows: Vec<Ancestor> = diesel::sql_query(
        "WITH RECURSIVE chain AS (
             SELECT id, parent_partner_id FROM partner WHERE organization_id = $1 AND id = $2
             UNION
             SELECT p.id, p.parent_partner_id FROM partner p JOIN chain c ON p.id = c.parent_partner_id
             WHERE p.organization_id = $1
         ) SELECT id FROM chain",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(id)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Notes the parent that the partner was made with: it held from the beginning.
pub async fn note_first_parent(conn: &mut Conn, row: &Partner) -> Result<(), DbError> {
    let written = diesel::sql_query(
        "INSERT INTO partner_parent (organization_id, partner_id, effective_from, parent_partner_id, created_at)
         VALUES ($1, $2, DATE '0001-01-01', $3, $4)",
    )
    .bind::<Uuid, _>(row.organization_id)
    .bind::<Uuid, _>(row.id)
    .bind::<Nullable<Uuid>, _>(row.parent_partner_id)
    .bind::<Timestamptz, _>(row.created_at)
    .execute(conn)
    .await?;
    DbError::expect_rows("partner_parent", 1, written)
}

/// Notes the partner's parent from `day` on; of several on one day the last one counts.
pub async fn note_parent(conn: &mut Conn, row: &Partner, day: Date, now: Timestamp) -> Result<(), DbError> {
    let written = diesel::insert_into(partner_parent::table)
        .values((
            partner_parent::organization_id.eq(row.organization_id),
            partner_parent::partner_id.eq(row.id),
            partner_parent::effective_from.eq(day),
            partner_parent::parent_partner_id.eq(row.parent_partner_id),
            partner_parent::created_at.eq(now),
        ))
        .on_conflict((partner_parent::organization_id, partner_parent::partner_id, partner_parent::effective_from))
        .do_update()
        .set((partner_parent::parent_partner_id.eq(row.parent_partner_id), partner_parent::created_at.eq(now)))
        .execute(conn)
        .await?;
    DbError::expect_rows("partner_parent", 1, written)
}
