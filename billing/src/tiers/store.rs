//! SQL of tier tables, pins and evaluations.

use billing_db::schema::{tier, tier_evaluation, tier_pin, tier_table};
use billing_db::{Conn, DbError};
use billing_primitives::{Month, OrganizationId, PartnerId, TierPinId, TierTableId, Timestamp};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Integer, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::{Ranked, Tier, TierEvaluation, TierPin, TierTable};
use crate::page::Page;

/// Writes a table with all its tiers.
pub async fn insert_table(conn: &mut Conn, ranked: &Ranked) -> Result<(), DbError> {
    diesel::insert_into(tier_table::table).values(&ranked.table).execute(conn).await?;
    let rows: Vec<_> = ranked
        .tiers()
        .map(|row| {
            (
                tier::organization_id.eq(ranked.table.organization_id),
                tier::tier_table_id.eq(row.tier_table_id),
                tier::code.eq(&row.code),
                tier::name.eq(&row.name),
                tier::from_users.eq(row.from_users),
                tier::discount_bps.eq(row.discount_bps),
            )
        })
        .collect();
    let expected = rows.len();
    let written = diesel::insert_into(tier::table).values(rows).execute(conn).await?;
    DbError::expect_rows("tier", expected, written)
}

/// False when there is no such indicative table.
pub async fn confirm(
    conn: &mut Conn,
    organization: OrganizationId,
    id: TierTableId,
    now: Timestamp,
) -> QueryResult<bool> {
    let written = diesel::update(tier_table::table)
        .filter(tier_table::organization_id.eq(organization))
        .filter(tier_table::id.eq(id))
        .filter(tier_table::indicative)
        .set((tier_table::indicative.eq(false), tier_table::confirmed_at.eq(now)))
        .execute(conn)
        .await?;
    Ok(written == 1)
}

/// The table that begins with `month`.
pub async fn table_from(conn: &mut Conn, organization: OrganizationId, month: Month) -> QueryResult<Option<TierTable>> {
    tier_table::table
        .filter(tier_table::organization_id.eq(organization))
        .filter(tier_table::effective_from.eq(month))
        .select(TierTable::as_select())
        .first(conn)
        .await
        .optional()
}

/// The table that holds in `month`.
pub async fn table_for(conn: &mut Conn, organization: OrganizationId, month: Month) -> QueryResult<Option<TierTable>> {
    tier_table::table
        .filter(tier_table::organization_id.eq(organization))
        .filter(tier_table::effective_from.le(month))
        .order(tier_table::effective_from.desc())
        .select(TierTable::as_select())
        .first(conn)
        .await
        .optional()
}

/// The newest first.
pub async fn tables(conn: &mut Conn, organization: OrganizationId, page: &Page<Month>) -> QueryResult<Vec<TierTable>> {
    let mut query = tier_table::table
        .filter(tier_table::organization_id.eq(organization))
        .order(tier_table::effective_from.desc())
        .limit(page.limit())
        .select(TierTable::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(tier_table::effective_from.lt(after));
    }
    query.load(conn).await
}

pub async fn tables_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[TierTableId],
) -> QueryResult<Vec<TierTable>> {
    tier_table::table
        .filter(tier_table::organization_id.eq(organization))
        .filter(tier_table::id.eq_any(ids))
        .select(TierTable::as_select())
        .load(conn)
        .await
}

/// By table, from the lowest to the highest.
pub async fn tiers_of(conn: &mut Conn, organization: OrganizationId, tables: &[TierTableId]) -> QueryResult<Vec<Tier>> {
    tier::table
        .filter(tier::organization_id.eq(organization))
        .filter(tier::tier_table_id.eq_any(tables))
        .order((tier::tier_table_id, tier::from_users))
        .select(Tier::as_select())
        .load(conn)
        .await
}

/// Whether some version of the table has a tier of this code.
pub async fn is_tier(conn: &mut Conn, organization: OrganizationId, code: &str) -> QueryResult<bool> {
    let known = tier::table.filter(tier::organization_id.eq(organization)).filter(tier::code.eq(code));
    diesel::select(exists(known)).get_result(conn).await
}

pub async fn insert_pin(conn: &mut Conn, row: &TierPin) -> QueryResult<()> {
    diesel::insert_into(tier_pin::table).values(row).execute(conn).await.map(|_| ())
}

pub async fn update_pin_end(conn: &mut Conn, row: &TierPin) -> Result<(), DbError> {
    let written = diesel::update(tier_pin::table)
        .filter(tier_pin::organization_id.eq(row.organization_id))
        .filter(tier_pin::id.eq(row.id))
        .set(tier_pin::through_month.eq(row.through_month))
        .execute(conn)
        .await?;
    DbError::expect_rows("tier_pin", 1, written)
}

pub async fn pins_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[TierPinId],
) -> QueryResult<Vec<TierPin>> {
    tier_pin::table
        .filter(tier_pin::organization_id.eq(organization))
        .filter(tier_pin::id.eq_any(ids))
        .select(TierPin::as_select())
        .load(conn)
        .await
}

/// In the order of their ids, which is that of their making.
pub async fn pins(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
    page: &Page<TierPinId>,
) -> QueryResult<Vec<TierPin>> {
    let mut query = tier_pin::table
        .filter(tier_pin::organization_id.eq(organization))
        .filter(tier_pin::partner_id.eq(partner))
        .order(tier_pin::id)
        .limit(page.limit())
        .select(TierPin::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(tier_pin::id.gt(after));
    }
    query.load(conn).await
}

/// Of each partner the pin made last among those that hold in `month`.
pub async fn pins_for(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    month: Month,
) -> QueryResult<Vec<(PartnerId, String)>> {
    tier_pin::table
        .filter(tier_pin::organization_id.eq(organization))
        .filter(tier_pin::partner_id.eq_any(partners))
        .filter(tier_pin::from_month.le(month))
        .filter(tier_pin::through_month.is_null().or(tier_pin::through_month.ge(month)))
        .distinct_on(tier_pin::partner_id)
        .order((tier_pin::partner_id, tier_pin::created_at.desc(), tier_pin::id.desc()))
        .select((tier_pin::partner_id, tier_pin::tier_code))
        .load(conn)
        .await
}

pub async fn last_evaluations(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> QueryResult<Vec<TierEvaluation>> {
    tier_evaluation::table
        .filter(tier_evaluation::organization_id.eq(organization))
        .filter(tier_evaluation::partner_id.eq_any(partners))
        .distinct_on(tier_evaluation::partner_id)
        .order((tier_evaluation::partner_id, tier_evaluation::month.desc()))
        .select(TierEvaluation::as_select())
        .load(conn)
        .await
}

/// The newest first.
pub async fn evaluations(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
    page: &Page<Month>,
) -> QueryResult<Vec<TierEvaluation>> {
    let mut query = tier_evaluation::table
        .filter(tier_evaluation::organization_id.eq(organization))
        .filter(tier_evaluation::partner_id.eq(partner))
        .order(tier_evaluation::month.desc())
        .limit(page.limit())
        .select(TierEvaluation::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(tier_evaluation::month.lt(after));
    }
    query.load(conn).await
}

/// Every one of `partners` in every one of `months`.
pub async fn evaluations_of(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    months: &[Month],
) -> QueryResult<Vec<TierEvaluation>> {
    tier_evaluation::table
        .filter(tier_evaluation::organization_id.eq(organization))
        .filter(tier_evaluation::partner_id.eq_any(partners))
        .filter(tier_evaluation::month.eq_any(months))
        .order((tier_evaluation::partner_id, tier_evaluation::month))
        .select(TierEvaluation::as_select())
        .load(conn)
        .await
}

/// Writes all rows in one statement, whatever organization they name, for `organization`.
pub async fn insert_evaluations(
    conn: &mut Conn,
    organization: OrganizationId,
    rows: &[TierEvaluation],
) -> Result<(), DbError> {
    fn column<'a, T>(rows: &'a [TierEvaluation], value: impl Fn(&'a TierEvaluation) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let written = diesel::sql_query(
        "INSERT INTO tier_evaluation (organization_id, partner_id, month, tier_table_id, users, measured_tier,
             billed_tier, discount_bps, reason, months_below, created_at)
         SELECT seller.organization_id, e.*
         FROM organization seller, unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS e
         WHERE seller.organization_id = $1",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(column(rows, |row| row.partner_id))
    .bind::<Array<Date>, _>(column(rows, |row| row.month))
    .bind::<Array<Uuid>, _>(column(rows, |row| row.tier_table_id))
    .bind::<Array<BigInt>, _>(column(rows, |row| row.users))
    .bind::<Array<Text>, _>(column(rows, |row| row.measured_tier.as_str()))
    .bind::<Array<Text>, _>(column(rows, |row| row.billed_tier.as_str()))
    .bind::<Array<Integer>, _>(column(rows, |row| row.discount_bps))
    .bind::<Array<Text>, _>(column(rows, |row| row.reason))
    .bind::<Array<Integer>, _>(column(rows, |row| row.months_below))
    .bind::<Array<Timestamptz>, _>(column(rows, |row| row.created_at))
    .execute(conn)
    .await?;
    DbError::expect_rows("tier_evaluation", rows.len(), written)
}
