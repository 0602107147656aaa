//! SQL of payouts, their items and where partners are paid.

use billing_db::schema::{payout, payout_details, payout_item};
use billing_db::{Conn, DbError};
use billing_primitives::{
    CommissionId, Currency, Date, EnrollmentId, OrganizationId, PartnerId, PayoutId, PayoutRunId, Timestamp,
};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date as SqlDate, Integer, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use crate::page::Page;
use crate::payouts::details::DetailsRow;
use crate::payouts::iban::Iban;
use crate::payouts::model::{Payout, PayoutFilter, PayoutItem};
use crate::payouts::state::PayoutStatus;

/// Inserts payouts in one statement.
pub async fn insert(conn: &mut Conn, organization: OrganizationId, rows: &[Payout]) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Payout) -> i64| rows.iter().map(of).collect::<Vec<_>>();
    let written = diesel::sql_query(
        "INSERT INTO payout (organization_id, id, payout_run_id, enrollment_id, partner_id, program_id, method, status,
             currency, payable_minor, offset_minor, net_minor, vat_bps, vat_minor, holder, iban, invoice_id, payment_id,
             settled_on, reference, trace, created_at)
         SELECT seller.organization_id, p.id, p.run, p.enrollment, p.partner, p.program, p.method, p.status, p.currency,
             p.payable, p.\"offset\", p.net, p.vat_bps, p.vat, p.holder, p.iban, p.invoice, p.payment, p.settled_on, p.reference,
             p.trace::json, p.created_at
         FROM organization seller, unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
             AS p (id, run, enrollment, partner, program, method, status, currency, payable, \"offset\", net, vat_bps, vat,
                   holder, iban, invoice, payment, settled_on, reference, trace, created_at)
         WHERE seller.organization_id = $1",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .bind::<Array<Nullable<Uuid>>, _>(rows.iter().map(|row| row.payout_run_id).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.enrollment_id).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.partner_id).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.program_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.method).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.status).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.currency).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column(|row| row.payable_minor))
    .bind::<Array<BigInt>, _>(column(|row| row.offset_minor))
    .bind::<Array<BigInt>, _>(column(|row| row.net_minor))
    .bind::<Array<Integer>, _>(rows.iter().map(|row| row.vat_bps).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column(|row| row.vat_minor))
    .bind::<Array<Nullable<Text>>, _>(rows.iter().map(|row| row.holder.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(rows.iter().map(|row| row.iban.as_ref().map(Iban::whole)).collect::<Vec<_>>())
    .bind::<Array<Nullable<Uuid>>, _>(rows.iter().map(|row| row.invoice_id).collect::<Vec<_>>())
    .bind::<Array<Nullable<Uuid>>, _>(rows.iter().map(|row| row.payment_id).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlDate>>, _>(rows.iter().map(|row| row.settled_on).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(rows.iter().map(|row| row.reference.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.trace.to_string()).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|row| row.created_at).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    DbError::expect_rows("payout", rows.len(), written)
}

/// Inserts items in one statement.
pub async fn insert_items(conn: &mut Conn, organization: OrganizationId, rows: &[PayoutItem]) -> Result<(), DbError> {
    let written = diesel::sql_query(
        "INSERT INTO payout_item (organization_id, payout_id, commission_id, amount_minor, currency)
         SELECT seller.organization_id, i.payout_id, i.commission_id, i.amount, i.currency
         FROM organization seller, unnest($2, $3, $4, $5) AS i (payout_id, commission_id, amount, currency)
         WHERE seller.organization_id = $1",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.payout_id).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.commission_id).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.amount_minor).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.currency).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    DbError::expect_rows("payout_item", rows.len(), written)
}

/// Takes the payouts of a run away, with their items: they will be computed again.
pub async fn delete_of_run(conn: &mut Conn, organization: OrganizationId, run: PayoutRunId) -> Result<(), DbError> {
    diesel::sql_query(
        "DELETE FROM payout_item USING payout
         WHERE payout_item.organization_id = $1 AND payout.organization_id = $1 AND payout.payout_run_id = $2
           AND payout_item.payout_id = payout.id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(run)
    .execute(conn)
    .await?;
    diesel::delete(payout::table)
        .filter(payout::organization_id.eq(organization))
        .filter(payout::payout_run_id.eq(run))
        .execute(conn)
        .await?;
    Ok(())
}

/// The payouts of a run, in the order of their enrollments.
pub async fn of_run(conn: &mut Conn, organization: OrganizationId, run: PayoutRunId) -> QueryResult<Vec<Payout>> {
    payout::table
        .filter(payout::organization_id.eq(organization))
        .filter(payout::payout_run_id.eq(run))
        .order(payout::enrollment_id)
        .select(Payout::as_select())
        .load(conn)
        .await
}

pub async fn by_ids(conn: &mut Conn, organization: OrganizationId, ids: &[PayoutId]) -> QueryResult<Vec<Payout>> {
    payout::table
        .filter(payout::organization_id.eq(organization))
        .filter(payout::id.eq_any(ids))
        .select(Payout::as_select())
        .load(conn)
        .await
}

/// Moves payouts of a run from one state to another; returns how many.
pub async fn move_all(
    conn: &mut Conn,
    organization: OrganizationId,
    run: PayoutRunId,
    from: PayoutStatus,
    to: PayoutStatus,
) -> QueryResult<usize> {
    diesel::update(payout::table)
        .filter(payout::organization_id.eq(organization))
        .filter(payout::payout_run_id.eq(run))
        .filter(payout::status.eq(from))
        .set(payout::status.eq(to))
        .execute(conn)
        .await
}

/// Marks payouts as paid.
pub async fn pay(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[PayoutId],
    on: Date,
    reference: &str,
) -> Result<(), DbError> {
    let written = diesel::update(payout::table)
        .filter(payout::organization_id.eq(organization))
        .filter(payout::id.eq_any(ids))
        .set((
            payout::status.eq(PayoutStatus::Paid),
            payout::settled_on.eq(on),
            payout::reference.eq(Some(reference).filter(|reference| !reference.is_empty())),
        ))
        .execute(conn)
        .await?;
    DbError::expect_rows("payout", ids.len(), written)
}

/// Writes where one payout stands.
pub async fn update(conn: &mut Conn, organization: OrganizationId, row: &Payout) -> Result<(), DbError> {
    let written = diesel::update(payout::table)
        .filter(payout::organization_id.eq(organization))
        .filter(payout::id.eq(row.id))
        .set((
            payout::status.eq(row.status),
            payout::settled_on.eq(row.settled_on),
            payout::reference.eq(&row.reference),
            payout::failure.eq(&row.failure),
        ))
        .execute(conn)
        .await?;
    DbError::expect_rows("payout", 1, written)
}

/// A page of payouts, the ones made last first.
pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<PayoutId>,
    filter: &PayoutFilter,
) -> QueryResult<Vec<Payout>> {
    let mut query = payout::table
        .filter(payout::organization_id.eq(organization))
        .order(payout::id.desc())
        .limit(page.limit())
        .select(Payout::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(payout::id.lt(after));
    }
    if let Some(run) = filter.run {
        query = query.filter(payout::payout_run_id.eq(run));
    }
    if let Some(enrollment) = filter.enrollment {
        query = query.filter(payout::enrollment_id.eq(enrollment));
    }
    if let Some(partner) = filter.partner {
        query = query.filter(payout::partner_id.eq(partner));
    }
    if let Some(status) = filter.status {
        query = query.filter(payout::status.eq(status));
    }
    query.load(conn).await
}

/// A page of a payout's items, in the order of the commissions.
pub async fn items(
    conn: &mut Conn,
    organization: OrganizationId,
    payout: PayoutId,
    page: &Page<CommissionId>,
) -> QueryResult<Vec<PayoutItem>> {
    let mut query = payout_item::table
        .filter(payout_item::organization_id.eq(organization))
        .filter(payout_item::payout_id.eq(payout))
        .order(payout_item::commission_id)
        .limit(page.limit())
        .select(PayoutItem::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(payout_item::commission_id.gt(after));
    }
    query.load(conn).await
}

/// One line of a bank's file.
#[derive(Debug, Clone, QueryableByName)]
pub struct BankLine {
    #[diesel(sql_type = Uuid)]
    pub id: PayoutId,
    #[diesel(sql_type = Text)]
    pub partner_external_id: String,
    #[diesel(sql_type = Text)]
    pub holder: String,
    #[diesel(sql_type = Text)]
    pub iban: Iban,
    #[diesel(sql_type = BigInt)]
    pub net_minor: i64,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
}

/// What a bank is to transfer of a run, in the order of the partners' external ids: nothing that failed, and nothing of
/// which nobody knows whether it was transferred.
pub async fn bank_lines(conn: &mut Conn, organization: OrganizationId, run: PayoutRunId) -> QueryResult<Vec<BankLine>> {
    diesel::sql_query(
        "SELECT o.id, p.external_id AS partner_external_id, o.holder, o.iban, o.net_minor + o.vat_minor AS net_minor,
             o.currency
         FROM payout o JOIN partner p ON p.organization_id = $1 AND p.id = o.partner_id
         WHERE o.organization_id = $1 AND o.payout_run_id = $2 AND o.status IN ('APPROVED', 'SENT', 'PAID')
         ORDER BY p.external_id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(run)
    .load(conn)
    .await
}

pub async fn details(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> QueryResult<Vec<DetailsRow>> {
    payout_details::table
        .filter(payout_details::organization_id.eq(organization))
        .filter(payout_details::partner_id.eq_any(partners))
        .select(DetailsRow::as_select())
        .load(conn)
        .await
}

/// Writes where a partner is paid.
pub async fn put_details(conn: &mut Conn, organization: OrganizationId, row: &DetailsRow) -> Result<(), DbError> {
    let values = (
        payout_details::holder.eq(&row.holder),
        payout_details::iban.eq(&row.iban),
        payout_details::verified_at.eq(row.verified_at),
        payout_details::verified_by.eq(&row.verified_by),
        payout_details::updated_at.eq(row.updated_at),
    );
    let key = (payout_details::organization_id.eq(organization), payout_details::partner_id.eq(row.partner_id));
    let written = diesel::insert_into(payout_details::table)
        .values((key, values))
        .on_conflict((payout_details::organization_id, payout_details::partner_id))
        .do_update()
        .set(values)
        .execute(conn)
        .await?;
    DbError::expect_rows("payout_details", 1, written)
}

/// By enrollment, the ids that a draft's payouts have: they keep them while it is computed again.
pub async fn draft_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    run: PayoutRunId,
) -> QueryResult<Vec<(EnrollmentId, (PayoutId, Timestamp))>> {
    let rows: Vec<(EnrollmentId, PayoutId, Timestamp)> = payout::table
        .filter(payout::organization_id.eq(organization))
        .filter(payout::payout_run_id.eq(run))
        .filter(payout::status.eq(PayoutStatus::Draft))
        .select((payout::enrollment_id, payout::id, payout::created_at))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|(enrollment, id, made)| (enrollment, (id, made))).collect())
}
