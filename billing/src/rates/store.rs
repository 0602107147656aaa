//! SQL of exchange rates. They are `numeric` in the database and pass as text, exact in both directions.

use billing_db::Conn;
use billing_primitives::{Currency, OrganizationId};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date as SqlDate, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use super::{RateKey, StoredRate};
use crate::page::Page;

/// False when the pair has a rate of that day already.
pub async fn insert(conn: &mut Conn, organization: OrganizationId, row: &StoredRate) -> QueryResult<bool> {
    let written = diesel::sql_query(
        "INSERT INTO exchange_rate (organization_id, date, from_currency, to_currency, rate, source, created_at)
         VALUES ($1, $2, $3, $4, $5::numeric, $6, $7)
         ON CONFLICT DO NOTHING",
    )
    .bind::<Uuid, _>(organization)
    .bind::<SqlDate, _>(row.date)
    .bind::<Text, _>(row.from)
    .bind::<Text, _>(row.to)
    .bind::<Text, _>(row.rate)
    .bind::<Text, _>(&row.source)
    .bind::<Timestamptz, _>(row.created_at)
    .execute(conn)
    .await?;
    Ok(written == 1)
}

pub async fn get(conn: &mut Conn, organization: OrganizationId, key: RateKey) -> QueryResult<Option<StoredRate>> {
    let (from, to, date) = key;
    diesel::sql_query(
        "SELECT date, from_currency, to_currency, rate::text AS rate, source, created_at FROM exchange_rate
         WHERE organization_id = $1 AND from_currency = $2 AND to_currency = $3 AND date = $4",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Text, _>(from)
    .bind::<Text, _>(to)
    .bind::<SqlDate, _>(date)
    .get_result(conn)
    .await
    .optional()
}

pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<RateKey>,
    pair: Option<(Currency, Currency)>,
) -> QueryResult<Vec<StoredRate>> {
    diesel::sql_query(
        "SELECT date, from_currency, to_currency, rate::text AS rate, source, created_at FROM exchange_rate
         WHERE organization_id = $1
           AND ($2 IS NULL OR (from_currency, to_currency, date) > ($2, $3, $4))
           AND ($5 IS NULL OR (from_currency, to_currency) = ($5, $6))
         ORDER BY from_currency, to_currency, date LIMIT $7",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Nullable<Text>, _>(page.after.map(|(from, _, _)| from))
    .bind::<Nullable<Text>, _>(page.after.map(|(_, to, _)| to))
    .bind::<Nullable<SqlDate>, _>(page.after.map(|(_, _, date)| date))
    .bind::<Nullable<Text>, _>(pair.map(|(from, _)| from))
    .bind::<Nullable<Text>, _>(pair.map(|(_, to)| to))
    .bind::<BigInt, _>(page.limit())
    .load(conn)
    .await
}
