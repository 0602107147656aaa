//! SQL of organizations.

use billing_db::schema::{document_counter, organization};
use billing_db::{Conn, DbError};
use billing_primitives::OrganizationId;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Organization;

pub async fn insert(conn: &mut Conn, row: &Organization) -> QueryResult<()> {
    diesel::insert_into(organization::table).values(row).execute(conn).await?;
    let counters = ["INVOICE", "CREDIT_NOTE"]
        .map(|series| (document_counter::organization_id.eq(row.id), document_counter::series.eq(series)));
    diesel::insert_into(document_counter::table).values(counters.to_vec()).execute(conn).await?;
    Ok(())
}

/// Writes all that may change; what the books rest on may not.
pub async fn update(conn: &mut Conn, row: &Organization) -> Result<(), DbError> {
    let written = diesel::update(organization::table)
        .filter(organization::organization_id.eq(row.id))
        .set((
            organization::name.eq(&row.name),
            organization::country.eq(&row.country),
            organization::vat_number.eq(&row.vat_number),
            organization::registration_number.eq(&row.registration_number),
            organization::street.eq(&row.street),
            organization::postal_code.eq(&row.postal_code),
            organization::city.eq(&row.city),
            organization::email.eq(&row.email),
            organization::invoice_prefix.eq(&row.invoice_prefix),
            organization::credit_note_prefix.eq(&row.credit_note_prefix),
            organization::payment_terms_days.eq(row.payment_terms_days),
            organization::payment_terms_from.eq(row.payment_terms_from),
            organization::run_schedule.eq(&row.run_schedule),
            organization::payout_four_eyes.eq(row.payout_four_eyes),
        ))
        .execute(conn)
        .await?;
    DbError::expect_rows("organization", 1, written)
}

/// Writes by what the public may name the organization.
pub async fn update_public(conn: &mut Conn, row: &Organization) -> Result<(), DbError> {
    let written = diesel::update(organization::table)
        .filter(organization::organization_id.eq(row.id))
        .set((organization::publishable_key.eq(&row.publishable_key), organization::public_host.eq(&row.public_host)))
        .execute(conn)
        .await?;
    DbError::expect_rows("organization", 1, written)
}

pub async fn get(conn: &mut Conn, id: OrganizationId) -> QueryResult<Option<Organization>> {
    organization::table
        .filter(organization::organization_id.eq(id))
        .select(Organization::as_select())
        .first(conn)
        .await
        .optional()
}

/// Locks the organization against runs (see [`share`]): price lists and tier tables are published under it.
pub async fn lock(conn: &mut Conn, id: OrganizationId) -> QueryResult<Option<Organization>> {
    organization::table
        .filter(organization::organization_id.eq(id))
        .select(Organization::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

/// Holds off publishers while a run reads prices and tiers; runs do not hold off each other.
pub async fn share(conn: &mut Conn, id: OrganizationId) -> QueryResult<Option<Organization>> {
    organization::table
        .filter(organization::organization_id.eq(id))
        .select(Organization::as_select())
        .for_share()
        .first(conn)
        .await
        .optional()
}
