//! SQL: who converted.

use billing_db::schema::conversion;
use billing_db::{Conn, Keep};
use billing_primitives::{CustomerId, OrganizationId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;

use crate::commissions::conversions::{Conversion, NewConversion};

/// Of several of one customer the earliest stands; true when it is this one and was not before.
pub async fn put(
    conn: &mut Conn,
    organization: OrganizationId,
    new: &NewConversion<'_>,
    actor: &str,
    now: Timestamp,
) -> QueryResult<bool> {
    let written = diesel::sql_query(
        "INSERT INTO conversion (organization_id, customer_id, converted_at, source, stripe_subscription_id, plan_id,
             seats, cause, actor, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (organization_id, customer_id) DO UPDATE SET
             converted_at = excluded.converted_at, source = excluded.source, plan_id = excluded.plan_id,
             stripe_subscription_id = excluded.stripe_subscription_id, seats = excluded.seats,
             cause = excluded.cause, actor = excluded.actor, created_at = excluded.created_at
         WHERE (excluded.converted_at, excluded.cause) < (conversion.converted_at, conversion.cause)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(new.customer)
    .bind::<Timestamptz, _>(new.converted_at)
    .bind::<Text, _>(new.source)
    .bind::<Nullable<Text>, _>(new.subscription)
    .bind::<Nullable<Uuid>, _>(new.plan)
    .bind::<BigInt, _>(new.seats)
    .bind::<Text, _>(new.cause)
    .bind::<Text, _>(actor)
    .bind::<Timestamptz, _>(now)
    .kept()
    .execute(conn)
    .await?;
    Ok(written == 1)
}

pub async fn of(
    conn: &mut Conn,
    organization: OrganizationId,
    customer: CustomerId,
) -> QueryResult<Option<Conversion>> {
    conversion::table
        .filter(conversion::organization_id.eq(organization))
        .filter(conversion::customer_id.eq(customer))
        .select(Conversion::as_select())
        .first(conn)
        .await
        .optional()
}
